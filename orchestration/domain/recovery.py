"""The recovery ladder: what follows from a failure, given what was tried before. Pure.

`RULES` is the policy of each class of failure, `recover` the one decision. What is nobody's fault
(an outage, a lost worker) continues the attempt's journal, so that no call is paid for twice, and
is forgiven: it does not use up the task's patience, only a count of its own. What the agent got
wrong begins afresh and counts. When patience has run out the task climbs, as far as its plan
allows: another model, another agent, a division into steps, a person; each begins with its
patience whole.

Nothing here waits. A delay becomes a row's `due_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workers.contracts import FailureKind

FORGIVEN_MAX = 20  # forgiven tries of one model and agent, before they are given up
AWAY_MAX = 500  # the same while a provider is away: hours, and most of them made by other tasks
OUTAGES_MAX = 2  # failures of a provider before another model is taken, where there is one
DOUBLINGS_MAX = 30  # beyond it every backoff has long reached its maximum


class FailureClass(StrEnum):
    TRANSIENT = "transient"
    RATE_LIMIT = "rate_limit"
    OUTAGE = "outage"
    BAD_OUTPUT = "bad_output"
    REJECTED = "rejected"
    LOST = "lost_worker"
    POISON = "poison"
    POLICY = "policy"
    BUDGET = "budget"
    UNFIT = "unfit"
    REFUSED = "refused"


CLASS_OF: Mapping[FailureKind, FailureClass] = {
    FailureKind.TRANSIENT: FailureClass.TRANSIENT,
    FailureKind.RATE_LIMIT: FailureClass.RATE_LIMIT,
    FailureKind.OUTAGE: FailureClass.OUTAGE,
    FailureKind.BAD_OUTPUT: FailureClass.BAD_OUTPUT,
    # Brought nothing usable: a fresh attempt may.
    FailureKind.TIMEOUT: FailureClass.BAD_OUTPUT,
    FailureKind.CRASH: FailureClass.BAD_OUTPUT,
    FailureKind.DRIFT: FailureClass.BAD_OUTPUT,
    # Not for this agent with this model; another, or smaller steps, may do it.
    FailureKind.CONTEXT: FailureClass.UNFIT,
    FailureKind.HANDED_BACK: FailureClass.UNFIT,
    # The same again comes to the same end.
    FailureKind.BAD_INPUT: FailureClass.POLICY,
    FailureKind.REFUSED: FailureClass.REFUSED,
    FailureKind.POLICY: FailureClass.POLICY,
    FailureKind.BUDGET: FailureClass.BUDGET,
}
OF_A_PROVIDER = frozenset({FailureClass.RATE_LIMIT, FailureClass.OUTAGE})


@dataclass(frozen=True, slots=True)
class Continue:
    """The same journal goes on after the delay. Forgiven."""

    reason: str
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Afresh:
    """A new attempt from the contract and the reasons, after the delay. Counts."""

    reason: str
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class OtherModel:
    """Another model takes over; the journal too, where the first one did nothing wrong."""

    reason: str
    model: str
    keeps_journal: bool


@dataclass(frozen=True, slots=True)
class OtherAgent:
    """Another agent begins afresh: it could not read the first one's journal."""

    reason: str
    agent: str


@dataclass(frozen=True, slots=True)
class Divide:
    """A planner divides it into steps that come before it. Once; what is left then is a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class AskPerson:
    """The last rung, where the plan says so: held until a person says how to go on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Park:
    """A budget has no room: held, with the attempt and its journal, until there is more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """It kills its workers: failed, and what it was given is kept for whoever looks."""

    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    reason: str


Decision = (
    Continue | Afresh | OtherModel | OtherAgent | Divide | AskPerson | Park | Quarantine | GiveUp
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Policy of a class. `tries`: another try may help; `forgiven`: with the same journal; `asks`: a
    person, whatever the plan says."""

    tries: bool = True
    forgiven: bool = False
    asks: bool = False


