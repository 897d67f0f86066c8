"""What came into a branch within a change's own scopes while it was made, and nobody saw together.

Leases keep others out of a task's scopes until it is merged, so that nothing comes in there. Where
something did all the same (a lease was taken away, somebody else's change was let through beyond its
scope, or a person committed by hand), a merge does not believe the lease but looks at the branch. What
git cannot merge is a conflict, and what the tests ran on merged was seen. What is left is a merge of
two changes of one place that no test looks at: that is made anew from the new base.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.domain.merging import Winner
from orchestration.domain.scopes import matches
from orchestration.models import Proposal
from workers.git import Repository


def overlapping(repository: Repository, proposal: Proposal, onto: str) -> list[str]:
    """Paths that differ between where the change began and what it is merged onto, and that are the
    change's own or fall under what its task reads or writes."""
    commit = proposal.payload["commit"]
    base = repository.merge_base(onto, commit)
    if not base or base == onto:
        return []
    own = set(repository.changed_paths(base, commit))
    scopes = [scope["resource"] for scope in proposal.task.definition.get("scopes") or ()]
    return [
        path
        for path in repository.changed_paths(base, onto)
        if path in own or any(matches(scope, f"repo:{path}") for scope in scopes)
    ]


def of_others(proposal: Proposal, found: Sequence[Winner]) -> tuple[Winner, ...]:
    """Without what the same attempt proposed beside it: that was judged together."""
    beside = Proposal.objects.filter(attempt_id=proposal.attempt_id).values_list("pk", flat=True)
    return tuple(winner for winner in found if winner.proposal not in set(beside))
