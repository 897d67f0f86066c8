"""The workers' public door: blobs, effects, model calls, running an attempt, listing agents."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now

from agentsys.kernel.errors import AgentsysError, BadInput, LeaseLost, NotFound, ServiceAway
from agentsys.kernel.hashing import canonical, digest, digest_bytes, plain
from workers import profiles, registry
from workers.agents.base import Agent
from workers.contracts import Brief, Failure, FailureKind, Limits, Outcome, Ports, Report
from workers.errors import AgentOff, EffectMismatch, SandboxUnavailable
from workers.micro import micro_agents
from workers.models import Blob, DriftScore, Effect, EffectState, ModelCall, Step
from workers.personas import bounded

log = structlog.get_logger(__name__)

ARTIFACT_BYTES_MAX = 64 * 1024 * 1024  # all artifacts of one report together
ARTIFACT_NAME_MAX = 300
ARTIFACT_KINDS = ("file", "diff", "report", "log", "data")
# type/subtype and parameters, by RFC 9110; no more than a header may hold.
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;\s*[\w-]+=[\w\"!#$&^.+ -]+)*", re.ASCII)
ERROR_CHARS_MAX = 2000


# --- Blobs ---------------------------------------------------------------------------------------


def blob_put(content: bytes, media_type: str = "application/octet-stream") -> str:
    """Store content once; returns its SHA-256."""
    return blobs_put([(content, media_type)])[0]


def blobs_put(items: Sequence[tuple[bytes, str]]) -> list[str]:
    """Store (content, media type) pairs in one statement; returns their SHA-256s in order."""
    rows = {digest_bytes(content): (content, media_type) for content, media_type in items}
    if rows:
        Blob.objects.bulk_create(
            [
                Blob(sha256=sha, content=content, size=len(content), media_type=media_type)
                for sha, (content, media_type) in sorted(rows.items())
            ],
            ignore_conflicts=True,
        )
    return [digest_bytes(content) for content, _ in items]


def blob_get(sha256: str) -> bytes:
    """The content; NotFound when no such blob is stored."""
    content = Blob.objects.filter(pk=sha256).values_list("content", flat=True).first()
    if content is None:
        raise NotFound(kind="blob", id=sha256, listing="agentsys goals show GOAL --json")
    return bytes(content)


# --- Effects -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EffectView:
    """A snapshot of an effect's row. `fresh`: this call inserted it, so nobody has begun it."""

    key: str
    kind: str
    state: str
    attempt_id: int
    fence: int
    result: Any
    fresh: bool


def effect_begin(
    *, key: str, kind: str, request: Mapping[str, Any], attempt_id: int, fence: int, level: str = ""
) -> EffectView:
    """Commit the intent before the change is made, or find what is on record under `key`.

    Only a `fresh` view may go on to make the change. EffectMismatch when `key` is on record with
    another request.
    """
    request_hash = digest(request)
    # Durable: inside another transaction the intent would not be on record when the change is made.
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO agentsys_workers_effect
                (key, kind, attempt_id, fence, request, request_hash, state, level, created_at)
            VALUES (%s, %s, %s, %s, %s::jsonb, %s, 'intent', %s, clock_timestamp())
            ON CONFLICT (key) DO NOTHING
            """,
            [key, kind, attempt_id, fence, canonical(request), request_hash, level],
        )
        fresh = cursor.rowcount == 1
    row = Effect.objects.get(key=key)
    if row.request_hash != request_hash:
        raise EffectMismatch(key=key)
    return _effect_view(row, fresh=fresh)


def effect_get(key: str) -> EffectView | None:
    row = Effect.objects.filter(key=key).first()
    return _effect_view(row, fresh=False) if row else None


def effect_confirm(key: str, result: Any, *, level: str = "") -> bool:
    """It happened, with this result, and under this sandbox level when that is said now. False
    when the effect had been settled before."""
    return _effect_settle(key, EffectState.CONFIRMED, result, **({"level": level} if level else {}))


def effect_refuse(key: str, note: str) -> bool:
    """It did not happen and will not: the gate said no, or a probe found nothing."""
    return _effect_settle(key, EffectState.REFUSED, {"note": note})


def effect_doubt(key: str, note: str) -> bool:
    """Nobody knows whether it happened; a probe or a person settles it."""
    moved = Effect.objects.filter(key=key, state=EffectState.INTENT).update(
        state=EffectState.DOUBTFUL, result={"note": plain(note)}, settled_at=Now()
    )
    return moved == 1


def _effect_settle(key: str, state: EffectState, result: Any, **fields: str) -> bool:
    unsettled = [EffectState.INTENT, EffectState.DOUBTFUL]
    moved = Effect.objects.filter(key=key, state__in=unsettled).update(
        state=state, result=plain(result), settled_at=Now(), **fields
    )
    return moved == 1


def _effect_view(row: Effect, *, fresh: bool) -> EffectView:
    return EffectView(
        key=row.key,
        kind=row.kind,
        state=row.state,
        attempt_id=row.attempt_id,
        fence=row.fence,
        result=row.result,
        fresh=fresh,
    )


# --- Model calls ---------------------------------------------------------------------------------


def model_call_record(
    *,
    role: str,
    model: str,
    outcome: str,
    attempt_id: int | None = None,
    goal_id: int | None = None,
    input_tokens: int = 0,
    output_tokens: int = 0,
    cached_tokens: int = 0,
    reasoning_tokens: int = 0,
    cost_usd: float | Decimal = 0,
    latency_ms: int = 0,
) -> None:
    """Book one model call."""
    ModelCall.objects.create(
        role=role,
        model=model,
        outcome=outcome,
        attempt_id=attempt_id,
        goal_id=goal_id,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached_tokens,
        reasoning_tokens=reasoning_tokens,
        cost_usd=round(Decimal(str(cost_usd)), 6),
        latency_ms=latency_ms,
    )


# --- Agents --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What a planner may know of an agent. `lane`: "agent", or "cheap" for batches in one message.

    `effects` says whether its work is visible outside the database before it is accepted.
    """

    name: str
    role: str
    lane: str
    effects: bool
    inputs_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    description: str
    scope_mode: str
    maps: tuple[str, ...] = ()  # the micro-agents that a swarm can map
    tools: tuple[str, ...] | None = None  # all that it may use; None: what agents usually have


