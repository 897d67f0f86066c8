"""Merging one approved change into its branch: the act, outside of any transaction.

Guaranteed: the branch only ever moves, by compare-and-set, to a commit that was made from where it
stood and whose tree was tested, where tests had to pass for the change to count. Changes can pass
apart and fail together, so a merge is made first as a commit that no branch has. Its tests run there,
and only then the branch moves to exactly that commit. A merge that gives the very tree that was
proposed needs no second look.

Who may act: one process at a time per branch, in the order in which they ask, under an advisory lock of
the database session. It goes with its process, so a crash frees it. Whoever does not get it does nothing
and is rung for when the merge before it is over.

When it fails: before the branch has moved, nothing has happened, and a commit that no branch has is
nobody's. After it has, the trailer with the proposed commit says so, and whoever comes next finds it
done. A process that was stopped during a long test run asks the database once more before it moves the
branch: its connection was cut meanwhile, or its proposal is no longer approved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django.db.models import F

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import AgentsysError
from orchestration.domain.merging import (
    FIRST_STAYS,
    TOGETHER,
    UNSEEN,
    Clash,
    Halted,
    Impossible,
    InBranch,
    NotNow,
    Outcome,
    Winner,
)
from orchestration.models import Proposal
from orchestration.services import dispatch, displacing, overlaps
from orchestration.services.cases import case_of_merge
from verification import services as verification
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from workers.errors import BranchBusy
from workers.git import MadeMerge, Merged, Repository

MERGE_LOCK = 0x616D  # advisory locks (class, hash of repository and branch)
MERGE_TRIES_MAX = 8
WINNERS_MAX = 5
TRAILER = "Agentsys-Proposal"
CHANGE_TRAILER = "Agentsys-Change"  # the proposed commit: numbers begin at 1 in every installation
DISPLACES = "Agentsys-Displaces"  # what gave way: proposals with the rule, as JSON


def change_merge(proposal: Proposal) -> Outcome:
    """Merge an approved change into the branch of its goal. Safe to call again after a crash."""
    goal = proposal.goal
    with _turn(goal.repository, goal.branch) as mine:
        if not mine:
            return NotNow(f"waits for its turn: {_being_merged(proposal)} into {goal.branch}")
        try:
            outcome = _merged(Repository.open(goal.repository), proposal)
        except BranchBusy as busy:
            outcome = NotNow(str(busy))
        except AgentsysError as error:
            outcome = Impossible(str(error))
    if not isinstance(
        outcome, NotNow | Impossible
    ):  # what stopped this one stops the next one, too
        _ring_next(proposal)
    return outcome


def _merged(repository: Repository, proposal: Proposal) -> Outcome:
    branch = proposal.goal.branch
    for _ in range(MERGE_TRIES_MAX):
        if (done := _found(repository, proposal)) is not None:
            return done
        made = repository.merge_make(
            branch,
            proposal.payload["commit"],
            message=message_of(proposal),
            trailers=trailers_of(proposal),
        )
        seen = _looked_at(repository, proposal, made)
        if isinstance(seen, Clash) and seen.rule != UNSEEN:
            seen = _by_ownership(repository, proposal, made, seen)
        if isinstance(seen, Clash | Impossible):
            return seen
        crashpoint("C21")
        if not may_go_on(proposal):
            return Halted()
        if repository.merge_publish(branch, seen.made):
            return InBranch({"commit": seen.made.commit, "state": "merged", **seen.told})
    return NotNow(f"{branch} moved {MERGE_TRIES_MAX} times meanwhile")


@dataclass(frozen=True, slots=True)
class _Good:
    """A merge that may be published, and what is told of it."""

    made: MadeMerge
    told: Mapping[str, Any] = field(default_factory=dict)


def _found(repository: Repository, proposal: Proposal) -> InBranch | None:
    """It is in the branch already; its trailers say what gave way to it."""
    for merged in repository.merged(proposal.goal.branch):
        if merged.trailers.get(CHANGE_TRAILER) == proposal.payload["commit"]:
            gave_way = json.loads(merged.trailers.get(DISPLACES, "[]"))
            told = {"displaced": gave_way} if gave_way else {}
            return InBranch({"commit": merged.commit, "state": "already", **told})
    return None


def _looked_at(
    repository: Repository, proposal: Proposal, made: MadeMerge, *, base: str = ""
) -> _Good | Clash | Impossible:
    """What git and the tests say of a merge. It must be no worse than `base`, by default the tip."""
    base = base or made.tip
    if made.conflicts:
        found = winners(repository, proposal, made.tip, made.conflicts)
        return Clash(FIRST_STAYS, paths=made.conflicts, winners=found)
    if repository.same_tree(made.commit, proposal.payload["commit"]):
        return _Good(made)
    spoken = verdicts_on(proposal, base, made.commit)
    if not spoken and (unseen := _unseen(repository, proposal, made)):
        return unseen
    if broken := next((d for d in spoken if d.outcome is VerdictOutcome.ERROR), None):
        return Impossible(f"{broken.verifier} broke: {'; '.join(broken.reasons)}")
    if refused := [d for d in spoken if d.outcome is not VerdictOutcome.PASS]:
        return _refused(repository, proposal, made, refused)
    told = {d.verifier: str(d.outcome) for d in spoken}
    return _Good(made, {"base": base, "verified": told} if told else {})


def _by_ownership(
    repository: Repository, proposal: Proposal, made: MadeMerge, clash: Clash
) -> _Good | Clash | Impossible:
    """The owner's change wins over what others changed of the owner's, if it then goes."""
    since = [
        (merged, _winner(merged).proposal)
        for merged in merged_since(repository, proposal, made.tip)
    ]
    standing = displacing.standing_of(repository, proposal, since, clash.paths)
    if not standing.gives_way:
        return replace(clash, rule=standing.rule or clash.rule)
    told = displacing.told_of(standing.gives_way)
    again = displacing.made_without(
        repository,
        proposal,
        standing.gives_way,
        made,
        message=message_of(proposal),
        trailers={**trailers_of(proposal), DISPLACES: json.dumps(told)},
    )
    if again is None:
        return clash
    before = standing.gives_way[-1].merged.first_parent  # the last tree without any of them
    seen = _looked_at(repository, proposal, again, base=before)
    if isinstance(seen, Clash):
        return clash
    return replace(seen, told={**seen.told, "displaced": told}) if isinstance(seen, _Good) else seen


def message_of(proposal: Proposal) -> str:
    return f"{proposal.task.key}: {proposal.title}"


def trailers_of(proposal: Proposal) -> dict[str, str]:
    """By the first of them a merge is found again."""
    return {
        CHANGE_TRAILER: proposal.payload["commit"],
        TRAILER: str(proposal.pk),
        "Agentsys-Goal": str(proposal.goal_id),
        "Agentsys-Task": proposal.task.key,
    }


# --- Looking at the merged tree ------------------------------------------------------------------


def _unseen(repository: Repository, proposal: Proposal, made: MadeMerge) -> Clash | None:
    """Nothing has run on the merge: then nobody else may have been where this change was made."""
    paths = overlaps.overlapping(repository, proposal, repository.resolve(f"{made.commit}^1"))
    since = winners(repository, proposal, made.tip, paths) if paths else ()
    found = overlaps.of_others(proposal, since)
    return Clash(UNSEEN, paths=tuple(paths), winners=found) if found else None


def verdicts_on(proposal: Proposal, base: str, commit: str) -> tuple[VerdictDraft, ...]:
    """What those verifiers that ran the change and let it pass say of the merge.

    A verdict that a person overruled, or passed over, is that person's: it is not asked for again.
    """
    views = verification.verdicts_of([proposal.attempt_id]).get(proposal.attempt_id, [])
    asked = [
        (view.verifier, view.voter)
        for view in views
        if view.kind is Kind.EXECUTION
        and view.outcome is VerdictOutcome.PASS
        and not view.is_overridden
    ]
    case = case_of_merge(proposal, base=base, commit=commit) if asked else None
    if case is None:
        return ()
    return tuple(verification.judge(case, verifier, voter) for verifier, voter in asked)


def _refused(
    repository: Repository, proposal: Proposal, made: MadeMerge, refused: Iterable[VerdictDraft]
) -> Clash:
    said = tuple(
        f"{draft.verifier}: {reason}"
        for draft in refused
        for reason in draft.reasons or (f"says {draft.outcome}",)
    )
    return Clash(
        TOGETHER,
        reasons=said,
        winners=winners(repository, proposal, made.tip),
        facts={"base": made.tip, "merge": made.commit},
    )


def may_go_on(proposal: Proposal) -> bool:
    """Looked at once more right before the branch moves: tests take time, and this process may have
    been stopped meanwhile."""
    still = Proposal.objects.filter(pk=proposal.pk, state="approved", goal__state="running")
    return still.filter(goal__paused_at=None, task__paused_at=None).exists()


# --- Who was there first -------------------------------------------------------------------------


def merged_since(repository: Repository, proposal: Proposal, tip: str) -> Iterator[Merged]:
    """What came into the branch since the change began, newest first."""
    base = repository.merge_base(tip, proposal.payload["commit"])
    return repository.merged(proposal.goal.branch, until=base)


def winners(
    repository: Repository, proposal: Proposal, tip: str, paths: Iterable[str] = ()
) -> tuple[Winner, ...]:
    """What came in since the change began (and changed these paths, when given), newest first."""
    wanted, found = set(paths), []
    for merged in merged_since(repository, proposal, tip):
        changed = repository.changed_paths(merged.first_parent, merged.commit)
        if not wanted or wanted & set(changed):
            found.append(_winner(merged))
        if len(found) == WINNERS_MAX:
            break
    return tuple(found) or (Winner(tip),)


def _winner(merged: Merged) -> Winner:
    told = merged.trailers
    number = told.get(TRAILER, "")
    task = f"{told.get('Agentsys-Goal', '')}/{told.get('Agentsys-Task', '')}".strip("/")
    return Winner(merged.commit, int(number) if number.isdigit() else 0, task)


# --- One at a time -------------------------------------------------------------------------------


@contextmanager
def _turn(repository: str, branch: str) -> Iterator[bool]:
    """True while nobody else merges into this branch."""
    key: list[Any] = [MERGE_LOCK, f"{repository}\n{branch}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", key)
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        if mine:
            # A connection that broke took the lock with it.
            with suppress(OperationalError, InterfaceError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", key)


def _of_the_branch(proposal: Proposal) -> Any:
    same = Proposal.objects.filter(kind="change", state="approved")
    goal = proposal.goal
    same = same.filter(goal__repository=goal.repository, goal__branch=goal.branch)
    return same.exclude(pk=proposal.pk)


def _being_merged(proposal: Proposal) -> str:
    begun = _of_the_branch(proposal).filter(apply_taken_at__isnull=False)
    found = begun.order_by("apply_taken_at").values_list("pk", "goal_id", "task__key").first()
    return (
        f"proposal-{found[0]} ({found[1]}/{found[2]}) is being merged" if found else "a change goes"
    )


def _ring_next(proposal: Proposal) -> None:
    """Whoever was told to wait goes on at once; losing this message costs the time until it is due."""
    waiting = _of_the_branch(proposal).filter(apply_taken_at=None, apply_due_at__isnull=False)
    ordered = waiting.order_by(F("decided_at").asc(nulls_last=True), "pk")
    if (following := ordered.values_list("pk", flat=True).first()) is not None:
        dispatch.send("orchestration.apply", following)
