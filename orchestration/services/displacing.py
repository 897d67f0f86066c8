"""The owner's change wins, even where it comes second.

A change that does not go with what came into its branch since may still be merged when its role owns
what the others changed. Those are then taken back in the same move of the branch: a commit without each
of them, the owner's change merged upon that, tested, and the branch set to it, or nothing. What a
person approved is never taken back: a person stands above the owner. The loser's work is kept as a
stale proposal of its own goal, and both ledgers name winner, loser and rule.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.domain.lives import ProposalEvent
from orchestration.domain.owners import Owned, is_foreign, owner_of
from orchestration.models import LedgerEntry, Proposal
from orchestration.services.ledger import goal_locked
from orchestration.services.moves import ORCHESTRATOR, proposals_move
from orchestration.services.owners import owners_of, person_approved, role_of
from workers.git import MadeMerge, Merged, Repository

DISPLACED = "conflict.owner"
PERSON_STAYS = "what a person approved stays"
OWNER_STAYS = "the owner's change stays"


@dataclass(frozen=True, slots=True)
class Displaced:
    """A change in the branch that has to give way, and the row of the table that says so."""

    merged: Merged
    proposal: int
    owner: Owned

    @property
    def rule(self) -> str:
        return f"the owner's change wins: {self.owner.role} owns {self.owner.resource}"


@dataclass(frozen=True, slots=True)
class Standing:
    """Of what came in since: who has to give way (newest first), or by which rule nobody does."""

    gives_way: tuple[Displaced, ...] = ()
    rule: str = ""


def standing_of(
    repository: Repository,
    proposal: Proposal,
    since: Sequence[tuple[Merged, int]],
    paths: Collection[str],
) -> Standing:
    """`since`: what came in since the change began, with the proposal that each came from (0: none).
    `paths`: where git finds a conflict; none where only the tests do."""
    owned = [o for o in owners_of(proposal.goal.project_id) if o.resource.startswith("repo:")]
    if not owned:
        return Standing()
    agent = proposal.task.agent
    role, rule, found = role_of(agent), "", []
    for merged, number in since:
        changed = repository.changed_paths(merged.first_parent, merged.commit)
        touched = [path for path in changed if not paths or path in paths]
        owners = [o for path in touched if (o := owner_of(f"repo:{path}", owned)) is not None]
        other = (
            Proposal.objects.select_related("task")
            .filter(pk=number, state="applied", goal__branch=proposal.goal.branch)
            .filter(
                payload__commit=merged.trailers.get("Agentsys-Change", "")
            )  # numbers begin at 1
            .first()
        )
        if not owners or other is None:
            continue
        theirs = (other.task.agent, role_of(other.task.agent))
        if any(not is_foreign(o, *theirs) and is_foreign(o, agent, role) for o in owners):
            rule = rule or OWNER_STAYS
        mine = [o for o in owners if not is_foreign(o, agent, role) and is_foreign(o, *theirs)]
        if mine and person_approved(other.pk):
            rule = PERSON_STAYS
        elif mine:
            found.append(Displaced(merged, other.pk, mine[0]))
    return Standing(rule=rule) if rule else Standing(tuple(found))


def made_without(
    repository: Repository,
    proposal: Proposal,
    gives_way: Sequence[Displaced],
    made: MadeMerge,
    *,
    message: str,
    trailers: dict[str, str],
) -> MadeMerge | None:
    """The merge of the change upon the branch without those; None when that conflicts, too."""
    at = made.tip
    for displaced in gives_way:
        at, conflicts = repository.revert_make(
            displaced.merged.commit,
            at=at,
            message=f"Take back proposal-{displaced.proposal}: {displaced.rule}",
            trailers={"Agentsys-Displaced-By": str(proposal.pk)},
        )
        if conflicts:
            return None
    again = repository.merge_make(
        proposal.goal.branch,
        proposal.payload["commit"],
        message=message,
        trailers=trailers,
        onto=at,
    )
    return None if again.conflicts or again.tip != made.tip else again


def displaced_record(winner: Proposal, told: Sequence[dict[str, Any]]) -> None:
    """In the losers' goals: their work is kept as a proposal that is stale. Safe to call again."""
    for facts in told:
        loser = Proposal.objects.select_related("task").filter(pk=facts["proposal"]).first()
        if loser is not None:
            _keep(loser, winner, facts["rule"])


def _keep(loser: Proposal, winner: Proposal, rule: str) -> None:
    with goal_locked(loser.goal_id) as book:
        known = LedgerEntry.objects.filter(goal_id=loser.goal_id, event=DISPLACED)
        if known.filter(payload__loser=loser.pk).exists():
            return
        reason = f"taken back for proposal-{winner.pk} ({winner.goal_id}/{winner.task.key}): {rule}"
        kept = Proposal.objects.create(
            goal_id=loser.goal_id,
            task_id=loser.task_id,
            attempt_id=loser.attempt_id,
            kind=loser.kind,
            title=loser.title,
            payload=loser.payload,
            payload_hash=loser.payload_hash,
            base_hash=loser.base_hash,
            risk=loser.risk,
        )
        where = {"task_id": loser.task_id, "attempt_id": loser.attempt_id}
        book.record(
            "proposal.opened",
            actor=ORCHESTRATOR,
            payload={"proposal": kept.pk, "hash": kept.payload_hash, "risk": kept.risk},
            **where,
        )
        proposals_move(
            book,
            [kept.pk],
            ProposalEvent.STALED,
            payload={"reason": reason},
            fields={"reason": reason},
        )
        facts = {
            "winner": f"proposal-{winner.pk}",
            "loser": loser.pk,
            "kept": kept.pk,
            "rule": rule,
        }
        book.record(DISPLACED, actor=ORCHESTRATOR, payload=facts, **where)


def told_of(gives_way: Sequence[Displaced]) -> list[dict[str, Any]]:
    return [{"proposal": one.proposal, "rule": one.rule} for one in gives_way]