RULES: Mapping[FailureClass, Rule] = {
    FailureClass.TRANSIENT: Rule(forgiven=True),
    FailureClass.RATE_LIMIT: Rule(forgiven=True),
    FailureClass.OUTAGE: Rule(forgiven=True),
    FailureClass.LOST: Rule(forgiven=True),
    FailureClass.BAD_OUTPUT: Rule(),
    FailureClass.REJECTED: Rule(),
    FailureClass.POISON: Rule(tries=False),
    FailureClass.POLICY: Rule(tries=False),
    FailureClass.BUDGET: Rule(tries=False),
    FailureClass.UNFIT: Rule(),
    FailureClass.REFUSED: Rule(tries=False, asks=True),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the plan and the settings allow a task."""

    attempts_max: int
    backoff_seconds: float
    backoff_max_seconds: float
    lost_max: int
    forgiven_max: int = 0  # 0: by class
    models: tuple[str, ...] = ()
    fallback_agent: str = ""
    on_exhausted: str = "fail"  # fail | ask | replan

    @classmethod
    def of(
        cls,
        retry: Mapping[str, Any],
        *,
        attempts_max: int,
        backoff_seconds: float,
        backoff_max_seconds: float,
        lost_max: int,
    ) -> Terms:
        """From a definition's `retry`; what it does not say is given."""
        return cls(
            attempts_max=retry.get("attempts_max", attempts_max),
            backoff_seconds=retry.get("backoff_seconds", backoff_seconds),
            backoff_max_seconds=backoff_max_seconds,
            lost_max=lost_max,
            forgiven_max=retry.get("forgiven_max", 0),
            models=tuple(retry.get("models") or ()),
            fallback_agent=retry.get("fallback_agent") or "",
            on_exhausted=retry.get("on_exhausted", "fail"),
        )


@dataclass(frozen=True, slots=True)
class History:
    """What was tried, the attempt that has just failed included.

    `counted` and `forgiven` are since the present model and agent began, or since a person said
    to go on; `losses` are for good.
    """

    counted: int
    forgiven: int = 0
    losses: int = 0
    models_tried: tuple[str, ...] = ()
    agent: str = ""


def backoff(terms: Terms, tries: int, jitter: float) -> float:
    """Seconds: doubles with each try up to the maximum, with up to half as much again of jitter
    (in [0, 1), drawn by the caller)."""
    doubled = terms.backoff_seconds * 2 ** min(max(tries - 1, 0), DOUBLINGS_MAX)
    return float(min(doubled, terms.backoff_max_seconds) * (1 + jitter / 2))


def recover(
    failure: FailureClass,
    reason: str,
    history: History,
    terms: Terms,
    *,
    jitter: float = 0.0,
    retry_after_seconds: float | None = None,
) -> Decision:
    """What follows from a failure. `retry_after_seconds` is what the other side asked for."""
    rule = RULES[failure]
    if failure is FailureClass.BUDGET:
        return Park(reason)
    if failure is FailureClass.POISON or history.losses >= terms.lost_max > 0:
        times = f"{history.losses} workers were lost while they worked on it"
        return Quarantine(f"quarantined: {times}")
    if not rule.tries or not _patient(failure, history, terms):
        return _climb(rule, reason, history, terms)
    wait = max(retry_after_seconds or 0.0, 0.0) * (1 + jitter / 10)
    if failure is FailureClass.LOST:
        return Continue(reason, 0.0)  # its worker failed, not the work
    if rule.forgiven:
        return Continue(reason, max(backoff(terms, history.forgiven, jitter), wait))
    return Afresh(reason, max(backoff(terms, history.counted, jitter), wait))


def _patient(failure: FailureClass, history: History, terms: Terms) -> bool:
    if failure is FailureClass.UNFIT:
        return False  # the same again comes to the same end: straight to the next rung
    if not RULES[failure].forgiven:
        return history.counted < terms.attempts_max
    if failure is FailureClass.OUTAGE and _next_model(history, terms):
        return history.forgiven < OUTAGES_MAX
    most = terms.forgiven_max or (AWAY_MAX if failure in OF_A_PROVIDER else FORGIVEN_MAX)
    return failure is FailureClass.LOST or history.forgiven < most


def _climb(rule: Rule, reason: str, history: History, terms: Terms) -> Decision:
    # Models are no way round a policy: who was refused does not ask elsewhere.
    if rule.tries and (model := _next_model(history, terms)):
        return OtherModel(reason, model, keeps_journal=rule.forgiven)
    if rule.tries and terms.fallback_agent and history.agent != terms.fallback_agent:
        return OtherAgent(reason, terms.fallback_agent)
    if rule.tries and terms.on_exhausted == "replan":
        return Divide(reason)
    asks = rule.asks or terms.on_exhausted in ("ask", "replan")
    return AskPerson(reason) if asks else GiveUp(reason)


def _next_model(history: History, terms: Terms) -> str:
    return next((name for name in terms.models if name not in history.models_tried), "")
