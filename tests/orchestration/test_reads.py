"""What people and programs see: complete, stable, and in a fixed number of queries."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agentsys.kernel.errors import NotFound
from orchestration.models import Attempt, Budget, Decision, Dependency, Directive, Task
from orchestration.services import reads
from orchestration.services.ledger import goal_locked
from orchestration.services.recap import recap
from orchestration.services.wrapup import goal_folder
from tests import factories as given
from verification import services as verification
from workers.models import Effect

pytestmark = pytest.mark.django_db


TASK_KEYS = {
    "id", "key", "state", "agent", "paused", "phase", "attempts", "started_at", "finished_at", "due_at",
    "depends_on", "verdicts", "reason", "note", "optional", "proposals", "swarm",
}  # fmt: skip


def queries(act) -> int:
    with CaptureQueriesContext(connection) as seen:
        act()
    return len(seen)


def test_a_goal_is_shown_with_all_that_its_document_promises():
    goal = given.goal(repository="/srv/repo", branch="agentsys/goal-1")
    need = given.task(goal, "need", state="done")
    task = given.task(goal, "held", state="held", needs=[need], phase="fix", optional=True)
    about = given.proposal(task)
    asked = given.approval(task, about=about)
    view = json.loads(json.dumps(reads.goal_view(goal.pk)))
    assert {"id", "objective", "state", "priority", "paused", "reason", "repository", "branch",
            "created_at", "progress", "tasks", "cost", "approvals", "artifacts", "report",
            } <= set(view)  # fmt: skip
    assert {"total", "done", "failed", "running", "waiting", "blocked", "ready", "fraction",
            "rate_per_minute", "eta_seconds"} <= set(view["progress"])  # fmt: skip
    first, second = view["tasks"]
    assert set(first) == TASK_KEYS
    assert (first["key"], first["state"], first["attempts"]) == ("need", "done", 1)
    assert [(v["verifier"], v["outcome"], v["veto"]) for v in first["verdicts"]] == [
        ("schema", "pass", False)
    ]
    assert second["depends_on"] == ["need"]
    assert second["proposals"] == [about.pk]
    assert (second["phase"], second["optional"]) == ("fix", True)
    assert [a["id"] for a in view["approvals"]] == [asked.pk]


def test_only_the_newest_attempts_verdicts_are_a_tasks():
    goal = given.goal()
    task = given.task(goal, "again", state="ready", with_attempt=False)
    first = given.attempt(task, state="rejected")
    given.verdict(first, "schema", "fail", reasons=("no `path`",))
    second = given.attempt(task, state="reported", note="second try")
    given.verdict(second, "schema", None)
    (line,) = reads.tasks_view(goal.pk)
    assert line["attempts"] == 2
    assert line["note"] == "second try"
    assert [v["outcome"] for v in line["verdicts"]] == [None]


def test_an_overridden_verdict_says_by_whom():
    goal = given.goal()
    task = given.task(goal, "vetoed", state="verifying")
    last = Attempt.objects.get(task=task)
    given.verdict(last, "safety", "fail", veto=True)
    verification.verdict_override(
        last.pk, "safety", outcome="pass", by="ada", reason="it is a fixture"
    )
    (line,) = reads.tasks_view(goal.pk)
    assert line["verdicts"][0]["overridden_by"] == "ada"


def test_superseded_tasks_are_not_shown():
    goal = given.goal()
    given.task(goal, "old", state="superseded")
    assert reads.tasks_view(goal.pk) == []


def test_cost_is_what_was_paid_for_the_goal_whatever_came_of_it():
    goal = given.goal()
    given.task(goal, "spent", state="failed")
    Budget.objects.filter(goal=goal).update(tokens_spent=120, cost_usd_spent="0.25", calls_spent=3)
    assert reads.goal_cost(goal.pk) == {"tokens": 120, "cost_usd": 0.25, "model_calls": 3}


def test_the_report_is_named_once_it_is_written():
    goal = given.goal(state="succeeded")
    assert reads.goal_view(goal.pk)["report"] is None
    path: Path = goal_folder(goal.pk) / "report.md"
    path.parent.mkdir(parents=True)
    path.write_text("# Report")
    assert reads.goal_view(goal.pk)["report"] == str(path)


def test_goals_are_listed_newest_first_in_pages():
    ids = [given.goal(state="failed" if n == 1 else "running").pk for n in range(4)]
    given.goal(project=given.project("other"))
    mine = reads.goals_list(project="default", limit=2)
    assert [g["id"] for g in mine] == [ids[3], ids[2]]
    assert [g["id"] for g in reads.goals_list(project="default", before=ids[2])] == [ids[1], ids[0]]
    assert [g["id"] for g in reads.goals_list(state="failed")] == [ids[1]]


def test_the_number_of_queries_does_not_grow_with_the_goal():
    small, large = given.goal(), given.goal()
    for goal, count in ((small, 6), (large, 12)):
        for number in range(count):
            held = given.task(goal, f"t{number}", state="held")
            given.approval(held, about=given.proposal(held))
            given.task(goal, f"d{number}", state="done")
    for read in (reads.goal_view, reads.tasks_view, recap):
        assert queries(lambda r=read: r(large.pk)) == queries(lambda r=read: r(small.pk))
    assert queries(lambda: reads.approvals_list()) == 1
    assert queries(lambda: reads.goals_list()) == 1


@pytest.mark.slow
def test_a_goal_of_ten_thousand_tasks_takes_as_many_queries_as_a_small_one(
    django_assert_max_num_queries,
):
    goal = given.goal()
    plan = goal.plans.get()
    definition = {"objective": "x"}
    tasks = Task.objects.bulk_create(
        Task(
            goal=goal, plan=plan, key=f"t{n}", agent="noop", lane="cheap", definition=definition,
            definition_hash="0" * 64, state="ready",
        )
        for n in range(10_000)
    )  # fmt: skip
    Dependency.objects.bulk_create(
        Dependency(task=task, needs=tasks[n // 2]) for n, task in enumerate(tasks) if n
    )
    Attempt.objects.bulk_create(
        Attempt(task=t, goal=goal, number=1, lineage=f"t{t.pk}.1", lane="cheap") for t in tasks
    )
    with django_assert_max_num_queries(20):
        view = reads.goal_view(goal.pk)
    assert len(view["tasks"]) == 10_000


def test_a_proposal_whose_commit_git_cannot_show_says_so_before_the_agents_own_diff():
    goal = given.goal()
    about = given.change(given.task(goal, "fix", state="held"), "--- a\n+++ b\n+hé\n")
    view = reads.proposal_view(about.pk)
    assert "git cannot show the commit" in view["diff"]
    assert view["diff"].endswith("--- a\n+++ b\n+hé\n")
    assert view["payload"]["commit"] == "c" * 40
    plain = given.proposal(given.task(goal, "act", state="held"))
    assert reads.proposal_view(plain.pk)["diff"] is None


def test_an_approval_is_shown_with_what_it_is_about_and_who_decided():
    goal = given.goal()
    task = given.task(goal, "risky", state="held")
    asked = given.approval(task, about=given.proposal(task), quorum=2)
    Decision.objects.create(
        request=asked,
        user=given.person("ada"),
        decision="approve",
        reason="fine",
        action_hash=asked.action_hash,
    )
    view = reads.approval_view(asked.pk)
    assert view["proposal"]["payload"]["argv"] == ["rm", "-r", "build"]
    assert [(d["person"], d["decision"], d["reason"]) for d in view["decisions"]] == [
        ("ada", "approve", "fine")
    ]
    assert view["quorum"] == 2


def test_open_approvals_are_listed_oldest_first_and_others_on_demand():
    goal = given.goal()
    first = given.approval(given.task(goal, "a", state="held"))
    second = given.approval(given.task(goal, "b", state="held"))
    closed = given.approval(given.task(goal, "c", state="done"), state="approved")
    assert [r["id"] for r in reads.approvals_list()] == [first.pk, second.pk]
    assert closed.pk in [r["id"] for r in reads.approvals_list(None)]


def test_the_ledger_is_read_in_pages_and_in_order():
    goal = given.goal()
    for number in range(4):
        given.entry(goal, "goal.directed", directive=number, text="x")
    page = reads.ledger_view(goal.pk, after=1, limit=2)
    assert [e["seq"] for e in page] == [2, 3]
    assert page[0]["payload"] == {"directive": 0, "text": "x"}
    assert page[0]["payload_version"] == 1
    assert len(page[0]["hash"]) == 64


def test_a_plan_is_shown_whole_though_its_versions_only_hold_what_they_add():
    goal = given.goal()
    goal.plans.all().delete()
    base = {"tasks": [{"key": "scan", "agent": "noop", "depends_on": []}]}
    child = {"extends": 1, "tasks": [{"key": "fix[a]", "agent": "noop", "depends_on": ["scan"]}]}
    given.plan(goal, document=base, state="superseded")
    given.plan(goal, version=2, document=child)
    view = reads.plan_view(goal.pk)
    assert (view["version"], view["document"]) == (2, child)
    assert [t["key"] for t in view["tasks"]] == ["scan", "fix[a]"]
    assert [t["key"] for t in reads.plan_view(goal.pk, 1)["tasks"]] == ["scan"]
    assert [v["version"] for v in view["versions"]] == [1, 2]
    with pytest.raises(NotFound, match="version 7"):
        reads.plan_view(goal.pk, 7)


def test_an_attempt_is_shown_with_its_report_verdicts_and_effects():
    goal = given.goal()
    task = given.task(goal, "done", state="done")
    last = Attempt.objects.get(task=task)
    Effect.objects.create(
        key="k", kind="shell", attempt_id=last.pk, fence=1, request={}, request_hash="0" * 64
    )
    view = reads.attempt_view(last.pk)
    assert view["report"]["outcome"] == "done"
    assert [v["verifier"] for v in view["verdicts"]] == ["schema"]
    assert [e["key"] for e in view["effects"]] == ["k"]
    assert reads.task_view(task.pk)["attempts"][0]["id"] == last.pk


@pytest.mark.parametrize("kind", ["goal", "task", "attempt", "proposal", "approval", "plan"])
def test_what_is_not_there_is_not_found_and_the_way_out_is_named(kind: str):
    with pytest.raises(NotFound, match="shows what there is"):
        reads.resolve(f"{kind}-999999")


def test_references_name_rows_by_number_kind_or_key():
    goal = given.goal()
    task = given.task(goal, "src/a.py", state="ready")
    assert reads.resolve(str(goal.pk))[1] == goal
    assert reads.resolve(f"task-{task.pk}")[1] == task
    assert reads.resolve(f"{goal.pk}/src/a.py")[1] == task
    assert reads.resolve(str(task.pk), default="task")[1] == task


def test_a_recap_tells_what_is_in_doubt_decided_directed_and_waited_for():
    goal = given.goal()
    done = given.task(goal, "done", state="done")
    given.task(goal, "later")
    given.task(goal, "broke", state="failed", reason="no such file")
    running = given.task(goal, "now", state="running")
    held = given.task(goal, "risky", state="held")
    asked = given.approval(held, about=given.proposal(held))
    last = Attempt.objects.get(task=held)
    for number, (attempt_id, state) in enumerate(
        [(last.pk, "doubtful"), (last.pk, "confirmed"),
         (Attempt.objects.get(task=running).pk, "intent"),
         (Attempt.objects.get(task=done).pk, "intent")]
    ):  # fmt: skip
        Effect.objects.create(
            key=f"k{number}", kind="shell", attempt_id=attempt_id, fence=1, request={},
            request_hash="0" * 64, state=state, settled_at=timezone.now(),
        )  # fmt: skip
    Directive.objects.create(goal=goal, text="leave tests alone", author="ada")
    with goal_locked(goal.pk) as book:
        book.record("goal.paused", actor="ada", payload={"by": "goal", "reason": "lunch"})
        book.record("goal.paused", actor="orchestrator", payload={"by": "deadline"})
        book.record(
            "verdict.overruled",
            actor="ada",
            task_id=done.pk,
            payload={"verifier": "safety", "outcome": "pass", "reason": "a test key"},
        )
    told = recap(goal.pk)
    assert [(a["person"], a["what"], a["reason"]) for a in told["acted"]] == [
        ("ada", "paused the goal", "lunch"),
        ("ada", "overruled safety on done: pass", "a test key"),
    ]
    assert told["done"] == {"count": 1, "keys": ["done"]}
    assert told["pending"] == {"count": 1, "keys": ["later"]}
    assert told["failed"] == [{"key": "broke", "reason": "no such file"}]
    assert [r["key"] for r in told["running"]] == ["now"]
    assert [e["key"] for e in told["in_doubt"]] == ["k0", "k3"]
    assert told["directives"][0]["text"] == "leave tests alone"
    assert [a["id"] for a in told["waits_for_you"]] == [asked.pk]
    assert told["proposals"] == {"in_review": 1}
    assert json.dumps(told)


def test_a_finished_goals_times_are_aware_and_in_utc():
    goal = given.goal(state="succeeded", deadline_at=timezone.now() + timedelta(days=1))
    line = reads.goal_line(goal)
    assert line["finished_at"].endswith("+00:00")
    assert Budget.objects.filter(goal=goal).exists()
