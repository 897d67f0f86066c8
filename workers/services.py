"""The workers' public door: blobs, effects, model calls, running an attempt, listing agents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from agentsys.gateway.metering import Spent
from agentsys.kernel.errors import NotFound
from agentsys.kernel.hashing import canonical, digest, digest_bytes, plain
from workers import profiles, registry
from workers.attempting import attempt_run as attempt_run
from workers.contracts import Limits
from workers.errors import AgentOff, EffectMismatch
from workers.micro import micro_agents
from workers.models import Blob, DriftScore, Effect, EffectState, ModelCall, Step
from workers.personas import bounded
from workers.spending import call_lines as call_lines
from workers.spending import calls_by_attempt as calls_by_attempt
from workers.spending import calls_of as calls_of

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


def model_calls_record(
    calls: Iterable[Spent], *, goal_id: int | None, attempt_id: int | None = None
) -> None:
    """Keep model calls on record, with what they used."""
    ModelCall.objects.bulk_create(
        ModelCall(
            **{**asdict(call), "cost_usd": round(Decimal(str(call.cost_usd)), 6)},
            goal_id=goal_id,
            attempt_id=attempt_id,
        )
        for call in calls
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
    proposes: bool = True  # whether it may propose anything that an approval could be about
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
            proposes=agent.proposes,
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


def steps_count(goal_id: int, attempt_ids: Sequence[int]) -> int:
    """Journaled calls of these attempts, and calls of models that made the goal's plan."""
    planning = ModelCall.objects.filter(goal_id=goal_id, attempt_id=None, role="planner")
    calls = Step.objects.filter(attempt_id__in=attempt_ids).exclude(kind="prompt")
    return calls.count() + planning.count()


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


def models_of_work(goal_id: int, attempt_id: int, *, but: str) -> set[str]:
    """PROVIDER:NAME of the models that an attempt asked in other roles than `but`. One that went on
    where a lost one stood may have asked none: then those of its goal."""
    calls = ModelCall.objects.filter(goal_id=goal_id, outcome="ok").exclude(role=but)
    own = set(calls.filter(attempt_id=attempt_id).values_list("model", flat=True))
    return own or set(calls.values_list("model", flat=True))


def _plain_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]
