"""Does a claim contradict what its goal has accepted, or what memory holds as verified?

By rule (`domain.consistency`): nearly the same words with another number, a negation or an opposite. A
contradiction fails the report, and names both sides; which of them is right, a person or a fresh
attempt finds out. What memory holds without having been verified is noted, not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from verification.contracts import Case, Kind, VerdictDraft
from verification.domain.consistency import Statement, contradiction
from verification.verifiers.base import Verifier

CLAIMS_MAX = 200  # of one report; each is looked up in memory
RECALLED = 5
NOTES_MAX = 20


@dataclass(frozen=True, slots=True)
class Known:
    """Something said before. `binding` is False for what nobody has verified."""

    statement: Statement
    source: str
    binding: bool


class ConsistencyVerifier(Verifier):
    name = "consistency"
    kind = Kind.CONSISTENCY
    inline: ClassVar[bool] = False  # it reads the goal's other claims, and memory
    timeout_seconds = 60.0

    def judge(self, case: Case) -> VerdictDraft:
        claims = [str(claim.get("text", "")) for claim in case.report.get("claims") or ()]
        claims = [text for text in claims if text.strip()][:CLAIMS_MAX]
        if not claims:
            return self.abstains("the report makes no claims")
        accepted = [_of_goal(one) for one in case.accepted_claims()]
        own = [Statement.of(text) for text in claims]
        faults = list(_among_themselves(own))
        notes: list[str] = []
        for number, statement in enumerate(own, start=1):
            for known in (*accepted, *_remembered(case, statement.text)):
                if why := contradiction(statement, known.statement):
                    (faults if known.binding else notes).append(
                        _told(number, statement, known, why)
                    )
        evidence: Mapping[str, Any] = {
            "claims": len(own),
            "compared": len(accepted),
            "contradictions": len(faults),
            **({"notes": notes[:NOTES_MAX]} if notes else {}),
        }
        if faults:
            return self.fails(faults, evidence=evidence)
        return self.passes(evidence=evidence)


def _of_goal(claim: Mapping[str, Any]) -> Known:
    return Known(Statement.of(str(claim["text"])), f"task {claim['task']}", binding=True)


def _among_themselves(own: Sequence[Statement]) -> Iterator[str]:
    for number, statement in enumerate(own, start=1):
        for at, earlier in enumerate(own[: number - 1], start=1):
            if why := contradiction(statement, earlier):
                known = Known(earlier, f"claim {at}", binding=True)
                yield _told(number, statement, known, why)


def _remembered(case: Case, text: str) -> Iterator[Known]:
    """What semantic memory says of the matter."""
    if not case.namespace:
        return
    from memory import services as memory

    for hit in memory.recall(case.namespace, text, k=RECALLED, layers=["semantic"]):
        source = f"memory-{hit.id}"
        yield Known(Statement.of(hit.text), source, binding=hit.trust == "verified")


def _told(number: int, statement: Statement, known: Known, why: str) -> str:
    return (
        f"claim {number} (“{statement.text[:120]}”) contradicts {known.source}"
        f" (“{known.statement.text[:120]}”): {why}"
    )
