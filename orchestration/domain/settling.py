"""What follows from a report and its verdicts: one pure decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.domain.recovery import CLASS_OF, FailureClass
from verification.contracts import Rule, Ruling, RulingOutcome
from workers.contracts import Failure, FailureKind, Outcome


@dataclass(frozen=True, slots=True)
class Accept:
    """Everything that had to speak said yes and nothing is held back."""


@dataclass(frozen=True, slots=True)
class Propose:
    """Accepted by the verifiers; its proposals must be approved and applied first. `asks`: by a
    person, whatever the plan says."""

    asks: bool = False


@dataclass(frozen=True, slots=True)
class Verify:
    """Verifiers that take real time must still speak."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """Refused or failed. What follows depends on what was tried before: `domain.recovery`."""

    reason: str
    delay_seconds: float  # at least; what the other side asked for
    rejected: bool  # True: the verifiers said no; False: the work itself broke
    failure: FailureClass = FailureClass.BAD_OUTPUT
    facts: Mapping[str, Any] = field(default_factory=dict)  # what the failure names
    decided: Mapping[str, Any] = field(default_factory=dict, compare=False)  # for the record


@dataclass(frozen=True, slots=True)
class Fail:
    """A person says that it is over."""

    reason: str
    rejected: bool


@dataclass(frozen=True, slots=True)
class Review:
    """The verdicts do not decide: a person must look."""

    reasons: tuple[str, ...]
    decided: Mapping[str, Any] = field(default_factory=dict, compare=False)  # for the record


@dataclass(frozen=True, slots=True)
class Ask:
    """The agent itself asks a person."""

    question: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Yield:
    """The slice of time is used up; the attempt is queued again with its journal."""


Disposition = Accept | Propose | Verify | Retry | Fail | Review | Ask | Yield


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a task is tried."""

    attempts_max: int
    attempts_made: int

    @property
    def left(self) -> bool:
        return self.attempts_made < self.attempts_max


def dispose_report(
    report: Mapping[str, Any],
    ruling: Ruling | None,
    costly: Sequence[tuple[str, str]],
) -> Disposition:
    """Decide on a report. `ruling` is None while no verdict was asked for."""
    match Outcome(report["outcome"]):
        case Outcome.YIELDED:
            return Yield()
        case Outcome.ASKS:
            return Ask(question=report["question"] or {"text": "The agent asks a person."})
        case Outcome.FAILED:
            return dispose_failure(report.get("failure"))
        case Outcome.DONE:
            pass
    if ruling is None or (ruling.outcome is RulingOutcome.PENDING and costly):
        return Verify(pairs=tuple(costly))
    return dispose_ruling(ruling, proposes=bool(report.get("proposals")))


def dispose_ruling(ruling: Ruling, *, proposes: bool) -> Disposition:
    match ruling.outcome:
        case RulingOutcome.ACCEPT:
            return Propose() if proposes else Accept()
        case RulingOutcome.REJECT:
            reason = "; ".join(ruling.reasons) or "rejected by the verifiers"
            return Retry(
                reason=reason,
                delay_seconds=0.0,
                rejected=True,
                failure=FailureClass.REJECTED,
                decided=ruling.told,
            )
        case RulingOutcome.PERSON if proposes and ruling.rule is Rule.LOOK:
            return Propose(asks=True)  # they look at what is proposed, and not at it twice
        case RulingOutcome.PERSON | RulingOutcome.PENDING:
            return Review(reasons=ruling.reasons, decided=ruling.told)


def dispose_failure(failure: Mapping[str, Any] | None) -> Disposition:
    failure = failure or {"kind": str(FailureKind.CRASH), "message": "no reason given"}
    facts = failure.get("facts") or {}
    if failure["kind"] == FailureKind.BUDGET:
        text = f"{failure['message'].rstrip(' .')}. Go on?"
        return Ask(question={"kind": "budget", "text": text, "risk": "write", "facts": facts})
    return Retry(
        reason=f"{failure['kind']}: {failure['message']}",
        delay_seconds=failure.get("retry_after_seconds") or 0.0,
        rejected=False,
        failure=CLASS_OF[FailureKind(failure["kind"])],
        facts=facts,
    )


def failed(kind: FailureKind, message: str) -> dict[str, Any]:
    """The JSON form of a report that only says that it failed."""
    from workers.contracts import Report

    return Report(outcome=Outcome.FAILED, failure=Failure(kind, message)).to_json()
