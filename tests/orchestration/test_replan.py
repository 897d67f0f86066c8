"""People change a plan while it runs: nothing done is lost, nothing old goes on, no cycle appears."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentsys.kernel.errors import BadInput, ExitCode, IllegalMove, LeaseLost, NotFound
from orchestration.models import Attempt, Goal, Plan, Task
from orchestration.services.advance import advance
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_retry
from orchestration.services.hotpath import claim
from orchestration.services.ledger import goal_locked
from orchestration.services.pausing import task_pause
from orchestration.services.ports import AttemptPorts
from orchestration.services.reads import plan_view
from orchestration.services.rebuild import rebuild_check
from orchestration.services.replan import (
    PlanMoved,
    Revision,
    plan_extend,
    plan_revise,
    task_edit,
)
from orchestration.services.running import serve
from orchestration.services.sessions import session_current
from tests.orchestration.pump import at_once, node, pump, submit

pytestmark = pytest.mark.django_db(transaction=True)

COMMAND: dict[str, Any] = {"agent": "command", "inputs": {"argv": ["true"]}}
NEVER: dict[str, Any] = {
    "output_schema": {"type": "object", "required": ["more"]},
    "retry": {"attempts_max": 1},
}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


def whole(goal: Goal) -> None:
    assert fsck(goal.pk, deep=True) == []
    assert rebuild_check(goal.pk) == []


def named(goal: Goal, key: str) -> Task:
    return Task.objects.exclude(state="superseded").get(goal=goal, key=key)


def states(goal: Goal) -> dict[str, str]:
    rows = Task.objects.filter(goal=goal).exclude(state="superseded")
    return dict(rows.values_list("key", "state"))


def output_of(task: Task) -> Any:
    return Attempt.objects.values_list("report__output", flat=True).get(
        pk=task.accepted_attempt_id or 0
    )


def revise(goal: Goal, *tasks: dict[str, Any], base: int | None = None) -> Revision:
    if base is None:
        base = Plan.objects.get(goal=goal, state="active").version
    document = {"objective": "to test", "tasks": list(tasks)}
    return plan_revise(goal.pk, document, base_version=base, actor="ann")


def test_done_work_is_kept_what_is_new_is_added_and_what_is_not_said_is_dropped() -> None:
    goal = submit(node("a"), node("b", "a"), node("c", "b", **COMMAND))
    serve()
    assert states(goal) == {"a": "done", "b": "done", "c": "ready"}
    done = named(goal, "a").pk, named(goal, "b").pk
    changed = revise(goal, node("a"), node("b", "a"), node("d", "a", "b"))
    assert (changed.kept, changed.new, changed.dropped) == (("a", "b"), ("d",), ("c",))
    assert (named(goal, "a").pk, named(goal, "b").pk) == done
    assert Task.objects.get(goal=goal, key="c").state == "superseded"
    assert pump(goal).state == "succeeded"
    assert states(goal) == {"a": "done", "b": "done", "d": "done"}
    whole(goal)


def test_what_runs_and_is_dropped_loses_its_lease() -> None:
    goal = submit(node("a"), node("b", **COMMAND))
    with goal_locked(goal.pk) as book:
        session = session_current()
        (taken,) = claim(book, owner=session.id, lease_seconds=30, task_id=named(goal, "b").pk)
    ports = AttemptPorts(taken, goal.pk, session)
    ports.guard()
    assert revise(goal, node("a")).stopped == ("b",)
    with pytest.raises(LeaseLost):
        ports.guard()
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_another_definition_replaces_a_task_and_done_work_built_on_it_is_told_to_be_stale() -> None:
    goal = submit(node("a", inputs={"n": 1}), node("b", "a"), node("last", **COMMAND))
    serve()
    last = node("last", "b", **COMMAND)
    changed = revise(goal, node("a", inputs={"n": 2}), node("b", "a"), last)
    assert (changed.again, changed.stale) == (("a", "last"), ("b",))
    assert Attempt.objects.filter(goal=goal, task__key="a", state="accepted").count() == 1
    assert pump(goal).state == "succeeded"
    assert named(goal, "a").definition["inputs"] == {"n": 2}
    whole(goal)


def test_of_two_who_change_a_plan_the_second_is_told() -> None:
    goal = submit(node("a"), node("b", "a"))
    revise(goal, node("a"), node("b", "a"), node("c"), base=1)
    seq = Goal.objects.get(pk=goal.pk).ledger_seq
    with pytest.raises(PlanMoved, match="version 2, not 1") as refused:
        revise(goal, node("a"), base=1)
    assert refused.value.exit_code == ExitCode.CONFLICT
    assert Goal.objects.get(pk=goal.pk).ledger_seq == seq
    assert revise(goal, node("a"), node("b", "a"), node("c")).version == 2  # nothing to change
    whole(goal)


def test_two_edits_at_once_make_no_cycle() -> None:
    goal = submit(node("a"), node("b"), node("last", "a", "b", **COMMAND))
    first = {"tasks": [node("x", "a"), node("y", "x")]}
    second = {"tasks": [node("y", "b"), node("x", "y")]}
    results = at_once(
        [
            lambda: plan_extend(goal.pk, first, actor="ann"),
            lambda: plan_extend(goal.pk, second, actor="bob"),
        ]
    )
    assert sorted(type(r).__name__ for r in results) == ["BadInput", "Revision"]
    assert Plan.objects.filter(goal=goal).count() == 2
    whole(goal)


def test_a_plan_that_cannot_run_changes_nothing() -> None:
    goal = submit(node("a"), node("b", "a"))
    before = Goal.objects.get(pk=goal.pk).ledger_seq
    for tasks in ((node("a", "b"), node("b", "a")), (node("a", agent="nobody"),), ()):
        with pytest.raises(BadInput):
            revise(goal, *tasks)
    with pytest.raises(BadInput, match="key `b` is taken"):
        plan_extend(goal.pk, {"tasks": [node("b")]}, actor="ann")
    with pytest.raises(NotFound):
        task_edit(goal.pk, "zzz", {"inputs": {}}, actor="ann")
    with pytest.raises(BadInput, match="`agent` cannot be edited"):
        task_edit(goal.pk, "a", {"agent": "command"}, actor="ann")
    with pytest.raises(BadInput):
        task_edit(goal.pk, "a", {"inputs": {"x": "${tasks.b.output.y}"}}, actor="ann")
    assert Goal.objects.get(pk=goal.pk).ledger_seq == before
    whole(goal)


def test_tasks_are_added_to_a_running_goal_and_others_go_on() -> None:
    goal = submit(node("a"), node("b", "a", **COMMAND))
    serve()
    added = plan_extend(goal.pk, {"tasks": [node("c", "a"), node("d", "b", "c")]}, actor="ann")
    assert (added.new, added.kept, added.version) == (("c", "d"), ("a", "b"), 2)
    assert pump(goal).state == "succeeded"
    assert set(states(goal)) == set("abcd")
    with pytest.raises(IllegalMove):
        plan_extend(goal.pk, {"tasks": [node("e")]}, actor="ann")
    whole(goal)


def test_an_edit_shows_beforehand_what_runs_again_and_then_it_does() -> None:
    last = node("last", "b", "x", **COMMAND)
    goal = submit(node("a", inputs={"n": 1}), node("b", "a"), node("x"), last)
    serve()
    before = Goal.objects.get(pk=goal.pk).ledger_seq
    shown = task_edit(goal.pk, "a", {"inputs": {"n": 2}}, actor="ann", preview=True)
    assert (shown.preview, shown.again, shown.kept) == (True, ("a", "b", "last"), ("x",))
    assert Goal.objects.get(pk=goal.pk).ledger_seq == before
    done = task_edit(goal.pk, "a", {"inputs": {"n": 2}}, actor="ann")
    assert replace(done, preview=True) == shown
    assert pump(goal).state == "succeeded"
    assert output_of(named(goal, "a"))["echo"] == {"n": 2}
    old = Task.objects.get(goal=goal, key="a", state="superseded")
    assert output_of(old)["echo"] == {"n": 1}
    whole(goal)


def test_a_failed_goal_goes_on_with_an_edited_task() -> None:
    goal = pump(submit(node("a"), node("b", "a", **NEVER), node("c", "b"), node("d", "c")))
    assert goal.state == "failed"
    done = named(goal, "a").pk
    task_edit(goal.pk, "b", {"output_schema": {"type": "object"}}, actor="ann")
    assert pump(goal).state == "succeeded"
    assert named(goal, "a").pk == done
    whole(goal)


def test_a_revision_revives_what_had_failed_and_is_said_again() -> None:
    goal = pump(submit(node("a"), node("b", "a", **NEVER), node("c", "b")))
    assert goal.state == "failed"
    changed = revise(goal, node("a"), node("b", "a", **NEVER), node("c", "b"), node("d", "a"))
    assert (changed.again, changed.new) == (("b", "c"), ("d",))
    assert pump(goal).state == "failed"
    goal_retry(goal.pk, actor="ann")
    whole(goal)


EACH = {"agent": "noop", "objective": "x", "verify": ["schema"], "inputs": {"n": "${item}"}}
FAN = {"over": "${tasks.seed.output.echo.items}", "key": "${item}", "task": EACH}


def fanned(**rest: Any) -> Goal:
    return submit(
        node("seed", inputs={"items": [1, 2, 3]}),
        node("fan", "seed", agent="collect", fan_out=FAN),
        node("last", "fan", **COMMAND),
        **rest,
    )


def test_the_children_of_a_fan_out_stand_and_fall_with_it() -> None:
    goal = fanned()
    serve()
    advance(goal.pk)
    assert set(states(goal)) == {"seed", "fan", "last", "fan[1]", "fan[2]", "fan[3]"}
    children = set(
        Task.objects.filter(goal=goal, parent__isnull=False).values_list("pk", flat=True)
    )
    plan_extend(goal.pk, {"tasks": [node("more", "fan")]}, actor="ann")
    standing = Task.objects.filter(goal=goal, parent__isnull=False).exclude(state="superseded")
    assert set(standing.values_list("pk", flat=True)) == children
    task_edit(goal.pk, "seed", {"inputs": {"items": [7]}}, actor="ann")
    assert set(states(goal)) == {"seed", "fan", "last", "more"}
    assert pump(goal).state == "succeeded"
    assert set(states(goal)) == {"seed", "fan", "last", "more", "fan[7]"}
    whole(goal)


def test_an_edited_child_runs_again_beside_its_siblings() -> None:
    goal = fanned()
    serve()
    advance(goal.pk)
    serve()
    siblings = named(goal, "fan[1]").pk, named(goal, "fan[3]").pk
    assert named(goal, "fan").state == "done"
    changed = task_edit(goal.pk, "fan[2]", {"inputs": {"n": 20}}, actor="ann")
    assert changed.again == ("fan[2]", "fan", "last")
    assert pump(goal).state == "succeeded"
    assert (named(goal, "fan[1]").pk, named(goal, "fan[3]").pk) == siblings
    assert "20" in str(output_of(named(goal, "fan")))
    whole(goal)


def test_what_replaces_a_paused_task_is_paused() -> None:
    goal = submit(node("a"), node("b", "a"))
    task_pause(named(goal, "b").pk, actor="ann")
    task_edit(goal.pk, "b", {"inputs": {"n": 2}}, actor="ann")
    assert named(goal, "b").paused_at is not None
    assert pump(goal).state == "running"
    whole(goal)


def expanded() -> Goal:
    """A goal whose fan-out has made its children, and none of them has run."""
    goal = fanned()
    serve()
    advance(goal.pk)
    return goal


def test_new_tasks_may_need_a_child_of_a_fan_out_and_later_changes_keep_them() -> None:
    goal = expanded()
    plan_extend(goal.pk, {"tasks": [node("more", "fan[2]")]}, actor="ann")
    plan_extend(goal.pk, {"tasks": [node("again", "seed")]}, actor="ann")
    task_edit(goal.pk, "last", {"objective": "another"}, actor="ann")
    assert {"more", "again", "fan[1]", "fan[2]"} <= set(states(goal))
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_a_plan_that_is_read_and_given_back_changes_nothing() -> None:
    goal = expanded()
    plan_extend(goal.pk, {"tasks": [node("more", "fan[2]")]}, actor="ann")
    told = revise(goal, *plan_view(goal.pk)["tasks"])
    assert (told.again, told.new, told.dropped) == ((), (), ())
    assert pump(goal).state == "succeeded"
    whole(goal)


BACKWARDS = {**FAN, "task": {**EACH, "depends_on": ["helper"]}}


def test_a_way_back_from_a_child_to_its_fan_out_is_a_cycle() -> None:
    seed = node("seed", inputs={"items": [1]})
    fan = node("fan", "seed", agent="collect", fan_out=BACKWARDS)
    goal = submit(seed, fan, node("helper", **COMMAND))
    serve()
    advance(goal.pk)
    with pytest.raises(BadInput, match="cycle"):
        revise(goal, seed, fan, node("helper", "fan", **COMMAND))
    assert pump(goal).state == "succeeded"
    unseen = submit(seed, fan, node("helper", "fan"))  # no child is there yet to be asked
    assert pump(unseen).state == "failed"
    assert [fsck(one.pk, deep=True) for one in (goal, unseen)] == [[], []]


def test_children_of_children_are_edited_and_built_upon_too() -> None:
    inner = {**FAN, "as": "j", "key": "${j}", "task": {**EACH, "inputs": {"n": "${j}"}}}
    each = {**EACH, "agent": "collect", "fan_out": inner}
    each.pop("inputs", None)
    goal = submit(
        node("seed", inputs={"items": [1, 2]}),
        node("fan", "seed", agent="collect", fan_out={**FAN, "task": each}),
        node("last", "fan", **COMMAND),
    )
    serve()
    advance(goal.pk)
    advance(goal.pk)
    before = set(states(goal))
    assert "fan[1][2]" in before
    plan_extend(goal.pk, {"tasks": [node("more", "fan[1][2]")]}, actor="ann")
    assert set(states(goal)) == {*before, "more"}
    serve()
    told = task_edit(goal.pk, "fan[1][2]", {"inputs": {"n": 9}}, actor="ann")
    assert told.again == ("fan[1][2]", "more", "fan[1]", "fan", "last")
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_a_preview_of_a_revision_writes_nothing() -> None:
    goal = submit(node("a"), node("b", "a"))
    version = Plan.objects.get(goal=goal, state="active").version
    document = {"objective": "to test", "tasks": [node("a"), node("c", "a")]}
    told = plan_revise(goal.pk, document, base_version=version, actor="ann", preview=True)
    assert (told.preview, told.new, told.dropped) == (True, ("c",), ("b",))
    more = {"tasks": [node("d", "a")]}
    assert plan_extend(goal.pk, more, actor="ann", preview=True).new == ("d",)
    assert states(goal) == {"a": "ready", "b": "blocked"}
    assert Plan.objects.filter(goal=goal).count() == 1
    whole(goal)
