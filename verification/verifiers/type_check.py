"""`check.types`: the repository's own type checker finds no error with a change that it did not find
without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verification.contracts import Case, VerdictDraft
from verification.domain.typing_faults import new_faults
from verification.verifiers.base import Verifier
from verification.verifiers.command_check import seconds_of
from verification.verifiers.trees import Change, repository_of, tree_at

if TYPE_CHECKING:
    from workers.git import Repository
    from workers.typecheckers import Checker, TypesResult

TYPES_SECONDS_MAX = 150.0
FAULTS_MAX = 50  # in evidence


def types_checked(verifier: Verifier, case: Case, change: Change | None) -> VerdictDraft:
    """By the first checker that the base configures and that is installed."""
    from workers.typecheckers import checkers_of

    repository = repository_of(case)
    if repository is None or change is None or not (change.base and change.commit):
        return verifier.abstains("types are compared before and after a change, and there is none")
    configured = checkers_of(repository, change.base)
    if not configured:
        return verifier.abstains(
            "no type checker is configured at the base: neither mypy nor pyright"
        )
    seconds = seconds_of(case, TYPES_SECONDS_MAX)
    for checker in configured:
        after = _run(repository, change.commit, checker, seconds)
        if after is not None:
            return _compared(verifier, repository, change, checker, after, seconds)
    names = " and ".join(checker.name for checker in configured)
    return verifier.abstains(f"{names} is configured and not installed beside what it checks")


def _compared(
    verifier: Verifier,
    repository: Repository,
    change: Change,
    checker: Checker,
    after: TypesResult,
    seconds: float,
) -> VerdictDraft:
    from workers.typecheckers import texts_of

    told: dict[str, Any] = {"checker": checker.name, "after": len(after.faults)}
    told |= {"duration_seconds": after.duration_seconds}
    if after.ran and not after.faults:
        return verifier.passes(score=1.0, evidence={"types": told})
    before = _run(repository, change.base, checker, seconds)
    if before is None or not before.ran or not after.ran:
        when = "with the change" if before is not None and before.ran else "before the change"
        why = f"{checker.name} does not come to its end {when}"
        tail = (after if before is not None and before.ran else before or after).tail
        return verifier.abstains(why, evidence={"types": {**told, "tail": tail}})
    told["before"] = len(before.faults)
    if worse := new_faults(before.faults, after.faults):
        told["new"] = texts_of(worse[:FAULTS_MAX])
        reasons = [f"{text}, and was not before" for text in texts_of(worse)]
        return verifier.fails(reasons, score=0.0, evidence={"types": told})
    return verifier.passes(score=1.0, evidence={"types": told})


def _run(
    repository: Repository, commit: str, checker: Checker, seconds: float
) -> TypesResult | None:
    from workers.typecheckers import types_run

    with tree_at(repository, commit) as folder:
        return types_run(repository, folder, checker, timeout_seconds=seconds)
