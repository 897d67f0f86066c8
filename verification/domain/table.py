"""Every cell of what the tribunal can be asked: verifier × what it says × risk × who else speaks.

Each cell is one call of `decide`, never an opinion about it: the verifier is the one required, on
a report that reads, on a change (which can be executed) or on an irreversible action, and somebody
of each authority says yes or no beside it. docs/tribunal.md is drawn from this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from verification.contracts import Authority, Kind, Matter, Policy, Ruling, VerdictOutcome
from verification.domain.authority import Opinion
from verification.domain.matters import RISKS
from verification.domain.ruling import decide
from verification.domain.verdicts import VerdictView

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
SAYS = ("pass", "most pass", "fail", "veto", "abstain", "error", "nothing")
VOTERS = 3
BESIDE = ("nobody", "worker", "orchestrator", "verifier", "person", "person with reason")
YES_OR_NO = ("yes", "no")


@dataclass(frozen=True, slots=True)
class Cell:
    kind: Kind
    says: str
    risk: str
    beside: str
    word: str  # "" where nobody speaks beside the verifier
    ruling: Ruling


def cells() -> Iterator[Cell]:
    for risk, kind, says in product(RISKS, Kind, SAYS):
        if says == "most pass" and kind is not Kind.CONSENSUS:
            continue  # others have one voter
        for beside in BESIDE:
            for word in YES_OR_NO if beside != "nobody" else ("",):
                yield Cell(kind, says, risk, beside, word, ruling(kind, says, risk, beside, word))


def ruling(kind: Kind, says: str, risk: str, beside: str, word: str) -> Ruling:
    voters = VOTERS if kind is Kind.CONSENSUS else 1
    policy = Policy((kind.value,), voters={kind.value: VOTERS} if voters > 1 else {})
    views = [
        VerdictView(
            kind.value,
            kind,
            FAIL
            if says == "veto" or (says == "most pass" and number == voters)
            else _outcome(says),
            voter=f"v{number}" if voters > 1 else "",
            veto=says == "veto",
            evidence={"executable": risk == "write"},
        )
        for number in range(1, voters + 1)
        if says != "nothing"
    ]
    said = PASS if word == "yes" else FAIL
    words = []
    if beside == "verifier":
        views.append(VerdictView("another", _other(kind), said))
    elif beside != "nobody":
        reason = "" if beside == "person" else "seen"
        words.append(Opinion(_authority(beside), said, reason, by=beside))
    return decide(policy, views, matter=Matter(risk=risk), words=words)


def _outcome(says: str) -> VerdictOutcome:
    return PASS if says == "most pass" else VerdictOutcome(says)


def _other(kind: Kind) -> Kind:
    return Kind.SCHEMA if kind is not Kind.SCHEMA else Kind.SAFETY


def _authority(beside: str) -> Authority:
    return Authority.HUMAN if beside.startswith("person") else Authority[beside.upper()]
