"""Running an attempt: an agent's report within its bounds, or its failure as a report."""

from __future__ import annotations

import re
import traceback
from dataclasses import replace
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError

from agentsys.kernel.errors import AgentsysError, BadInput, LeaseLost, NotFound, ServiceAway
from agentsys.kernel.hashing import canonical, fault
from agentsys.kernel.plugins import is_its_own
from workers import registry
from workers.agents.base import Agent
from workers.contracts import Brief, Failure, FailureKind, Outcome, Ports, Report
from workers.errors import EffectMismatch, SandboxUnavailable

log = structlog.get_logger(__name__)

ARTIFACT_BYTES_MAX = 64 * 1024 * 1024  # all artifacts of one report together
ARTIFACT_NAME_MAX = 300
ARTIFACT_KINDS = ("file", "diff", "report", "log", "data")
# type/subtype and parameters, by RFC 9110; no more than a header may hold.
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;\s*[\w-]+=[\w\"!#$&^.+ -]+)*", re.ASCII)
ERROR_CHARS_MAX = 2000


def attempt_run(brief: Brief, ports: Ports) -> Report:
    """Run the brief's agent to its report. Never raises, except LeaseLost: nothing is to be said
    about an attempt that is no longer ours."""
    try:
        agent = registry.agent(brief.agent)
        problems = registry.input_problems(agent, brief.inputs)
        if problems:
            return _failed(FailureKind.BAD_INPUT, f"inputs of {brief.agent}: {'; '.join(problems)}")
        return _bounded(_run(agent, brief, ports), brief)
    except LeaseLost:
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        # The edge: an agent's own failure becomes a report.
        if not is_its_own(error):
            raise
        failure = failure_of(error)
        if failure.kind is FailureKind.CRASH:
            log.exception("agent crashed", agent=brief.agent, attempt_id=brief.attempt_id)
        return Report(Outcome.FAILED, failure=failure, summary=failure.message[:200])


def _run(agent: Agent, brief: Brief, ports: Ports) -> Report:
    if agent.lane == "cheap":
        return agent.run(brief, ports)
    from workers import roles  # it knows the loop, which knows this module

    return roles.run(agent, brief, ports)


_KINDS: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (BadInput, FailureKind.BAD_INPUT),
    (NotFound, FailureKind.BAD_INPUT),
    (SandboxUnavailable, FailureKind.POLICY),
    (EffectMismatch, FailureKind.POLICY),
    (ServiceAway, FailureKind.OUTAGE),
    (OperationalError, FailureKind.OUTAGE),
    (InterfaceError, FailureKind.OUTAGE),
    (TimeoutError, FailureKind.TIMEOUT),
    (ConnectionError, FailureKind.TRANSIENT),
)
_WORDS = (
    ("budget", FailureKind.BUDGET),
    ("rate", FailureKind.RATE_LIMIT),
    ("timeout", FailureKind.TIMEOUT),
    ("refus", FailureKind.REFUSED),
    ("output", FailureKind.BAD_OUTPUT),
)


def failure_kind(error: BaseException) -> FailureKind:
    """What to call an error. An error may say so itself with a `failure_kind` attribute; the
    budget and the gateway belong to other layers, so theirs are told by their stable `code`."""
    told = getattr(error, "failure_kind", None)
    if told in list(FailureKind):
        return FailureKind(str(told))
    for kind_of_error, kind in _KINDS:
        if isinstance(error, kind_of_error):
            return kind
    if isinstance(error, AgentsysError):
        parts = error.code.split("-")
        for word, kind in _WORDS:
            if any(part.startswith(word) for part in parts):
                return kind
    return FailureKind.CRASH


def failure_of(error: BaseException) -> Failure:
    """An error as a report tells it, with what it names as far as that is small and plain."""
    context = error.context if isinstance(error, AgentsysError) else {}
    facts = {
        name: value[:300] if isinstance(value, str) else value
        for name, value in context.items()
        if isinstance(value, str | int | float)
    }
    return Failure(
        failure_kind(error), _message(error), context.get("retry_after_seconds"), facts=facts
    )


def _message(error: BaseException) -> str:
    if isinstance(error, AgentsysError):
        return str(error)[:ERROR_CHARS_MAX]
    text = "".join(traceback.format_exception_only(error)).strip()
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({frame[0].filename}:{frame[0].lineno})" if frame else ""
    return f"{text}{where}"[:ERROR_CHARS_MAX]


def _failed(kind: FailureKind, message: str) -> Report:
    return Report(
        outcome=Outcome.FAILED, failure=Failure(kind=kind, message=message), summary=message[:200]
    )


def _bounded(report: Any, brief: Brief) -> Report:
    """The report, or a failed one when it is larger than the task's limits allow."""
    if not isinstance(report, Report):
        what = f"{brief.agent} returned {type(report).__name__}; expected a `Report`"
        return _failed(FailureKind.BAD_OUTPUT, what)
    try:
        size = len(canonical(report.output)) if report.output else 0
    except (TypeError, ValueError, RecursionError):
        what = f"the output of {brief.agent} cannot be stored: {fault(report.output)}"
        return replace(_failed(FailureKind.BAD_OUTPUT, what), usage=report.usage)
    if size > brief.limits.output_bytes_max:
        return _too_large(report, "output", size, brief.limits.output_bytes_max)
    if faults := _artifact_faults(report):
        failure = _failed(FailureKind.BAD_OUTPUT, f"artifacts: {'; '.join(faults)}")
        return replace(failure, usage=report.usage)
    size = sum(len(artifact.content) for artifact in report.artifacts)
    if size > ARTIFACT_BYTES_MAX:
        return _too_large(report, "artifacts", size, ARTIFACT_BYTES_MAX)
    return report


def _artifact_faults(report: Report) -> list[str]:
    """What keeps artifacts from being stored and shown: each needs a name of its own, one of the
    known kinds, and a media type that says how its bytes are to be taken."""
    names = [artifact.name for artifact in report.artifacts]
    faults = [
        f"two are called `{n[:100]}`" for n in sorted({n for n in names if names.count(n) > 1})
    ]
    for artifact in report.artifacts:
        shown = artifact.name[:100]
        if not 0 < len(artifact.name) <= ARTIFACT_NAME_MAX:
            faults.append(
                f"`{shown}` has {len(artifact.name)} characters, not 1 to {ARTIFACT_NAME_MAX}"
            )
        if artifact.kind not in ARTIFACT_KINDS:
            faults.append(
                f"`{shown}` is of kind `{artifact.kind}`, not {', '.join(ARTIFACT_KINDS)}"
            )
        if len(artifact.media_type) > 120 or not MEDIA_TYPE.fullmatch(artifact.media_type):
            faults.append(
                f"`{shown}` has no media type such as text/plain: `{artifact.media_type[:80]}`"
            )
    return faults


def _too_large(report: Report, what: str, size: int, allowed: int) -> Report:
    message = f"{what} of {size} bytes where at most {allowed} are allowed; write less, or raise it"
    return replace(_failed(FailureKind.BAD_OUTPUT, message), usage=report.usage)
