"""Judging reported attempts, and people's word over verifiers'."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import IllegalMove
from orchestration.models import Attempt
from orchestration.services.approvals import OVERRIDING, NotAllowed
from orchestration.services.cases import case_of_row
from orchestration.services.followups import Followups
from orchestration.services.ledger import goal_locked
from orchestration.services.settle import attempt_decide
from verification import services as verification

log = structlog.get_logger(__name__)


def attempt_verify(attempt_id: int, verifier: str, voter: str) -> str:
    """Let one verifier speak on an attempt; a doubled message finds its verdict claimed or done."""
    found = case_of_row(attempt_id)
    if found is None:
        verification.verdicts_withdraw([attempt_id])
        return "not to be judged"
    goal_id, case = found
    lease = settings.AGENTSYS.lease_seconds
    if not verification.verdict_claim(attempt_id, verifier, voter, lease):
        return "claimed or done"
    with _held(attempt_id, verifier, voter):
        draft = verification.judge(case, verifier, voter)
    with goal_locked(goal_id) as book:
        if not verification.verdict_record(attempt_id, draft):
            return "already spoken"
        book.record(
            "verdict.given",
            actor=f"verifier:{verifier}",
            task_id=case.task_id,
            attempt_id=attempt_id,
            payload={
                "outcome": str(draft.outcome),
                "veto": draft.veto,
                "artifact_hash": case.artifact_hash,
                "spec_hash": case.spec_hash,
            },
        )
    crashpoint("C13")
    return str(draft.outcome)


@contextmanager
def _held(attempt_id: int, verifier: str, voter: str) -> Iterator[None]:
    """Keep the claim on a verdict alive while a verifier takes its time.

    When this worker dies, the claim runs out within a lease and another worker judges.
    """
    over = threading.Event()
    config = settings.AGENTSYS

    def renew() -> None:
        while not over.wait(config.heartbeat_seconds):
            try:
                verification.verdict_renew(attempt_id, verifier, voter, config.lease_seconds)
            except Exception as error:  # the edge of a thread: the lease decides
                log.warning("verdict claim not renewed", attempt=attempt_id, error=str(error))
                connection.close()
        connection.close()

    thread = threading.Thread(target=renew, name="agentsys-verdict", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def verdict_overrule(
    attempt_id: int, verifier: str, voter: str = "", *, outcome: str, user: User, reason: str
) -> None:
    """A person's word over a verifier's, with a reason; then the attempt is decided on again.

    For attempts that are judged, or that wait for a person because their verdicts did not decide: when they
    do now, that question is withdrawn. IllegalMove for one that is over: what was decided on it has
    had its consequences.
    """
    name = user.get_username()
    if not (user.is_active and user.has_perm("agentsys_orchestration.override_verdict")):
        raise NotAllowed(user=name, what="override a verdict", why=OVERRIDING)
    goal_id = Attempt.objects.values_list("goal_id", flat=True).get(pk=attempt_id)
    after = Followups()
    with goal_locked(goal_id) as book:
        attempt = Attempt.objects.select_related("task").get(pk=attempt_id)
        _check_judged(attempt)
        verification.verdict_override(
            attempt_id, verifier, voter, outcome=outcome, by=name, reason=reason
        )
        book.record(
            "verdict.overruled",
            actor=name,
            task_id=attempt.task_id,
            attempt_id=attempt_id,
            payload={"verifier": verifier, "outcome": outcome, "reason": reason},
        )
        attempt_decide(book, attempt, after, actor=name)
    crashpoint("C14")
    after.publish(goal_id)


def _check_judged(attempt: Attempt) -> None:
    task = attempt.task
    if attempt.state != "reported":
        ways = [
            f"`goals override {attempt.goal_id}/{task.key} --output …`, with which your output counts",
            f"`goals retry {attempt.goal_id}`",
        ]
        state = f"{attempt.state} and {task.key} {task.state}"
    elif attempt.proposals.exclude(state__in=("stale", "withdrawn")).exists():
        ways, state = ["a decision on its proposal, in the inbox"], "accepted by its verifiers"
    else:
        return
    raise IllegalMove(
        kind=f"attempt-{attempt.pk}", state=state, event="overrule of a verdict", allowed=ways
    )