def agent_info() -> dict[str, AgentInfo]:
    """Every agent that can be loaded, by name."""
    return {
        name: AgentInfo(
            name=name,
            role=agent.role,
            lane=agent.lane,
            effects=agent.effects,
            inputs_schema=agent.inputs_schema,
            output_schema=agent.output_schema,
            description=agent.description,
            scope_mode=agent.scope_mode,
            maps=tuple(sorted(micro_agents())) if name == "swarm" else (),
            tools=agent.tools,
        )
        for name, agent in registry.agents().items()
    }


def agent_output_schema(name: str, report: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The schema of one agent's outputs: of the version that `report` says it ran, else as it is
    now, or was when it was switched off or deleted. NotFound when there never was such an agent."""
    ran = (report or {}).get("ran") or {}
    if ran.get("version") and ran.get("agent") == name:
        return profiles.version(name, ran["version"]).output_schema
    try:
        return registry.agent(name).output_schema
    except AgentOff:
        schema: Mapping[str, Any] = profiles.last_output_schema(name) or {}
        return schema


def agent_lane(name: str) -> str:
    """The lane of its tasks; "agent" for one that is not there, so that its task says so."""
    try:
        return registry.agent(name).lane
    except NotFound:
        return "agent"


def agent_thinks(name: str) -> bool:
    """Whether a model does its work, so that its brief carries memory and the decided plan."""
    try:
        if registry.agent(name).thinks:
            return True
    except NotFound:
        return False
    from workers import roles

    return roles.thinks(name)


def agent_limits(name: str, given: Mapping[str, Any]) -> Limits:
    """The limits of a task that gives these: the rest as usual, or as its agent's profile says,
    which no task goes beyond."""
    try:
        most = registry.agent(name).limits_max
    except NotFound:
        most = {}
    return bounded(Limits(**{**most, **given}), most)


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
    except Exception as error:  # the edge: an agent's own failure becomes a report
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


def _bounded(report: Report, brief: Brief) -> Report:
    """The report, or a failed one when it is larger than the task's limits allow."""
    size = len(canonical(report.output)) if report.output else 0
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


# --- Reads for people ----------------------------------------------------------------------------


def steps_of(lineage: str) -> list[dict[str, Any]]:
    """The journal of an attempt and of those it took over from, in order."""
    rows = Step.objects.filter(lineage=lineage).order_by("index")
    return [
        {
            "index": row.index,
            "kind": row.kind,
            "name": row.name,
            "state": row.state,
            "request": row.request,
            "outcome": row.outcome,
            "outcome_blob": row.outcome_blob,
            "attempt": row.attempt_id,
            "started_at": row.started_at.isoformat(),
            "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        }
        for row in rows
    ]


def effects_of(attempt_id: int) -> list[dict[str, Any]]:
    """What an attempt did, or may have done, to the world."""
    rows = Effect.objects.filter(attempt_id=attempt_id).order_by("pk")
    return _plain_rows(rows.values("key", "kind", "state", "request", "result", "level"))


def effects_in_doubt(attempt_ids: Iterable[int]) -> list[dict[str, Any]]:
    """What these attempts have begun to do to the world, and nobody knows whether it took place."""
    states = (EffectState.INTENT, EffectState.DOUBTFUL)
    rows = Effect.objects.filter(attempt_id__in=list(attempt_ids), state__in=states).order_by("pk")
    return _plain_rows(rows.values("key", "kind", "state", "request"))


def drift_record(*, lineage: str, step: int, attempt_id: int, **fields: Any) -> None:
    """Keep a checkpoint's score; one that is taken again, after a crash, counts once."""
    DriftScore.objects.update_or_create(
        lineage=lineage, step=step, defaults={"attempt_id": attempt_id, **fields}
    )


def drift_of(lineage: str) -> list[dict[str, Any]]:
    """The checkpoints of an attempt and of those it took over from, in order."""
    rows = DriftScore.objects.filter(lineage=lineage).order_by("step")
    return _plain_rows(
        rows.values(
            "step", "score", "limit", "outcome", "coverage", "off_scope", "repeated", "far", "idle",
            "distance", "reasons",
        )
    )  # fmt: skip


def model_calls_of(goal_id: int) -> list[dict[str, Any]]:
    """The model calls of a goal."""
    rows = ModelCall.objects.filter(goal_id=goal_id).order_by("pk")
    return _plain_rows(rows.values("role", "model", "input_tokens", "output_tokens", "outcome"))


def _plain_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]
