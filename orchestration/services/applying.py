"""What follows once a proposal is in the world, or has failed to get there. Under the goal's lock."""

from __future__ import annotations

from typing import Any

from agentsys.kernel.hashing import canonical, plain
from orchestration.domain.lives import ACTION_FAILED, AttemptEvent, ProposalEvent
from orchestration.models import Proposal
from orchestration.services.displacing import DISPLACED
from orchestration.services.ending import look_for_the_end, task_fail
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book
from orchestration.services.moves import ORCHESTRATOR, attempts_move, proposals_move
from orchestration.services.settle import accept_reported


def applied(book: Book, proposal: Proposal, result: dict[str, Any], after: Followups) -> None:
    """It is in the world: mark it, and accept its attempt when nothing else of it is open."""
    moved = proposals_move(
        book,
        [proposal.pk],
        ProposalEvent.APPLIED,
        payload={"result": _brief(result)},
        fields={"applied_at": book.now, "apply_due_at": None, "result": canonical(result)},
    )
    if moved and result.get("displaced"):
        _won(book, proposal, result["displaced"])
    open_ones = Proposal.objects.filter(attempt_id=proposal.attempt_id).exclude(
        state__in=("applied", "withdrawn")
    )
    if moved and not open_ones.exists():
        accept_reported(book, proposal.task_id, proposal.attempt_id, after, actor=ORCHESTRATOR)
    if not moved:
        _took_place_all_the_same(book, proposal, result)
    look_for_the_end(book, after)


def _won(book: Book, proposal: Proposal, displaced: list[dict[str, Any]]) -> None:
    for facts in displaced:
        book.record(
            DISPLACED,
            actor=ORCHESTRATOR,
            task_id=proposal.task_id,
            attempt_id=proposal.attempt_id,
            payload={
                "winner": f"proposal-{proposal.pk}",
                "gave_way": f"proposal-{facts['proposal']}",
                "rule": facts["rule"],
            },
        )


def _took_place_all_the_same(book: Book, proposal: Proposal, result: dict[str, Any]) -> None:
    """Its goal was cancelled meanwhile: what is in the world is on record, and counts for nothing."""
    late = Proposal.objects.filter(pk=proposal.pk, state="withdrawn", result__isnull=True)
    if late.update(result=plain(result), reason="it was withdrawn while it took place"):
        book.record(
            "proposal.took_place",
            actor=ORCHESTRATOR,
            task_id=proposal.task_id,
            attempt_id=proposal.attempt_id,
            payload={"proposal": proposal.pk, "result": _brief(result)},
        )


def action_failed(book: Book, proposal: Proposal, result: dict[str, Any], after: Followups) -> None:
    """The approved action did not do its work; its task fails, since trying again is an effect."""
    reason = f"{ACTION_FAILED}: {_said(result)}"[:2000]
    if proposals_move(
        book,
        [proposal.pk],
        ProposalEvent.STALED,
        payload={"result": _brief(result)},
        fields={"reason": reason, "apply_due_at": None, "result": canonical(result)},
    ):
        attempts_move(
            book,
            [proposal.attempt_id],
            AttemptEvent.REJECTED,
            payload={"reason": reason},
            fields={"reason": reason},
        )
        task_fail(book, proposal.task_id, reason=reason, after=after)


def _said(result: dict[str, Any]) -> str:
    """How a command ended and the last line that it wrote; of anything else, what there is."""
    if "exit_code" not in result:
        return ", ".join(f"{name} {value}" for name, value in _brief(result).items())
    killed = result.get("killed")
    how = f"it was ended ({killed})" if killed else f"exit code {result['exit_code']}"
    written = str(result.get("stderr") or result.get("stdout") or "").strip().splitlines()
    return f"{how}: {written[-1]}" if written else how


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    """What of a result goes into the ledger: no long outputs."""
    return {k: (v[:500] if isinstance(v, str) else v) for k, v in result.items()}
