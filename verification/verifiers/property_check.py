"""`check.properties`: what must hold of functions for all arguments that Hypothesis tries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from verification.contracts import Case, VerdictDraft, VerdictOutcome
from verification.domain.check_forms import check_problems
from verification.domain.properties import Said, said_of, with_defaults
from verification.verifiers.base import Verifier
from verification.verifiers.command_check import seconds_of
from verification.verifiers.trees import Change, repository_of, tree_at, tree_of
from workers.workspaces import scratch

if TYPE_CHECKING:
    from pathlib import Path

    from workers.properties import PropertyResult

PROPERTIES_SECONDS_MAX = 120.0
INSTALL = (
    "Hypothesis is not there; install agentsys[properties], or hypothesis in the repository's .venv"
)


def properties_of(case: Case) -> list[dict[str, Any]]:
    found = (case.definition.get("check") or {}).get("properties") or ()
    return [with_defaults(each) for each in found]


def properties_checked(verifier: Verifier, case: Case, change: Change | None) -> VerdictDraft:
    """After the change; and before it, what does not hold after."""
    if problems := check_problems(case.definition.get("check")):
        return verifier.breaks("; ".join(problems))
    wanted = properties_of(case)
    with tree_of(case, change) as folder:
        after = _run(case, folder, wanted)
    if after is None:
        return verifier.abstains(INSTALL)
    open_ = [each for each in wanted if after[each["name"]].status != "held"]
    before: Mapping[str, PropertyResult] = {}
    repository = repository_of(case)
    if open_ and change and change.base and repository:
        with tree_at(repository, change.base) as folder:
            before = _run(case, folder, open_) or {}
    return _verdict(verifier, after, before)


def _run(
    case: Case, folder: Path, wanted: Sequence[Mapping[str, Any]]
) -> dict[str, PropertyResult] | None:
    from workers.properties import properties_run

    with scratch("verify") as workspace:
        return properties_run(
            repository_of(case),
            folder,
            wanted,
            timeout_seconds=seconds_of(case, PROPERTIES_SECONDS_MAX),
            workspace=workspace,
        )


def _verdict(
    verifier: Verifier,
    after: Mapping[str, PropertyResult],
    before: Mapping[str, PropertyResult],
) -> VerdictDraft:
    said: list[Said] = []
    told: list[dict[str, Any]] = []
    for name, result in after.items():
        then = before[name].status if name in before else ""
        said.append(said_of(name, result.status, then, _example(result)))
        facts = {"name": name, "after": result.status, "examples": result.examples}
        facts |= {"before": then} if then else {}
        facts |= {"falsified_by": dict(result.falsified_by)} if result.falsified_by else {}
        told.append(facts)
    evidence = {"properties": told}
    if refused := [each.reason for each in said if each.outcome is VerdictOutcome.FAIL]:
        return verifier.fails(refused, score=0.0, evidence=evidence)
    if unclear := [each.reason for each in said if each.outcome is VerdictOutcome.ABSTAIN]:
        return verifier.abstains("; ".join(unclear), evidence=evidence)
    return verifier.passes(score=1.0, evidence=evidence)


def _example(result: PropertyResult) -> str:
    """In a sentence: `items=[0]` gives `None`."""
    by = result.falsified_by
    if not by:
        return result.why
    arguments = ", ".join(f"{name}={value}" for name, value in by["arguments"].items())
    if "raised" in by:
        return f"with {arguments} it raises {by['raised']}"
    return f"with {arguments} the result is {by.get('result', json.dumps(None))}"
