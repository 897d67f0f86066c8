"""Histories of attempts, proposals and people's decisions on real rows and services, and who had the
right to accept what was accepted: told here once more from the rows alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentsys.kernel.errors import AgentsysError
from agentsys.kernel.hashing import digest
from orchestration.models import ApprovalRequest, Attempt, Decision, Proposal, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.goals import goal_cancel
from orchestration.services.proposals import proposal_apply
from orchestration.services.running import serve, task_serve
from orchestration.services.settle import attempt_settle
from orchestration.services.verdicts import verdict_overrule
from tests.orchestration.pump import node, submit
from verification import services as verification
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from verification.models import Verdict
from workers.contracts import artifact_hash

JUDGED = {
    "verify": ["schema", "execution"],
    "check": {"argv": ["true"]},
    "retry": {"attempts_max": 3},
}
ACTION = {"action": {"argv": ["true"], "why": "to do something"}}


@dataclass(frozen=True)
class Draw:
    """All that chance says about one step, whatever comes of it."""

    pick: int
    which: int
    outcome: VerdictOutcome
    veto: bool
    decision: str
    reason: str
    who: str


DRAWS = st.builds(
    Draw,
    pick=st.sampled_from(range(9 * 8 * 7 * 5)),  # as likely for any number of possibilities
    which=st.sampled_from(range(12)),
    outcome=st.sampled_from([*VerdictOutcome]),
    veto=st.booleans(),
    decision=st.sampled_from([*["approve"] * 4, "reject", "respond"]),
    reason=st.sampled_from(["", " ", "seen and fine"]),
    who=st.sampled_from(["ann", "ann", "boss", "boss", "stranger"]),
)


def queued(trials: Trials) -> Any:
    return Verdict.objects.filter(goal_id=trials.goal.pk, state="queued")


def spoken(trials: Trials) -> Any:
    return Verdict.objects.filter(goal_id=trials.goal.pk, state="done")


def reported(trials: Trials) -> Any:
    return Attempt.objects.filter(goal=trials.goal, state="reported")


def asked(trials: Trials) -> Any:
    return ApprovalRequest.objects.filter(goal=trials.goal, state="open")


def held(trials: Trials) -> Any:
    return Proposal.objects.filter(goal=trials.goal, state__in=("in_review", "approved"))


def approved(trials: Trials) -> Any:
    return Proposal.objects.filter(goal=trials.goal, state="approved")


class Trials(RuleBasedStateMachine):
    people: ClassVar[dict[str, User]]

    @initialize(quorum=st.integers(1, 2), rounds=st.integers(1, 3))
    def begin(self, quorum: int, rounds: int) -> None:
        rules = [{"rounds_max": rounds}]  # after which a person is asked against a fail
        verification.policy_add({"rules": rules}, by="ann", reason="to try")
        self.goal = submit(
            node("plain", **JUDGED),
            node("act", agent="devops", inputs=ACTION, approval={"quorum": quorum}, **JUDGED),
        )
        self.looked: set[Attempt | Proposal] = set()
        self._work()

    def teardown(self) -> None:
        if hasattr(self, "goal"):
            tried(lambda: goal_cancel(self.goal.pk, actor="the test", reason="it is over"))

    def _work(self) -> None:
        """What agents can do, they do at once."""
        serve()
        ready = Attempt.objects.filter(goal=self.goal, state="queued", task__state="ready")
        for task_id, fence in ready.values_list("task_id", "task__fence"):
            task_serve(task_id, fence)

    # --- What may happen ---------------------------------------------------------------------

    @rule(draw=DRAWS)
    def then(self, draw: Draw) -> None:
        """One of the things that can happen now. What is drawn does not hang on what there is: a
        slow machine makes another history, and no other choices."""
        possible = [act for rows, act in HAPPENINGS if rows(self).exists()]
        if possible:
            possible[draw.pick % len(possible)](self, draw)

    def a_verifier_speaks(self, draw: Draw) -> None:
        row = nth(queued(self), draw.which)
        veto = draw.veto and draw.outcome is VerdictOutcome.FAIL
        said = VerdictDraft(row.verifier, Kind(row.kind), draw.outcome, row.voter, veto)
        verification.verdict_record(row.attempt_id, said)

    def the_other_verifiers_pass(self, _draw: Draw) -> None:
        for row in queued(self):
            said = VerdictDraft(row.verifier, Kind(row.kind), VerdictOutcome.PASS, row.voter)
            verification.verdict_record(row.attempt_id, said)

    def what_can_be_is_settled(self, _draw: Draw) -> None:
        for attempt in reported(self):
            attempt_settle(attempt.pk)
        self._work()

    def somebody_overrules(self, draw: Draw) -> None:
        row = nth(spoken(self), draw.which)
        said = {"outcome": draw.outcome, "user": self.people[draw.who], "reason": draw.reason}
        tried(lambda: verdict_overrule(row.attempt_id, row.verifier, row.voter, **said))

    def somebody_answers(self, draw: Draw) -> None:
        request = nth(asked(self), draw.which)
        said = {"user": self.people[draw.who], "decision": draw.decision, "reason": draw.reason}
        tried(lambda: approval_decide(request.pk, **said))
        self._work()

    def bytes_of_a_report_change(self, draw: Draw) -> None:
        attempt = nth(reported(self), draw.which)
        if not attempt.proposals.exists():
            report = {**(attempt.report or {}), "output": {"echo": {"planted": 1}}}
            tampered(lambda: Attempt.objects.filter(pk=attempt.pk).update(report=report))

    def bytes_of_a_proposal_change(self, _draw: Draw) -> None:
        for row in held(self):
            payload = {**row.payload, "argv": ["echo", "planted"]}
            tampered(lambda: held(self).filter(pk=row.pk).update(payload=payload))  # noqa: B023

    def what_is_approved_is_applied(self, _draw: Draw) -> None:
        for row in approved(self):
            proposal_apply(row.pk)

    # --- What must hold ----------------------------------------------------------------------

    @invariant()
    def what_was_accepted_had_to_be(self) -> None:
        if not hasattr(self, "goal"):
            return
        for attempt in Attempt.objects.filter(goal=self.goal, state="accepted"):
            if attempt not in self.looked:
                self.looked.add(attempt)
                assert_accepted_by_right(attempt)

    @invariant()
    def what_was_applied_was_approved_as_it_is(self) -> None:
        if not hasattr(self, "goal"):
            return
        for proposal in Proposal.objects.filter(goal=self.goal, state="applied"):
            if proposal not in self.looked:
                self.looked.add(proposal)
                assert_approved(proposal)


HAPPENINGS: tuple[tuple[Callable[[Trials], Any], Callable[[Trials, Draw], None]], ...] = (
    (queued, Trials.a_verifier_speaks),
    (queued, Trials.the_other_verifiers_pass),
    (reported, Trials.what_can_be_is_settled),
    (reported, Trials.bytes_of_a_report_change),
    (spoken, Trials.somebody_overrules),
    (asked, Trials.somebody_answers),
    (asked, Trials.somebody_answers),
    (held, Trials.bytes_of_a_proposal_change),
    (approved, Trials.what_is_approved_is_applied),
)


def assert_accepted_by_right(attempt: Attempt) -> None:
    task = Task.objects.get(pk=attempt.task_id)
    bytes_now = artifact_hash(attempt.report or {})
    rows = list(Verdict.objects.filter(attempt_id=attempt.pk))
    yes = Decision.objects.filter(
        request__attempt=attempt, request__kind="verdict", decision="approve"
    ).first()
    against = [row.verifier for row in rows if counted(row) == "fail"]
    if yes is not None and yes.request.state == "approved":
        assert yes.request.context["artifact_hash"] == bytes_now, "approved other bytes"
        assert not against or yes.reason.strip(), f"{against} lifted without a reason"
        return
    vetoes = [r.verifier for r in rows if r.veto and not r.overridden_by]
    assert not vetoes, f"accepted against the veto of {vetoes}"
    bound = [r for r in rows if (r.spec_hash, r.artifact_hash) == (task.definition_hash, bytes_now)]
    passed = {row.verifier for row in bound if counted(row) == "pass"}
    missing = set(task.definition["verify"]) - passed
    assert not missing, f"accepted, and {sorted(missing)} did not pass these bytes"


def counted(row: Verdict) -> str | None:
    """A person's word with its reason, else the verifier's."""
    if row.overridden_by and (row.override_reason or "").strip():
        return row.overridden_outcome
    return row.outcome


def assert_approved(proposal: Proposal) -> None:
    now = digest(proposal.payload)
    agreed = Decision.objects.filter(
        request__proposal=proposal, decision="approve", action_hash=now
    ).values_list("user", flat=True)
    quorum = ApprovalRequest.objects.get(proposal=proposal, kind="proposal").quorum
    assert len(set(agreed)) >= quorum, f"applied, and {len(agreed)} of {quorum} approved this"


def nth(rows: Any, which: int) -> Any:
    found = list(rows.order_by("pk"))
    return found[which % len(found)] if found else None


def tried(act: Callable[[], Any]) -> None:
    with suppress(AgentsysError):  # refused: nothing may have come of it
        act()


def tampered(act: Callable[[], Any]) -> None:
    """As whoever may switch triggers off could."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        act()
