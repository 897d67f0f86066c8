"""A person's output counts in the place of an agent's, and it is told what ran on the old one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from agentsys.kernel.errors import BadInput, IllegalMove, NotFound
from orchestration.cli.revising import override_text
from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Task
from orchestration.services.approvals import NotAllowed
from orchestration.services.fsck import fsck
from orchestration.services.overrides import Override, output_override, output_to_edit
from orchestration.services.running import serve, task_serve
from tests.orchestration.pump import attempt_of, node, pump, row_counts, submit, task_named
from tests.orchestration.test_approvals import held
from verification import services as verification

pytestmark = pytest.mark.django_db(transaction=True)

MORE: dict[str, Any] = {"echo": {"more": 1}}
COMMAND: dict[str, Any] = {"agent": "command", "inputs": {"argv": ["true"]}}
RAN: dict[str, Any] = {
    "exit_code": 0, "stdout": "", "stderr": "", "duration_seconds": 1, "truncated": False,
    "timed_out": False,
}  # fmt: skip
NEVER: dict[str, Any] = {
    "output_schema": {"type": "object", "properties": {"echo": {"required": ["more"]}}},
    "retry": {"attempts_max": 1},
}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


@pytest.fixture
def ann() -> User:
    user = User.objects.create_user("ann")
    user.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    return User.objects.get(pk=user.pk)


def override(goal: Goal, key: str, user: User, **rest: Any) -> Override:
    task = Task.objects.exclude(state="superseded").get(goal=goal, key=key)
    said = {"output": {"echo": {"n": 42}}, "reason": "I counted by hand", **rest}
    return output_override(task.pk, said.pop("output"), user=user, **said)


def whole(goal: Goal) -> None:
    assert fsck(goal.pk, deep=True) == []


def test_a_done_task_gets_a_persons_output_and_what_ran_on_the_old_one_is_told(ann: User) -> None:
    last = node("last", "b", **COMMAND)
    later = node("later", "a", "last", inputs={"got": "${tasks.a.output.echo.n}"})
    goal = submit(node("a", inputs={"n": 1}), node("b", "a"), last, later)
    serve()
    old = attempt_of(goal, "a")
    ended = old.finished_at
    told = override(goal, "a", ann)
    assert told.stale == ("b",)
    old.refresh_from_db()
    assert old.finished_at == ended is not None, (
        "it was verified by then, whoever overruled it later"
    )
    new = attempt_of(goal, "a")
    assert (old.state, old.reason) == ("rejected", "overruled by ann: I counted by hand")
    assert old.report is not None
    assert (new.pk, new.state, new.number) == (told.attempt, "accepted", 2)
    for attempt, outcome in ((old, "fail"), (new, "pass")):
        (view,) = verification.verdicts_of([attempt.pk])[attempt.pk]
        assert view.override is not None
        assert (view.override.outcome, view.override.by) == (outcome, "ann")
    assert goal.ledger.get(event="output.overridden").payload["stale"] == ["b"]
    assert pump(goal).state == "succeeded"
    report = attempt_of(goal, "later").report
    assert report is not None
    assert report["output"]["echo"] == {"got": 42}
    whole(goal)


def test_what_ran_on_the_old_output_runs_again_where_the_person_says_so(ann: User) -> None:
    goal = submit(
        node("a", inputs={"m": 1}),
        node("b", "a", inputs={"got": "${tasks.a.output.echo.n}"}),
        node("last", "b", **COMMAND),
    )
    goal.refresh_from_db()
    override_first = task_named(goal, "a")
    serve()
    assert task_named(goal, "b").state == "failed"  # there is no `n` in what it echoes
    told = override(goal, "a", ann, rerun=True)
    assert told.stale == ("b",)
    assert pump(goal).state == "succeeded"
    assert Task.objects.get(pk=override_first.pk).state == "done"
    b = Task.objects.exclude(state="superseded").get(goal=goal, key="b")
    assert Attempt.objects.get(task=b, state="accepted").report["output"]["echo"] == {"got": 42}  # type: ignore[index]
    whole(goal)


@pytest.mark.parametrize("rerun", [False, True])
def test_a_dry_run_says_what_the_override_then_does_and_writes_nothing(
    ann: User, rerun: bool
) -> None:
    tail = node("last", "b", **COMMAND)
    goal = submit(node("a", inputs={"n": 1}), node("b", "a"), node("c", "b"), tail)
    serve()
    before = (row_counts(), Goal.objects.get(pk=goal.pk).ledger_head)
    would = override(goal, "a", ann, rerun=rerun, preview=True)
    assert (row_counts(), Goal.objects.get(pk=goal.pk).ledger_head) == before
    assert would.again == (("b", "c", "last") if rerun else ())
    did = override(goal, "a", ann, rerun=rerun)
    assert replace(would, attempt=did.attempt, preview=False) == did
    ran = Attempt.objects.filter(goal=goal, state="queued").values_list("task__key", flat=True)
    assert ("b" in ran) is rerun
    assert pump(goal).state == "succeeded"
    counts = Attempt.objects.filter(goal=goal, task__key="c").count()
    assert counts == (2 if rerun else 1)
    whole(goal)


def test_a_dry_run_of_a_failed_goal_names_what_goes_on(ann: User) -> None:
    goal = pump(submit(node("a", **NEVER), node("b", **NEVER), node("c", "a")))
    assert goal.state == "failed"
    would = override(goal, "a", ann, output=MORE, preview=True)
    assert (would.revives, would.preview, would.attempt) == (True, True, 0)
    did = override(goal, "a", ann, output=MORE)
    assert replace(would, attempt=did.attempt, preview=False) == did
    again = Task.objects.filter(goal=goal, key__in=would.again)
    assert not again.filter(state__in=("failed", "cancelled")).exists()


def test_a_dry_run_is_refused_as_the_override_is(ann: User) -> None:
    goal = submit(node("a"))
    with pytest.raises(IllegalMove):
        override(goal, "a", ann, preview=True)
    with pytest.raises(NotAllowed):
        override(goal, "a", User.objects.create_user("bob"), preview=True)


def test_a_failed_goal_goes_on_with_a_persons_output(ann: User) -> None:
    goal = pump(submit(node("a"), node("b", "a", **NEVER), node("c", "b"), node("d", "c")))
    assert goal.state == "failed"
    told = override(goal, "b", ann, output=MORE)
    assert told.stale == ()
    assert pump(goal).state == "succeeded"
    (view,) = verification.verdicts_of([told.attempt])[told.attempt]
    assert (str(view.counts_as), view.override and view.override.by) == ("pass", "ann")
    whole(goal)


def test_an_optional_task_that_had_failed_is_made_up_for(ann: User) -> None:
    goal = submit(node("a", optional=True, **NEVER), node("b", "a"), node("last", **COMMAND))
    serve()
    assert (task_named(goal, "a").state, task_named(goal, "b").state) == ("failed", "done")
    assert override(goal, "a", ann, output=MORE).stale == ("b",)
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_what_was_held_for_a_person_is_void(ann: User, tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    key = request.task.key  # type: ignore[union-attr]
    output = {"results": [], "ok": True, "failed": []}
    would = override(goal, key, ann, output=output, preview=True)
    assert would.withdrawn == (request.pk,)
    assert f"approval-{request.pk} would be withdrawn" in override_text(would)
    assert override(goal, key, ann, output=output).withdrawn == (request.pk,)
    assert ApprovalRequest.objects.get(pk=request.pk).state == "withdrawn"
    assert Proposal.objects.get(goal=goal).state == "withdrawn"
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_the_form_of_an_output_is_no_matter_of_authority(ann: User) -> None:
    goal = pump(submit(node("a", **NEVER), node("b", "a")))
    before = row_counts()
    with pytest.raises(BadInput, match="'more' is a required property"):
        override(goal, "a", ann)  # the task's own schema
    with pytest.raises(BadInput, match="'m' was unexpected"):
        override(goal, "a", ann, output={**MORE, "m": 1})  # the agent's
    goal.refresh_from_db()
    assert (goal.state, row_counts()) == ("failed", before)
    whole(goal)


def test_an_output_of_another_form_is_told_an_example_of_the_whole_one(ann: User) -> None:
    goal = pump(submit(node("a", **NEVER), node("run", **COMMAND), node("b", "a")))
    with pytest.raises(BadInput, match=r'a whole output looks like \{"echo": \{"more": "…"\}\}'):
        override(goal, "a", ann)
    with pytest.raises(BadInput, match=r'looks like \{"exit_code": 0, "stdout": "…"') as refused:
        override(goal, "run", ann, output={"exit_code": 0})
    assert f"`goals override {goal.pk}/run` prints" in refused.value.problems[-1]


def test_an_override_begins_with_what_counts_else_with_what_was_handed_in_else_with_an_example(
    ann: User,
) -> None:
    goal = submit(node("a", inputs={"n": 1}), node("b", "a", **NEVER), node("c", "b", **COMMAND))
    assert output_to_edit(task_named(goal, "a").pk) == {"echo": {}}
    pump(goal)
    assert output_to_edit(task_named(goal, "a").pk) == {"echo": {"n": 1}}
    assert output_to_edit(task_named(goal, "b").pk) == {"echo": {}}  # refused
    assert output_to_edit(task_named(goal, "c").pk)["exit_code"] == 0  # never ran
    override(goal, "b", ann, output=MORE)
    assert output_to_edit(task_named(goal, "b").pk) == MORE
    with pytest.raises(NotFound):
        output_to_edit(999_999)


def test_an_output_in_verification_is_overruled(ann: User) -> None:
    check: dict[str, Any] = {"verify": ["schema", "execution"], "check": {"argv": ["false"]}}
    goal = submit(node("a", **COMMAND, **check), node("b", "a"))
    task_serve(task_named(goal, "a").pk, 0)
    assert task_named(goal, "a").state == "verifying"
    told = override(goal, "a", ann, output=RAN)
    said = {v.verifier: v for v in verification.verdicts_of([told.attempt])[told.attempt]}
    assert set(said) == {"schema", "execution"}
    assert str(said["execution"].outcome) == "abstain"
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_an_override_needs_permission_a_reason_and_something_to_override(ann: User) -> None:
    goal = submit(node("a"), node("b", "a"))
    task = task_named(goal, "a")
    bob = User.objects.create_user("bob")
    before = row_counts()
    with pytest.raises(NotAllowed, match="permission `override_verdict`, which superusers have"):
        override(goal, "a", bob)
    with pytest.raises(BadInput, match="give one"):
        override(goal, "a", ann, reason=" ")
    with pytest.raises(BadInput, match="not an object"):
        override(goal, "a", ann, output=[1])
    with pytest.raises(IllegalMove):
        override(goal, "b", ann)  # still blocked
    with pytest.raises(NotFound):
        output_override(999_999, {}, user=ann, reason="x")
    pump(goal)
    with pytest.raises(IllegalMove):  # it is over: fork it
        override(goal, "a", ann)
    assert task.pk
    assert row_counts()["agentsys_orchestration.Task"] == before["agentsys_orchestration.Task"]
    whole(goal)
