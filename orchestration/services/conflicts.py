"""What becomes of an approved change that does not go with what came into its branch since.

The first time, its task begins anew from the new base, with the reasons. The second time, the
orchestrator steps in: a task that may be divided is, any other one is ordered, so that it runs alone
over its repository until it is merged. The third time, a person is asked. Each conflict stands in
the ledger with who won, who lost and by which rule; the loser is kept as a stale proposal.
"""

from __future__ import annotations

from agentsys.kernel.hashing import canonical
from orchestration.domain.lives import AttemptEvent, ProposalEvent
from orchestration.domain.merging import Clash
from orchestration.models import LedgerEntry, Proposal
from orchestration.services.dividing import replan_decide, task_divide
from orchestration.services.ending import patience_of, task_retry
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import ORCHESTRATOR, attempts_move, proposals_move
from orchestration.services.recovery import may_be_divided, person_ask
from orchestration.services.scopes import ORDERED

CONFLICT = "conflict.merge"


def conflict_settle(proposal: Proposal, clash: Clash) -> str:
    """The change has lost: keep it as stale, and let its task go on by the ladder."""
    after = Followups()
    with goal_locked(proposal.goal_id) as book:
        facts = {**clash.facts, "conflicts": list(clash.paths), "reasons": list(clash.reasons)}
        if proposals_move(
            book,
            [proposal.pk],
            ProposalEvent.STALED,
            payload={"conflicts": list(clash.paths)},
            fields={"reason": clash.reason, "apply_due_at": None, "result": canonical(facts)},
        ):
            _lost(book, proposal, clash, after)
    after.publish(proposal.goal_id)
    return "stale"


def _lost(book: Book, proposal: Proposal, clash: Clash, after: Followups) -> None:
    rung = 1 + conflicts_of(book.goal_id, proposal.task_id)
    book.record(
        CONFLICT,
        actor=ORCHESTRATOR,
        task_id=proposal.task_id,
        attempt_id=proposal.attempt_id,
        payload={
            "loser": proposal.pk,
            "winner": clash.winners[0].name if clash.winners else "",
            "winners": [winner.name for winner in clash.winners],
            "rule": clash.rule,
            "paths": list(clash.paths),
            "time": rung,
        },
    )
    attempts_move(
        book,
        [proposal.attempt_id],
        AttemptEvent.REJECTED,
        payload={"reason": clash.reason},
        fields={"reason": clash.reason},
    )
    _go_on(book, proposal, clash.reason, rung, after)


def _go_on(book: Book, proposal: Proposal, reason: str, rung: int, after: Followups) -> None:
    task = proposal.task
    counting = task.attempts_count - task.attempts_forgiven
    if rung > 2 or not patience_of(task.definition, counting).left:
        person_ask(book, proposal.attempt, f"{reason} ({_times(rung)})")
        return
    if rung == 2:
        if may_be_divided(task) and not replan_decide(book, task.key):
            task_divide(book, task.key, reason=reason, actor=ORCHESTRATOR, after=after)
            return
        book.record(ORDERED, actor=ORCHESTRATOR, task_id=task.pk, payload={"reason": reason})
        reason = f"{reason}; now it runs alone over the repository until it is merged"
    task_retry(book, task.pk, reason=reason, delay_seconds=0, after=after)


def conflicts_of(goal_id: int, task_id: int) -> int:
    """How often changes of the task have lost before."""
    return LedgerEntry.objects.filter(goal_id=goal_id, event=CONFLICT, task_id=task_id).count()


def _times(rung: int) -> str:
    return "once" if rung == 1 else f"{rung} times"
