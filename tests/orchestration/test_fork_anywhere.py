"""Wherever in its ledger a goal is forked, its fork keeps every invariant and comes to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentsys.kernel.errors import BadInput
from orchestration.models import Goal, Plan, Proposal, Task
from orchestration.services.advance import advance
from orchestration.services.approvals import approval_decide
from orchestration.services.forks import goal_fork
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_direct, goal_retry, goal_submit
from orchestration.services.merging import TRAILER
from orchestration.services.overrides import output_override
from orchestration.services.proposals import proposal_apply
from orchestration.services.replan import plan_revise, task_edit
from orchestration.services.running import serve, task_serve
from tests.orchestration.pump import asked_about, node, pump, row_counts, submit, task_named
from tests.orchestration.test_approvals import held, lines
from tests.orchestration.test_proposals import change, content
from tests.orchestration.test_proposals import given as repository
from tests.workers.given import GivenRepository

given = repository  # the fixture

pytestmark = pytest.mark.django_db(transaction=True)

COMMAND: dict[str, Any] = {"agent": "command", "inputs": {"argv": ["true"]}}
EACH = {"agent": "noop", "objective": "x", "verify": ["schema"], "inputs": {"n": "${item}"}}
FAN = {"over": "${tasks.seed.output.echo.items}", "key": "${item}", "task": EACH}
MORE: dict[str, Any] = {"type": "object", "properties": {"echo": {"required": ["more"]}}}
NEVER: dict[str, Any] = {"output_schema": MORE, "retry": {"attempts_max": 1}}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


def standing(goal: Goal) -> dict[str, Task]:
    return {t.key: t for t in Task.objects.filter(goal=goal).exclude(state="superseded")}


def revise(goal: Goal, *tasks: dict[str, Any]) -> None:
    version = Plan.objects.get(goal=goal, state="active").version
    document = {"objective": "to test", "tasks": list(tasks)}
    plan_revise(goal.pk, document, base_version=version, actor="ann")


def form_of(goal: Goal) -> str:
    rows = Task.objects.filter(goal=goal).order_by("key")
    return str(
        list(rows.values_list("key", "state", "definition_hash", "accepted_attempt__report"))
    )


def overridden() -> Goal:
    """An output was replaced after others had run on it, and one of them was edited."""
    root = User.objects.create_superuser("root")
    goal = submit(node("a", inputs={"n": 1}), node("b", "a"), node("last", "b", **COMMAND))
    serve()
    output_override(
        standing(goal)["a"].pk, {"echo": {"n": 2}}, user=root, reason="known", rerun=False
    )
    output_override(
        standing(goal)["a"].pk, {"echo": {"n": 3}}, user=root, reason="known", rerun=True
    )
    task_edit(goal.pk, "b", {"inputs": {"n": 4}}, actor="root")
    return pump(goal)


def revised() -> Goal:
    """A new plan under done work: what stays of it stands on needs that are replaced."""
    last = node("last", "b", **COMMAND)
    goal = submit(node("a", inputs={"n": 1}), node("b", "a"), last)
    serve()
    revise(goal, node("a", inputs={"n": 2}), node("b", "a"), last, node("more", "a"))
    assert (standing(goal)["a"].state, standing(goal)["b"].state) == ("ready", "done")
    return pump(goal)


def gone_on_without() -> Goal:
    """An optional task failed and others went on; a person made up for it later."""
    root = User.objects.create_superuser("root")
    goal = submit(node("a", optional=True, **NEVER), node("b", "a"), node("last", **COMMAND))
    serve()
    output_override(
        standing(goal)["a"].pk, {"echo": {"more": 1}}, user=root, reason="known", rerun=False
    )
    return pump(goal)


def fanned_out() -> Goal:
    goal = submit(
        node("seed", inputs={"items": [1, 2]}),
        node("fan", "seed", agent="collect", fan_out=FAN),
        node("last", "fan", **COMMAND),
    )
    serve()
    advance(goal.pk)
    serve()
    task_edit(goal.pk, "seed", {"inputs": {"items": [2, 3]}}, actor="root")
    return pump(goal)


@pytest.mark.parametrize("story", [overridden, revised, gone_on_without, fanned_out])
def test_a_fork_at_any_entry_is_whole_and_comes_to_its_end(story: Callable[[], Goal]) -> None:
    goal = story()
    assert goal.state == "succeeded"
    seen: set[str] = set()
    for entry in goal.ledger.order_by("seq"):
        fork = goal_fork(goal.pk, at_seq=entry.seq, actor="ann")
        at = f"entry {entry.seq}: {entry.event}"
        assert fsck(fork.pk, deep=True) == [], at
        if (form := form_of(fork)) not in seen:  # most entries change nothing that is carried over
            seen.add(form)
            assert pump(fork).state == "succeeded", at
            assert fsck(fork.pk, deep=True) == [], at
    assert len(seen) > 2
    assert fsck(goal.pk, deep=True) == []


def test_a_retried_goal_is_forked_from_before_and_after() -> None:
    goal = pump(submit(node("a"), node("b", "a", **NEVER)))
    goal_retry(goal.pk, actor="ann")
    pump(goal)
    for entry in goal.ledger.filter(event__in=("goal.failed", "goal.revived", "task.exhausted")):
        fork = pump(goal_fork(goal.pk, at_seq=entry.seq, actor="ann"))
        assert (fork.state, task_named(fork, "a").state) == ("failed", "done")
        assert fsck(fork.pk, deep=True) == []


def test_what_a_person_approved_is_carried_over_without_its_effect(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    root = User.objects.create_superuser("root")
    approval_decide(request.pk, user=root, decision="approve")
    pump(goal)
    assert goal.state == "succeeded"
    done = lines(tmp_path / "w")
    fork = pump(goal_fork(goal.pk, actor="ann"))
    assert (fork.state, lines(tmp_path / "w")) == ("succeeded", done)
    assert fsck(fork.pk, deep=True) == []


def test_a_plan_that_a_person_rejected_or_that_lapsed_is_asked_about_again() -> None:
    goal = submit(node("a"), review=True)
    root = User.objects.create_superuser("root")
    approval_decide(asked_about(goal).pk, user=root, decision="reject", reason="no")
    pump(goal)
    fork = goal_fork(goal.pk, actor="ann")
    assert fork.state == "plan_review"
    assert task_named(fork, "a").state == "blocked"
    assert fsck(fork.pk, deep=True) == []


def test_the_branch_keeps_what_later_work_was_merged_onto(given: GivenRepository) -> None:
    tasks = (change(), change("b", 3, depends_on=["wait"]), node("wait"), node("no", **NEVER))
    goal = pump(submit(*tasks, repository=str(given.path)))
    assert goal.state == "failed"
    task_edit(goal.pk, "change-a", {"objective": "otherwise"}, actor="ann")
    fork = goal_fork(goal.pk, actor="ann")
    assert {t.key: t.state for t in fork.tasks.all()} == {
        "change-a": "ready", "change-b": "done", "wait": "done", "no": "ready",
    }  # fmt: skip
    assert content(given, fork, "b") == "b = 3"
    assert fsck(fork.pk, deep=True) == []


def test_a_merge_that_was_entered_late_hides_no_later_one(given: GivenRepository) -> None:
    goal = submit(change(), change("b", 3), repository=str(given.path))
    for task in goal.tasks.order_by("pk"):
        task_serve(task.pk, task.fence)
    first, second = Proposal.objects.filter(goal=goal).order_by("pk")
    trailers = {TRAILER: str(first.pk)}
    commit = first.payload["commit"]
    given.open().merge(goal.branch, commit, message="m", trailers=trailers)  # and then a crash
    assert [proposal_apply(p.pk) for p in (second, first)] == ["applied", "applied"]
    fork = pump(goal_fork(goal.pk, actor="ann"))
    assert (content(given, fork), content(given, fork, "b")) == ("a = 2", "b = 3")
    assert fork.state == "succeeded"


def test_a_goal_whose_commits_are_gone_is_not_forked(given: GivenRepository) -> None:
    goal = pump(submit(change(), repository=str(given.path)))
    given.git("update-ref", "-d", f"refs/heads/{goal.branch}")
    given.git("reflog", "expire", "--expire=now", "--all")
    given.git("gc", "--quiet", "--prune=now")
    before = row_counts()
    with pytest.raises(BadInput, match="is gone from"):
        goal_fork(goal.pk, actor="ann")
    assert row_counts() == before


def test_a_goal_that_is_still_being_planned_is_planned_in_its_fork_too() -> None:
    goal = goal_submit(objective="find out", actor="ann")
    goal_direct(goal.pk, "in one page", actor="ann")
    fork = goal_fork(goal.pk, actor="bob")
    assert (fork.state, fork.forked_from_id, fork.publish_due_at is None) == (
        "planning", goal.pk, False,
    )  # fmt: skip
    assert (fork.contract, fork.forked_seq) == (goal.contract, 2)
    assert [d.text for d in fork.directives.all()] == ["in one page"]
    assert fsck(fork.pk, deep=True) == []
