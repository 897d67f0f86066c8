"""Does every claim stand on words that are really in its source?

A source is an artifact of kind `data` with that name, or else a text file of that name in the
folder `inputs.corpus`. The score is the fraction of claims that are grounded; one that is not
fails the report, since a digest with an invented quote is worse than none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from verification.contracts import Case, Kind, VerdictDraft
from verification.domain.grounding import claim_fault
from verification.verifiers.base import Verifier
from workers.beneath import open_below

SOURCE_BYTES_MAX = 20_000_000
FAULTS_MAX = 200  # told one by one
Faults = dict[int, str]


class GroundingVerifier(Verifier):
    name = "grounding"
    kind = Kind.GROUNDING

    def judge(self, case: Case) -> VerdictDraft:
        claims = case.report.get("claims") or ()
        if not claims:
            return self.abstains("the report makes no claims", evidence={"sources": 0})
        faults = ungrounded(case)
        rate = len(faults) / len(claims)
        evidence = {
            "claims": len(claims),
            "ungrounded": len(faults),
            "hallucination_rate": rate,
            "sources": len({str(claim.get("source")) for claim in claims}),
            "faults": [{"claim": n, "why": why} for n, why in list(faults.items())[:FAULTS_MAX]],
        }
        if not faults:
            return self.passes(score=1.0, evidence=evidence)
        reasons = [
            f"claim {number} (“{str(claims[number - 1].get('text', ''))[:80]}”) {fault}"
            for number, fault in faults.items()
        ]
        return self.fails(reasons, score=1.0 - rate, evidence=evidence)


def hallucination_rate(case: Case) -> float | None:
    """Ungrounded claims per claim; None when the report makes none."""
    claims = case.report.get("claims") or ()
    return len(ungrounded(case)) / len(claims) if claims else None


def ungrounded(case: Case) -> Faults:
    """The number of each claim that does not stand, from 1, and why."""
    read = sources_of(case)
    faults = {
        number: claim_fault(claim, read(str(claim.get("source", ""))))
        for number, claim in enumerate(case.report.get("claims") or (), start=1)
    }
    return {number: fault for number, fault in faults.items() if fault}


def sources_of(case: Case) -> Callable[[str], str | None]:
    """Reads a source's text by name, once each; None for one that is not there."""
    artifacts = {
        str(artifact["name"]): str(artifact["sha256"])
        for artifact in case.report.get("artifacts") or ()
        if artifact.get("kind") == "data"
    }
    corpora = _corpora(case.inputs)

    @cache
    def read(name: str) -> str | None:
        if name in artifacts:
            return _decoded(case.blob(artifacts[name]))
        found = (_in_folder(folder, name) for folder in corpora)
        return next((text for text in found if text is not None), None)

    return read


def _corpora(inputs: Mapping[str, Any]) -> list[Path]:
    given = inputs.get("corpus")
    names = given if isinstance(given, list | tuple) else [given]
    return [Path(name) for name in names if isinstance(name, str) and name]


def _in_folder(folder: Path, name: str) -> str | None:
    """Never a file outside of the folder, whatever the claim calls its source."""
    root = folder.resolve()
    if root.is_file():
        root = root.parent if root.name == name else root
    try:
        handle = open_below(root, name)
    except (OSError, ValueError):
        return None
    with os.fdopen(handle, "rb") as file:
        if os.fstat(handle).st_size > SOURCE_BYTES_MAX:
            return None
        return _decoded(file.read(SOURCE_BYTES_MAX))


def _decoded(content: bytes) -> str | None:
    """Positions count characters, so only text that decodes exactly can be quoted from."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
