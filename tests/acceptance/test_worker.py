"""Goals come to their true end on real workers, whatever is killed or wiped on the way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.goals import project_join
from orchestration.services.ledger import ledger_verify
from tests.acceptance.workers import Workers, ended, wait_for, wipe_broker
from tests.orchestration.pump import node, submit, task_named

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


def random_dag(count: int, seed: int, *, slow: int = 0) -> list[dict[str, Any]]:
    """`count` no-op tasks, of which `slow` wait in the sandbox, each needing up to three before it."""
    draw = random.Random(seed)
    waits = set(draw.sample(range(count), slow))
    nodes = []
    for i in range(count):
        needs = {f"t{draw.randrange(max(0, i - 40), i)}" for _ in range(draw.randint(0, 3)) if i}
        rest = command("sleep", "0.2") if i in waits else {}
        nodes.append(node(f"t{i}", *sorted(needs), **rest))
    return nodes


def command(*argv: str) -> dict[str, Any]:
    return {"agent": "command", "inputs": {"argv": list(argv)}}


def whole(goal: Goal) -> None:
    """In order, nothing twice, nothing lost, and the ledger says so."""
    tasks = Task.objects.filter(goal=goal).prefetch_related("dependencies__needs")
    for task in tasks:
        for edge in task.dependencies.all():
            assert task.started_at is None or edge.needs.finished_at <= task.started_at
    accepted = Attempt.objects.filter(goal=goal, state="accepted")
    done = Task.objects.filter(goal=goal, state="done")
    assert sorted(accepted.values_list("task_id", flat=True)) == sorted(
        done.values_list("pk", flat=True)
    )
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def done_count(goal: Goal) -> int:
    return Task.objects.filter(goal=goal, state="done").count()


def test_a_random_dag_runs_in_order_and_what_is_ready_runs_side_by_side(workers: Workers) -> None:
    workers.start()
    goal = ended(submit(*random_dag(200, seed=1, slow=8)), workers)
    assert goal.state == "succeeded"
    assert done_count(goal) == 200
    spans = sorted(goal.tasks.filter(agent="command").values_list("started_at", "finished_at"))
    assert any(
        begun < ended_at for (_, ended_at), (begun, _) in zip(spans, spans[1:], strict=False)
    )
    whole(goal)


def test_when_the_only_worker_is_killed_the_next_one_finishes(workers: Workers) -> None:
    only = workers.start()
    goal = submit(*random_dag(200, seed=2, slow=24))
    wait_for(lambda: 0 < done_count(goal) < 190, why=workers.said)
    wait_for(lambda: goal.attempts.filter(state="running").exists(), why=workers.said)
    workers.kill(only)
    assert goal.attempts.filter(state="running").exists()
    workers.start()
    assert ended(goal, workers).state == "succeeded"
    assert Attempt.objects.filter(goal=goal, state="lost").exists()
    assert done_count(goal) == 200
    whole(goal)


def test_a_wiped_broker_costs_time_only(workers: Workers) -> None:
    workers.start(concurrency=2)
    goal = submit(*random_dag(200, seed=3, slow=16))
    for least in (1, 60):
        wait_for(lambda least=least: done_count(goal) >= least, why=workers.said)
        wipe_broker()
    assert ended(goal, workers).state == "succeeded"
    assert done_count(goal) == 200
    whole(goal)


def test_a_goal_submitted_before_there_is_a_worker_or_a_message_is_done_all_the_same(
    workers: Workers,
) -> None:
    goal = submit(node("a"), node("b", "a", **command("true")))
    wipe_broker()
    workers.start()
    assert ended(goal, workers).state == "succeeded"


def test_failures_are_retried_and_only_what_matters_fails_the_goal(workers: Workers) -> None:
    workers.start()
    twice = {"retry": {"attempts_max": 2, "backoff_seconds": 0.2}}
    fine = submit(
        node("bad", optional=True, **command("false"), **twice),
        node("join", "bad", agent="collect"),
    )
    broken = submit(node("bad", **command("false"), **twice), node("never", "bad"))
    assert ended(fine, workers).state == "succeeded"
    assert ended(broken, workers).state == "failed"
    assert broken.reason == "failed: bad"
    assert task_named(broken, "never").state == "cancelled"
    for goal in (fine, broken):
        first, second = Attempt.objects.filter(goal=goal, task__key="bad").order_by("number")
        assert (first.state, second.state) == ("failed", "failed")
        assert first.finished_at is not None
        assert second.started_at is not None
        assert (second.started_at - first.finished_at).total_seconds() >= 0.2
        whole(goal)


def test_an_irreversible_action_waits_for_a_person_and_their_word_is_kept(
    workers: Workers, tmp_path: Path
) -> None:
    workers.start()
    ann = User.objects.create_user("ann")
    project_join("default", user=ann, role="approver")
    goals = {}
    for word in ("approve", "reject"):
        folder = tmp_path / word
        folder.mkdir()
        action = {
            "argv": ["sh", "-c", f"echo done >> {folder}/log"],
            "why": "to leave a line",
            "writable": [str(folder)],
        }
        goals[word] = submit(node("act", agent="devops", inputs={"action": action}))
    for word, goal in goals.items():
        asked = ApprovalRequest.objects.filter(goal=goal, state="open")
        wait_for(asked.exists, why=workers.said)
        assert not (tmp_path / word / "log").exists()
        approval_decide(asked.get().pk, user=ann, decision=word, reason="because")
    assert ended(goals["approve"], workers).state == "succeeded"
    assert (tmp_path / "approve" / "log").read_text() == "done\n"
    assert ended(goals["reject"], workers).state == "failed"
    assert not (tmp_path / "reject" / "log").exists()
    assert Proposal.objects.get(goal=goals["reject"]).state == "rejected"
    for goal in goals.values():
        whole(goal)


def test_a_worker_that_is_told_to_stop_gives_its_work_back_and_burns_no_attempt(
    workers: Workers,
) -> None:
    first = workers.start()
    goal = submit(node("long", **command("sleep", "8")), node("after", "long"))
    wait_for(lambda: goal.attempts.filter(state="running").exists(), why=workers.said)
    first.terminate()
    wait_for(lambda: goal.attempts.filter(state="queued").exists(), why=workers.said)
    workers.start()
    assert ended(goal, workers).state == "succeeded"
    assert first.wait(10) == 0
    tasks = Task.objects.filter(goal=goal)
    assert set(tasks.values_list("attempts_count", "losses")) == {(1, 0)}
    whole(goal)
