"""What follows from a report and its verdicts: one pure decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verification.contracts import Ruling, RulingOutcome
from workers.contracts import Failure, FailureKind, Outcome

NOT_RETRIED = frozenset({FailureKind.BAD_INPUT, FailureKind.POLICY, FailureKind.REFUSED})


@dataclass(frozen=True, slots=True)
class Accept:
    """Everything that had to speak said yes and nothing is held back."""


@dataclass(frozen=True, slots=True)
class Propose:
    """Accepted by the verifiers; its proposals must be approved and applied first."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Verifiers that take real time must still speak."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """Refused or failed, and attempts are left."""

    reason: str
    delay_seconds: float
    rejected: bool  # True: a fresh attempt with the reasons; False: the work itself broke


@dataclass(frozen=True, slots=True)
class Fail:
    reason: str
    rejected: bool


@dataclass(frozen=True, slots=True)
class Review:
    """The verdicts do not decide: a person must look."""

    reasons: tuple[str, ...]


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
    """How often a task is tried and how long it waits in between."""

    attempts_max: int
    attempts_made: int
    backoff_seconds: float
    backoff_max_seconds: float
    jitter: float = 0.0  # in [0, 1), drawn by the caller

    def delay(self) -> float:
        """Doubles with each attempt, with up to half as much again of jitter."""
        base = self.backoff_seconds * 2 ** max(self.attempts_made - 1, 0)
        return float(min(base, self.backoff_max_seconds) * (1 + self.jitter / 2))

    @property
    def left(self) -> bool:
        return self.attempts_made < self.attempts_max


def dispose_report(
    report: Mapping[str, Any],
    ruling: Ruling | None,
    costly: Sequence[tuple[str, str]],
    patience: Patience,
) -> Disposition:
    """Decide on a report. `ruling` is None while no verdict was asked for."""
    match Outcome(report["outcome"]):
        case Outcome.YIELDED:
            return Yield()
        case Outcome.ASKS:
            return Ask(question=report["question"] or {"text": "The agent asks a person."})
        case Outcome.FAILED:
            return dispose_failure(report.get("failure"), patience)
        case Outcome.DONE:
            pass
    if ruling is None or (ruling.outcome is RulingOutcome.PENDING and costly):
        return Verify(pairs=tuple(costly))
    return dispose_ruling(ruling, patience, proposes=bool(report.get("proposals")))


def dispose_ruling(ruling: Ruling, patience: Patience, *, proposes: bool) -> Disposition:
    match ruling.outcome:
        case RulingOutcome.ACCEPT:
            return Propose() if proposes else Accept()
        case RulingOutcome.REJECT:
            reason = "; ".join(ruling.reasons) or "rejected by the verifiers"
            if patience.left:
                return Retry(reason=reason, delay_seconds=patience.delay(), rejected=True)
            return Fail(reason=reason, rejected=True)
        case RulingOutcome.PERSON | RulingOutcome.PENDING:
            return Review(reasons=ruling.reasons)


def dispose_failure(failure: Mapping[str, Any] | None, patience: Patience) -> Disposition:
    failure = failure or {"kind": str(FailureKind.CRASH), "message": "no reason given"}
    reason = f"{failure['kind']}: {failure['message']}"
    if failure["kind"] == FailureKind.BUDGET:
        text = f"{failure['message']} Go on?"
        return Ask(question={"kind": "budget", "text": text, "risk": "write"})
    if FailureKind(failure["kind"]) in NOT_RETRIED or not patience.left:
        return Fail(reason=reason, rejected=False)
    delay = max(patience.delay(), failure.get("retry_after_seconds") or 0.0)
    return Retry(reason=reason, delay_seconds=delay, rejected=False)


def failed(kind: FailureKind, message: str) -> dict[str, Any]:
    """The JSON form of a report that only says that it failed."""
    from workers.contracts import Report

    return Report(outcome=Outcome.FAILED, failure=Failure(kind, message)).to_json()
