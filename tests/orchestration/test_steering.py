"""People steer a running goal: pause, cancel, retry, fork, direct. It is in the ledger who did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from agentsys.gateway.scripted import Say, Script, _scripts
from agentsys.kernel.errors import BadInput, IllegalMove, LeaseLost
from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Recovery, Task
from orchestration.services import proposals
from orchestration.services.approvals import NotAllowed, approval_decide
from orchestration.services.briefs import brief_build
from orchestration.services.fsck import fsck
from orchestration.services.goals import (
    goal_cancel,
    goal_direct,
    goal_prioritise,
    goal_retry,
)
from orchestration.services.hotpath import claim, goal_next
from orchestration.services.ledger import goal_locked, ledger_verify
from orchestration.services.pausing import goal_pause, goal_resume
from orchestration.services.ports import AttemptPorts
from orchestration.services.running import serve, task_serve
from orchestration.services.sessions import session_current
from orchestration.services.verdicts import verdict_overrule
from tests.orchestration.pump import (
    attempt_of,
    events,
    node,
    pump,
    submit,
    task_named,
)
from tests.orchestration.test_approvals import held, lines
from verification.services import verdicts_of

pytestmark = pytest.mark.django_db(transaction=True)

NEEDS_MORE = {"type": "object", "required": ["more"]}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


def command(key: str, *needs: str, **rest: Any) -> dict[str, Any]:
    return node(key, *needs, agent="command", inputs={"argv": ["true"]}, **rest)


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def test_a_paused_goal_claims_nothing_until_it_is_resumed() -> None:
    goal = submit(node("a"), command("b"))
    goal_pause(goal.pk, actor="ann", reason="lunch")
    length = Goal.objects.get(pk=goal.pk).ledger_seq
    goal_pause(goal.pk, actor="bob")  # already: nothing
    assert serve() == 0
    assert task_serve(task_named(goal, "b").pk, 0) == "not claimable"
    assert Goal.objects.get(pk=goal.pk).ledger_seq == length
    goal_resume(goal.pk, actor="ann")
    goal_resume(goal.pk, actor="ann")
    assert events(goal).count("goal.resumed") == 1
    assert pump(goal).state == "succeeded"
    assert goal.ledger.get(event="goal.paused").actor == "ann"
    whole(goal)


def test_a_pause_moves_the_deadline() -> None:
    due = timezone.now() + timedelta(hours=1)
    goal = submit(node("a"), deadline_at=due)
    goal_pause(goal.pk, actor="ann")
    Goal.objects.filter(pk=goal.pk).update(paused_at=timezone.now() - timedelta(seconds=90))
    goal_resume(goal.pk, actor="ann")
    goal.refresh_from_db()
    assert goal.deadline_at is not None
    assert 90 <= (goal.deadline_at - due).total_seconds() < 100


def test_what_runs_when_a_goal_is_cancelled_has_no_say_any_more() -> None:
    goal = submit(node("a"), command("b"))
    with goal_locked(goal.pk) as book:
        session = session_current()
        (taken,) = claim(book, owner=session.id, lease_seconds=30, task_id=task_named(goal, "b").pk)
    ports = AttemptPorts(taken, goal.pk, session)
    ports.guard()
    goal_cancel(goal.pk, actor="ann", reason="enough")
    with pytest.raises(LeaseLost):
        ports.guard()
    goal.refresh_from_db()
    assert (goal.state, goal.reason) == ("cancelled", "enough")
    assert set(Task.objects.filter(goal=goal).values_list("state", flat=True)) == {"cancelled"}
    with pytest.raises(IllegalMove):
        goal_cancel(goal.pk, actor="ann")
    whole(goal)


def test_cancelling_withdraws_what_waits_for_people(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    goal_cancel(goal.pk, actor="ann")
    assert ApprovalRequest.objects.get(pk=request.pk).state == "withdrawn"
    assert Proposal.objects.get(goal=goal).state == "withdrawn"
    whole(goal)


def test_an_action_that_was_taken_up_before_the_cancel_does_not_begin_after_it(
    tmp_path: Path,
) -> None:
    """As when the process is stopped in between, for longer than anybody waits."""
    goal, request = held(tmp_path / "w")
    ann = User.objects.create_superuser("ann")
    approval_decide(request.pk, user=ann, decision="approve")
    taken = proposals._take(Proposal.objects.get(goal=goal).pk, alone=True)
    assert taken is not None
    goal_cancel(goal.pk, actor="ann")
    assert proposals._act(taken) == "withdrawn"
    assert lines(tmp_path / "w") == []
    whole(goal)


def test_a_failed_goal_is_retried_from_its_failures_and_done_work_stays() -> None:
    goal = pump(
        submit(
            node("a"),
            node("b", "a", output_schema=NEEDS_MORE, retry={"attempts_max": 2}),
            node("c", "b"),
        )
    )
    assert goal.state == "failed"
    done = task_named(goal, "a").accepted_attempt_id
    assert goal_retry(goal.pk, actor="ann") == 2
    goal.refresh_from_db()
    assert (goal.state, goal.finished_at, goal.reason) == ("running", None, "")
    assert (task_named(goal, "b").state, task_named(goal, "c").state) == ("ready", "blocked")
    assert task_named(goal, "c").unmet == 1
    pump(goal)
    assert goal.state == "failed"  # for the same reason
    assert Attempt.objects.filter(goal=goal, task__key="b").count() == 4  # all its patience again
    assert task_named(goal, "a").accepted_attempt_id == done
    whole(goal)


def test_an_optional_task_that_others_went_on_without_is_not_revived() -> None:
    never = {"output_schema": NEEDS_MORE, "retry": {"attempts_max": 1}}
    goal = pump(
        submit(
            node("extra", optional=True, **never),
            node("lonely", optional=True, **never),
            node("after", "extra"),
            node("b", **never),
        )
    )
    assert goal.state == "failed"
    assert goal_retry(goal.pk, actor="ann") == 2
    states = dict(Task.objects.filter(goal=goal).values_list("key", "state"))
    assert states == {"extra": "failed", "lonely": "ready", "after": "done", "b": "ready"}
    whole(goal)


def test_a_revived_task_begins_on_the_first_rung_of_the_ladder() -> None:
    goal = pump(submit(node("a", output_schema=NEEDS_MORE, retry={"attempts_max": 1})))
    task = task_named(goal, "a")
    Recovery.objects.create(task=task, model="scripted:other", attempts_base=1)
    goal_retry(goal.pk, actor="ann")
    assert not Recovery.objects.filter(task=task).exists()
    task.refresh_from_db()
    assert task.attempts_count - task.attempts_forgiven == 1  # the one that is queued


def test_a_directive_reaches_a_running_attempt_at_its_next_step(settings: Any) -> None:
    """The person speaks while the model thinks about its first step."""
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:teller")
    finish = Say(calls=(("finish", {"text": "done"}),))
    goal = submit(node("a", agent="model", output_schema={"type": "object"}))
    lines = Speaking([finish, finish], lambda: goal_direct(goal.pk, "use tabs", actor="ann"))
    _scripts["teller"] = lines
    task = task_named(goal, "a")
    assert task_serve(task.pk, task.fence) == "done"
    assert "use tabs" not in str(lines.asked[0])
    assert "A person tells you: use tabs" in str(lines.asked[1])
    assert pump(goal).state == "succeeded"
    whole(goal)


class Speaking(Script):
    """A script during whose first turn something happens."""

    def __init__(self, turns: list[Any], happens: Callable[[], object]) -> None:
        super().__init__(turns)
        self._happens = happens

    def next(self, messages: list[Any]) -> Any:
        if not self.asked:
            self._happens()
        return super().next(messages)


def test_only_a_failed_goal_can_be_retried() -> None:
    goal = submit(node("a"))
    with pytest.raises(IllegalMove):
        goal_retry(goal.pk, actor="ann")
    pump(goal)
    with pytest.raises(IllegalMove):
        goal_retry(goal.pk, actor="ann")


def test_a_directive_is_in_every_later_brief() -> None:
    goal = submit(command("a"))
    goal_direct(goal.pk, "use tabs", actor="ann")
    with pytest.raises(BadInput):
        goal_direct(goal.pk, "  ", actor="ann")
    with goal_locked(goal.pk) as book:
        (taken,) = claim(book, owner=1, lease_seconds=30, task_id=task_named(goal, "a").pk)
        assert brief_build(book, taken).directives == ("use tabs",)
    assert goal.ledger.get(event="goal.directed").actor == "ann"


def test_priority_decides_whose_turn_it_is() -> None:
    first, second = submit(node("a")), submit(node("a"))
    assert goal_next("cheap") == first.pk
    goal_prioritise(second.pk, 10, actor="ann")
    assert goal_next("cheap") == second.pk
    with pytest.raises(BadInput):
        goal_prioritise(second.pk, 10_000, actor="ann")


def test_a_person_overrules_a_verifier_with_a_reason_and_only_with_permission() -> None:
    check = {"verify": ["schema", "execution"], "check": {"argv": ["false"]}}
    goal = submit(command("a", **check))
    task_serve(task_named(goal, "a").pk, 0)
    attempt = attempt_of(goal, "a")
    from orchestration.services.verdicts import attempt_verify

    attempt_verify(attempt.pk, "execution", "")
    ann = User.objects.create_user("ann")
    with pytest.raises(NotAllowed):
        verdict_overrule(attempt.pk, "execution", outcome="pass", user=ann, reason="I ran it")
    ann.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    ann = User.objects.get(pk=ann.pk)
    with pytest.raises(BadInput):
        verdict_overrule(attempt.pk, "execution", outcome="pass", user=ann, reason=" ")
    assert task_named(goal, "a").state == "verifying"
    verdict_overrule(attempt.pk, "execution", outcome="pass", user=ann, reason="I ran it")
    assert task_named(goal, "a").state == "done"
    assert goal.ledger.get(event="verdict.overruled").actor == "ann"
    assert pump(goal).state == "succeeded"
    whole(goal)


PROSE: dict[str, Any] = {"verify": ["schema", "semantic"], "acceptance": ["it is friendly"]}


def unproven(**rest: Any) -> tuple[Goal, Attempt, ApprovalRequest]:
    """Nobody can judge prose without a model, so a person is asked."""
    goal = pump(submit(node("a", **{**PROSE, **rest})))
    return goal, attempt_of(goal, "a"), ApprovalRequest.objects.get(goal=goal, state="open")


def test_a_verdict_that_is_overruled_while_a_person_is_asked_answers_the_question() -> None:
    goal, attempt, asked = unproven()
    root = User.objects.create_superuser("root")
    verdict_overrule(attempt.pk, "semantic", outcome="pass", user=root, reason="friendly enough")
    asked.refresh_from_db()
    assert (asked.state, task_named(goal, "a").state) == ("withdrawn", "done")
    assert goal.ledger.get(event="task.accepted").actor == "root"
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_a_verdict_that_a_person_turns_down_sends_the_task_back() -> None:
    goal, attempt, asked = unproven(retry={"attempts_max": 2})
    root = User.objects.create_superuser("root")
    verdict_overrule(attempt.pk, "schema", outcome="fail", user=root, reason="not a greeting")
    asked.refresh_from_db()
    attempt.refresh_from_db()
    assert (asked.state, attempt.state) == ("withdrawn", "rejected")
    assert "not a greeting" in task_named(goal, "a").reason
    assert task_named(goal, "a").state == "ready"
    whole(goal)


def test_the_question_stays_while_the_verdicts_still_do_not_decide() -> None:
    goal, attempt, asked = unproven(verify=["schema", "semantic", "consensus"])
    root = User.objects.create_superuser("root")
    verdict_overrule(attempt.pk, "semantic", outcome="pass", user=root, reason="friendly enough")
    asked.refresh_from_db()
    assert (asked.state, task_named(goal, "a").state) == ("open", "held")


def test_a_verdict_of_an_attempt_that_is_over_is_not_overruled_and_the_way_out_is_named() -> None:
    goal = pump(submit(node("a", **PROSE, unproven="reject", retry={"attempts_max": 1})))
    attempt = attempt_of(goal, "a")
    root = User.objects.create_superuser("root")
    before = goal.ledger.count()
    with pytest.raises(IllegalMove, match=f"goals override {goal.pk}/a"):
        verdict_overrule(attempt.pk, "semantic", outcome="pass", user=root, reason="friendly")
    assert goal.ledger.count() == before
    (view,) = [v for v in verdicts_of([attempt.pk])[attempt.pk] if v.verifier == "semantic"]
    assert view.override is None
