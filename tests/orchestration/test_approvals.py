"""People decide, once, with reasons where they matter; what they decide is what happens."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from agentsys.kernel.errors import BadInput, NotFound
from orchestration.models import ApprovalRequest, Attempt, Decision, Goal, Proposal, Task
from orchestration.services import proposals
from orchestration.services.advance import advance
from orchestration.services.approvals import (
    AlreadyDecided,
    NotAllowed,
    approval_decide,
    approval_expire,
)
from orchestration.services.forks import goal_fork
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel, goal_retry, goal_submit, project_join
from orchestration.services.ledger import ledger_verify
from orchestration.services.pausing import goal_pause, goal_resume
from orchestration.services.proposals import APPLY_LOCK, proposal_apply
from orchestration.services.replan import task_edit
from orchestration.services.requests import BeingApplied
from orchestration.services.sweep import expired, sweep
from orchestration.services.why import why
from tests.orchestration.pump import (
    asked_about,
    at_once,
    attempt_of,
    events,
    node,
    pump,
    submit,
    task_named,
)
from workers.services import effect_begin, effect_get

pytestmark = pytest.mark.django_db(transaction=True)


def person(name: str, role: str = "approver") -> User:
    user = User.objects.create_user(name)
    project_join("default", user=user, role=role)
    return user


def action(folder: Path, *, text: str = "x", first: str = "true", **rest: Any) -> dict[str, Any]:
    """A task that wants to append a line to a file outside its workspace."""
    folder.mkdir(exist_ok=True)
    argv = ["sh", "-c", f"{first}; echo {text} >> {folder}/log"]
    inputs = {"action": {"argv": argv, "why": "to leave a line", "writable": [str(folder)]}}
    return node("act", agent="devops", inputs=inputs, **rest)


def lines(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().split() if log.exists() else []


def held(folder: Path, **rest: Any) -> tuple[Goal, ApprovalRequest]:
    goal = pump(submit(action(folder, **rest), node("after", "act")))
    assert task_named(goal, "act").state == "held"
    return goal, asked_about(goal)


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def test_an_irreversible_action_is_held_and_runs_once_when_approved(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    assert lines(tmp_path / "w") == []
    decided = approval_decide(request.pk, user=person("ann"), decision="approve")
    assert (decided.state, lines(tmp_path / "w")) == ("approved", [])  # approving never applies
    pump(goal)
    proposal = Proposal.objects.get(goal=goal)
    assert proposal_apply(proposal.pk) == "applied"
    assert lines(tmp_path / "w") == ["x"]
    assert (pump(goal).state, task_named(goal, "after").state) == ("succeeded", "done")
    whole(goal)


def test_a_rejection_is_honoured_and_says_who_and_why(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    approval_decide(request.pk, user=person("ann"), decision="reject", reason="not on Fridays")
    pump(goal)
    assert goal.state == "failed"
    assert lines(tmp_path / "w") == []
    assert task_named(goal, "act").reason == "rejected by ann: not on Fridays"
    assert Proposal.objects.get(goal=goal).state == "rejected"
    entry = goal.ledger.get(event="approval.decided")
    assert (entry.actor, entry.payload["decision"]) == ("ann", "reject")
    whole(goal)


def refusal(request: ApprovalRequest, expected: type[Exception], **given: Any) -> str:
    """What a decision is refused with; nothing is written."""
    rows, length = Decision.objects.count(), Goal.objects.get(pk=request.goal_id).ledger_seq
    with pytest.raises(expected) as refused:
        approval_decide(request.pk, **given)
    assert Decision.objects.count() == rows
    assert Goal.objects.get(pk=request.goal_id).ledger_seq == length
    return str(refused.value)


def test_what_is_not_a_decision_is_refused_and_written_nowhere(tmp_path: Path) -> None:
    _, request = held(tmp_path / "w")
    ann = person("ann")
    assert "needs a reason" in refusal(request, BadInput, user=ann, decision="reject", reason=" ")
    assert "needs a text" in refusal(request, BadInput, user=ann, decision="respond")
    assert "changed payload" in refusal(request, BadInput, user=ann, decision="edit")
    assert "use one of approve" in refusal(request, BadInput, user=ann, decision="maybe")
    with pytest.raises(NotFound):
        approval_decide(999_999, user=ann, decision="approve")


def test_only_an_approver_decides(tmp_path: Path) -> None:
    _, request = held(tmp_path / "w")
    for role in ("viewer", "operator", "auditor"):
        user = person(role, role)
        assert "not an approver" in refusal(request, NotAllowed, user=user, decision="approve")
    stranger = User.objects.create_user("stranger")
    refusal(request, NotAllowed, user=stranger, decision="approve")
    gone = person("gone")
    gone.is_active = False
    gone.save()
    refusal(request, NotAllowed, user=gone, decision="approve")


def test_who_asked_may_not_decide_where_four_eyes_are_wanted(tmp_path: Path) -> None:
    _, request = held(tmp_path / "w", approval={"four_eyes": True})
    asker = person("tester")  # the goal's author
    assert "second pair" in refusal(request, NotAllowed, user=asker, decision="approve")
    assert approval_decide(request.pk, user=person("ann"), decision="approve").state == "approved"


def test_a_quorum_of_two_takes_two_people(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w", approval={"quorum": 2})
    ann, bob = person("ann"), person("bob")
    assert approval_decide(request.pk, user=ann, decision="approve").state == "open"
    assert "by ann already" in refusal(request, AlreadyDecided, user=ann, decision="approve")
    assert pump(goal).state == "running"
    assert lines(tmp_path / "w") == []
    assert approval_decide(request.pk, user=bob, decision="approve").state == "approved"
    assert pump(goal).state == "succeeded"
    assert lines(tmp_path / "w") == ["x"]


def test_nobody_edits_what_others_must_agree_to(tmp_path: Path) -> None:
    _, request = held(tmp_path / "w", approval={"quorum": 2})
    said = refusal(request, BadInput, user=person("ann"), decision="edit", payload={"argv": ["ls"]})
    assert "`edit` is not possible here" in said


def test_one_rejection_outweighs_an_approval(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w", approval={"quorum": 2})
    approval_decide(request.pk, user=person("ann"), decision="approve")
    approval_decide(request.pk, user=person("bob"), decision="reject", reason="no")
    assert pump(goal).state == "failed"
    assert lines(tmp_path / "w") == []


def test_what_is_decided_is_decided(tmp_path: Path) -> None:
    _, request = held(tmp_path / "w")
    approval_decide(request.pk, user=person("ann"), decision="approve")
    request.refresh_from_db()
    said = refusal(request, AlreadyDecided, user=person("bob"), decision="reject", reason="no")
    assert f"approval-{request.pk} is approved" in said
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.update(decision="reject")


def test_an_edited_action_is_a_new_proposal_by_the_person_and_runs_as_edited(
    tmp_path: Path,
) -> None:
    goal, request = held(tmp_path / "w")
    folder = tmp_path / "w"
    edited = {"argv": ["sh", "-c", f"echo edited >> {folder}/log"]}
    approval_decide(request.pk, user=person("ann"), decision="edit", payload=edited)
    old, new = Proposal.objects.filter(goal=goal).order_by("pk")
    assert (old.state, new.state) == ("withdrawn", "approved")
    opened = goal.ledger.filter(event="proposal.opened").order_by("seq").last()
    assert opened is not None
    assert (opened.actor, opened.payload["edits"]) == ("ann", old.pk)
    assert pump(goal).state == "succeeded"
    assert lines(folder) == ["edited"]
    whole(goal)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"cmd": "x"}, "`cmd` cannot be edited here; an edit takes argv, writable, network"),
        ({"argvv": ["true"], "why": "so"}, "`argvv` cannot be edited here"),
        ({"argv": None}, "argv is empty"),
        ({"nothing": None}, "`nothing` cannot be edited here"),
    ],
)
def test_an_edit_that_is_no_edit_of_it_is_refused_and_nothing_runs(
    tmp_path: Path, edit: dict[str, Any], told: str
) -> None:
    goal, request = held(tmp_path / "w")
    given = {"user": person("ann"), "decision": "edit", "payload": edit}
    assert told in refusal(request, BadInput, **given)
    request.refresh_from_db()
    pump(goal)
    assert (request.state, lines(tmp_path / "w")) == ("open", [])


def test_what_an_edit_does_not_name_stays_and_null_takes_it_away(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    edit = {"argv": ["true"], "writable": None}
    approval_decide(request.pk, user=person("ann"), decision="edit", payload=edit)
    old, new = Proposal.objects.filter(goal=goal).order_by("pk")
    assert new.payload == {"argv": ["true"], "why": old.payload["why"]}
    assert (new.title, old.reason) == ("true", "edited by ann")


def test_a_response_sends_the_work_back_with_what_the_person_said(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    approval_decide(request.pk, user=person("ann"), decision="respond", reason="only on weekends")
    first, second = Attempt.objects.filter(goal=goal, task__key="act").order_by("number")
    assert (first.state, first.reason, second.state) == ("rejected", "only on weekends", "queued")
    assert Proposal.objects.get(goal=goal).state == "withdrawn"
    pump(goal)
    assert asked_about(goal).pk != request.pk


def test_an_expired_request_is_no_rejection(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    approval_expire(request.pk)  # not yet due: nothing
    assert ApprovalRequest.objects.get(pk=request.pk).state == "open"
    ApprovalRequest.objects.filter(pk=request.pk).update(due_at=timezone.now())
    assert expired() == [request.pk]
    approval_expire(request.pk)
    approval_expire(request.pk)
    request.refresh_from_db()
    assert request.state == "expired"
    assert attempt_of(goal, "act").state == "cancelled"
    assert "nobody decided" in task_named(goal, "act").reason
    assert Proposal.objects.get(goal=goal).state == "withdrawn"
    pump(goal)
    assert events(goal).count("approval.expired") == 1
    assert "approval.decided" not in events(goal)
    assert lines(tmp_path / "w") == []
    whole(goal)


def test_a_pause_stops_the_clock_of_what_waits_for_people(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    goal_pause(goal.pk, actor="me")
    overdue = timezone.now() - timedelta(seconds=5)
    ApprovalRequest.objects.filter(pk=request.pk).update(due_at=overdue)
    assert expired() == []
    approval_expire(request.pk)
    assert ApprovalRequest.objects.get(pk=request.pk).state == "open"
    Goal.objects.filter(pk=goal.pk).update(paused_at=timezone.now() - timedelta(seconds=60))
    goal_resume(goal.pk, actor="me")
    request.refresh_from_db()
    assert request.due_at is not None
    assert 50 < (request.due_at - timezone.now()).total_seconds() < 60
    goal.refresh_from_db()
    assert 60 <= goal.paused_seconds < 70


def test_what_was_approved_in_a_pause_is_applied_after_it(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    goal_pause(goal.pk, actor="me")
    approval_decide(request.pk, user=person("ann"), decision="approve")
    assert proposal_apply(Proposal.objects.get(goal=goal).pk) == "approved"
    assert lines(tmp_path / "w") == []
    goal_resume(goal.pk, actor="me")
    assert pump(goal).state == "succeeded"
    assert lines(tmp_path / "w") == ["x"]


def test_many_who_approve_and_reject_at_once_have_one_outcome(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    people = [person(f"p{i}") for i in range(20)]

    def decide(index: int) -> str:
        choice = "approve" if index % 2 else "reject"
        return approval_decide(request.pk, user=people[index], decision=choice, reason="so").state

    found = at_once([lambda i=i: decide(i) for i in range(20)])
    assert sum(1 for one in found if isinstance(one, AlreadyDecided)) == 19
    (outcome,) = [one for one in found if isinstance(one, str)]
    request.refresh_from_db()
    assert request.state == outcome
    assert Decision.objects.filter(request=request).count() == 1
    pump(goal)
    assert (goal.state, lines(tmp_path / "w")) == (
        ("succeeded", ["x"]) if outcome == "approved" else ("failed", [])
    )
    whole(goal)


def test_a_message_doubled_while_the_action_runs_leaves_it_alone(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w", first="sleep 0.3")
    approval_decide(request.pk, user=person("ann"), decision="approve")
    proposal = Proposal.objects.get(goal=goal)
    assert at_once([lambda: proposal_apply(proposal.pk)] * 4).count("applied") >= 1
    assert lines(tmp_path / "w") == ["x"]
    assert ApprovalRequest.objects.filter(goal=goal, kind="effect").count() == 0
    assert pump(goal).state == "succeeded"
    whole(goal)


@pytest.mark.parametrize("happened", [True, False])
def test_an_action_in_doubt_is_never_run_again_and_a_person_finds_out(
    tmp_path: Path, happened: bool
) -> None:
    goal, request = held(tmp_path / "w")
    approval_decide(request.pk, user=person("ann"), decision="approve")
    proposal = Proposal.objects.get(goal=goal)
    broke_off(proposal)
    assert proposal_apply(proposal.pk) == "approved"
    assert proposal_apply(proposal.pk) == "approved"  # asked once only
    sweep()
    assert lines(tmp_path / "w") == []
    question = asked_about(goal)
    assert question.kind == "effect"
    word = "approve" if happened else "reject"
    bob = person("bob")
    approval_decide(question.pk, user=bob, decision=word, reason="I looked at the log")
    pump(goal)
    assert lines(tmp_path / "w") == []
    assert goal.state == ("succeeded" if happened else "failed")
    effect = effect_get(f"proposal-{proposal.pk}")
    assert effect is not None
    assert effect.state == ("confirmed" if happened else "refused")
    whole(goal)


def broke_off(proposal: Proposal) -> None:
    """As a worker leaves it that was killed right after it began: an intent, and no more."""
    from dataclasses import asdict

    from workers import sandbox
    from workers.actions import Action

    effect_begin(
        key=f"proposal-{proposal.pk}",
        kind="action",
        request=asdict(Action.of(proposal.payload)),
        attempt_id=proposal.attempt_id,
        fence=1,
        level=sandbox.level().name,
    )


def test_a_task_whose_effect_is_in_doubt_is_not_changed_before_a_person_has_looked(
    tmp_path: Path,
) -> None:
    goal, request = held(tmp_path / "w")
    approval_decide(request.pk, user=person("ann"), decision="approve")
    proposal = Proposal.objects.get(goal=goal)
    broke_off(proposal)
    assert proposal_apply(proposal.pk) == "approved"
    question = asked_about(goal)
    with pytest.raises(BeingApplied, match=f"answer approval-{question.pk} first"):
        task_edit(goal.pk, "act", {"objective": "a typo"}, actor="ada")
    approval_decide(question.pk, user=person("bob"), decision="approve")
    assert pump(goal).state == "succeeded"
    assert lines(tmp_path / "w") == []
    whole(goal)


def test_who_approves_an_action_anew_is_told_of_the_effect_that_was_never_settled(
    tmp_path: Path,
) -> None:
    goal, request = held(tmp_path / "w")
    approval_decide(request.pk, user=person("ann"), decision="approve")
    proposal = Proposal.objects.get(goal=goal)
    broke_off(proposal)
    assert proposal_apply(proposal.pk) == "approved"
    late = asked_about(goal)
    ApprovalRequest.objects.filter(pk=late.pk).update(due_at=timezone.now())
    approval_expire(late.pk)
    assert pump(goal).state == "failed"
    goal_retry(goal.pk, actor="bob")
    pump(goal)
    again = asked_about(goal)
    assert again.question.startswith("An earlier try may have done this already")
    assert [doubt["key"] for doubt in again.context["in_doubt"]] == [f"proposal-{proposal.pk}"]


@pytest.mark.parametrize("seconds", ["soon", 10**400, -1, True])
def test_an_edit_that_makes_no_action_is_refused(tmp_path: Path, seconds: Any) -> None:
    _, request = held(tmp_path / "w")
    given = {"user": person("ann"), "decision": "edit", "payload": {"timeout_seconds": seconds}}
    assert "timeout_seconds" in refusal(request, BadInput, **given)
    given["payload"] = [1]
    assert "an object" in refusal(request, BadInput, **given)


@pytest.mark.parametrize("network", ["false", "no", 0, 1, []])
def test_an_edit_opens_the_network_by_true_and_by_nothing_else(
    tmp_path: Path, network: Any
) -> None:
    _, request = held(tmp_path / "w")
    given = {"user": person("ann"), "decision": "edit", "payload": {"network": network}}
    assert "network" in refusal(request, BadInput, **given)


def test_nobody_is_asked_about_an_effect_of_a_goal_that_is_over(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    approval_decide(request.pk, user=person("ann"), decision="approve")
    proposal = Proposal.objects.get(goal=goal)
    goal_cancel(goal.pk, actor="me")
    assert proposals._in_doubt(proposal, "who knows") == "withdrawn"
    assert not ApprovalRequest.objects.filter(goal=goal, state="open").exists()


def test_when_one_proposal_of_an_attempt_is_rejected_none_of_it_is_applied(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    first = Proposal.objects.get(goal=goal)
    second = Proposal.objects.create(
        goal=goal, task=first.task, attempt=first.attempt, kind="action", title="two",
        payload=first.payload, payload_hash=first.payload_hash, risk="irreversible",
        state="in_review",
    )  # fmt: skip
    other = ApprovalRequest.objects.create(
        goal=goal, task=first.task, attempt=first.attempt, proposal=second, kind="proposal",
        question="two?", allowed=["approve", "reject"],
    )  # fmt: skip
    approval_decide(request.pk, user=person("ann"), decision="reject", reason="no")
    second.refresh_from_db()
    assert second.state == "withdrawn"
    refusal(other, AlreadyDecided, user=person("bob"), decision="approve")
    pump(goal)
    assert lines(tmp_path / "w") == []
    whole(goal)


def test_a_plan_in_review_starts_when_approved() -> None:
    goal = submit(node("a"), review=True)
    assert (goal.state, goal.started_at) == ("plan_review", None)
    advance(goal.pk)
    assert Attempt.objects.filter(goal=goal).count() == 0
    approval_decide(asked_about(goal).pk, user=person("ann"), decision="approve")
    goal.refresh_from_db()
    assert (goal.state, goal.started_at is not None) == ("running", True)
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_a_plan_that_is_rejected_never_starts() -> None:
    goal = submit(node("a"), review=True)
    approval_decide(asked_about(goal).pk, user=person("ann"), decision="reject", reason="too dear")
    pump(goal)
    assert (goal.state, goal.reason) == ("failed", "plan rejected: too dear")
    assert Task.objects.get(goal=goal).state == "cancelled"
    assert Attempt.objects.filter(goal=goal).count() == 0
    sweep()
    goal.refresh_from_db()
    assert goal.publish_due_at is None  # wrapped up
    with pytest.raises(BadInput, match="never approved"):
        goal_retry(goal.pk, actor="bob")
    assert goal_fork(goal.pk, actor="bob").state == "plan_review"
    whole(goal)


def test_the_same_submission_twice_asks_once() -> None:
    for _ in range(2):
        goal = goal_submit(
            objective="", actor="t", review=True, idempotency_key="k",
            document={"objective": "x", "tasks": [node("a")]},
        )  # fmt: skip
    assert ApprovalRequest.objects.filter(goal=goal).count() == 1


def stopped_in_the_middle(proposal: Proposal, seconds: float) -> None:
    """As a process that was stopped while it applied, so long ago, and keeps its connection."""
    began = timezone.now() - timedelta(seconds=seconds)
    Proposal.objects.filter(pk=proposal.pk).update(apply_taken_at=began)


@pytest.mark.parametrize("begun", [False, True], ids=["before the effect", "after its intent"])
def test_who_was_stopped_while_it_applied_is_not_waited_for_for_ever(
    tmp_path: Path, begun: bool
) -> None:
    goal, request = held(tmp_path / "w")
    approval_decide(request.pk, user=person("ann"), decision="approve")
    proposal = Proposal.objects.get(goal=goal)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [APPLY_LOCK, proposal.pk])
        if begun:
            broke_off(proposal)
        stopped_in_the_middle(proposal, 60)
        assert (proposal_apply(proposal.pk), lines(tmp_path / "w")) == ("approved", [])
        stopped_in_the_middle(proposal, 10_000)
        proposal_apply(proposal.pk)
        assert lines(tmp_path / "w") == ([] if begun else ["x"])
    finally:
        other.close()
    pump(goal)
    assert goal.state == ("running" if begun else "succeeded")
    assert ApprovalRequest.objects.filter(goal=goal, kind="effect").exists() == begun
    whole(goal)


def decide_in_the_database(request: ApprovalRequest, user: User, **fields: Any) -> None:
    given = {"decision": "approve", "action_hash": request.action_hash, **fields}
    with transaction.atomic():
        Decision.objects.create(request=request, user=user, **given)


def test_the_database_refuses_a_decision_by_whoever_asked(tmp_path: Path) -> None:
    _, request = held(tmp_path / "w", approval={"four_eyes": True})
    with pytest.raises(IntegrityError, match="tester asked for"):
        decide_in_the_database(request, person("tester"))
    decide_in_the_database(request, person("other"))


def test_the_database_refuses_a_decision_on_what_is_closed_or_of_other_bytes(
    tmp_path: Path,
) -> None:
    _, request = held(tmp_path / "w")
    with pytest.raises(IntegrityError, match="other bytes"):
        decide_in_the_database(request, person("a"), action_hash="0" * 64)
    gone = person("gone")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    with pytest.raises(IntegrityError, match="not active"):
        decide_in_the_database(request, gone)
    approval_decide(request.pk, user=person("b"), decision="approve")
    with pytest.raises(IntegrityError, match="is approved"):
        decide_in_the_database(request, person("c"))


def test_where_roles_are_named_only_they_decide(tmp_path: Path) -> None:
    _, request = held(tmp_path / "w", approval={"roles": ["security"]})
    outsider, insider = person("out"), person("in")
    insider.groups.add(Group.objects.create(name="security"))
    with pytest.raises(NotAllowed, match="it takes one of security"):
        approval_decide(request.pk, user=outsider, decision="approve")
    assert "who has the role security may decide" in why(f"approval-{request.pk}").sentence
    decided = approval_decide(request.pk, user=insider, decision="approve")
    assert decided.state == "approved"


def test_a_role_alone_does_not_make_an_approver(tmp_path: Path) -> None:
    _, request = held(tmp_path / "w", approval={"roles": ["security"]})
    viewer = person("v", role="viewer")
    viewer.groups.add(Group.objects.create(name="security"))
    with pytest.raises(NotAllowed, match="not an approver"):
        approval_decide(request.pk, user=viewer, decision="approve")


def test_what_nobody_decided_is_escalated_to_administrators_before_it_expires(
    tmp_path: Path,
) -> None:
    policy = {"roles": ["security"], "on_expiry": "escalate", "days": 2}
    goal, request = held(tmp_path / "w", approval=policy)
    boss = person("boss", role="admin")
    with pytest.raises(NotAllowed):
        approval_decide(request.pk, user=boss, decision="approve")
    ApprovalRequest.objects.filter(pk=request.pk).update(due_at=timezone.now())
    approval_expire(request.pk)
    approval_expire(request.pk)  # the message came twice: it is not late any more
    request.refresh_from_db()
    assert (request.state, request.escalated_at is None) == ("open", False)
    left = request.due_at - timezone.now()
    assert timedelta(days=1, hours=23) < left <= timedelta(days=2)
    assert events(goal).count("approval.escalated") == 1
    assert approval_decide(request.pk, user=boss, decision="approve").state == "approved"
    whole(goal)


def test_what_was_escalated_for_nothing_expires(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w", approval={"on_expiry": "escalate"})
    for _ in range(2):
        ApprovalRequest.objects.filter(pk=request.pk).update(due_at=timezone.now())
        approval_expire(request.pk)
    pump(goal)
    request.refresh_from_db()
    assert (request.state, goal.state) == ("expired", "failed")
    whole(goal)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"roles": "security"}, "expected a list"),
        ({"roles": [1]}, "expected a list"),
        ({"on_expiry": "forget"}, "expected expire or escalate"),
        ({"role": ["x"]}, "did you mean `roles`"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(policy: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        submit(node("a", approval=policy))


def test_an_edit_is_verified_before_it_counts(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    edited = {"argv": ["rm", "-rf", "/"]}
    with pytest.raises(BadInput, match="safety"):
        approval_decide(request.pk, user=person("p"), decision="edit", payload=edited)
    request.refresh_from_db()
    assert (request.state, Decision.objects.count()) == ("open", 0)
    whole(goal)
