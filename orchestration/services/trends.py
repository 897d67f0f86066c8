"""How it went over time: tokens, latency, errors, hallucination, completion quality; and failures by
what they have in common.

Each figure is one statement over the newest rows of its table (`ATTEMPTS_MAX` and its like), so that
its cost has a bound however much is stored; the newest are found by id. By agent the rows are
attempts; by model they are model calls, and for what only an attempt has (quality, claims) the model
that wrote most of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

ATTEMPTS_MAX, CALLS_MAX, VERDICTS_MAX = 20_000, 50_000, 60_000
GROUPS_MAX = 6
FAILURES_MAX = 10
SPANS: Mapping[str, tuple[int, int]] = {"24h": (24, 24), "7d": (168, 28)}  # hours, and points
WAYS = ("agent", "model")

_MINE = "(%(projects)s::bigint[] IS NULL OR g.project_id = ANY(%(projects)s))"
_SLOT = "floor(extract(epoch FROM {at} - %(since)s::timestamptz) / %(seconds)s)::int"
_SETS = "GROUP BY GROUPING SETS ((1, 2), (1), (2), ()) ORDER BY 1 NULLS FIRST, 2 NULLS FIRST"

# The model that wrote most of each attempt; judges are asked about it, they did not write it.
_WRITERS = """
writers AS MATERIALIZED (
    SELECT DISTINCT ON (attempt_id) attempt_id, model FROM agentsys_workers_modelcall
    WHERE id > (SELECT max(id) FROM agentsys_workers_modelcall) - %(calls)s
      AND attempt_id IS NOT NULL AND role <> 'verifier'
    ORDER BY attempt_id, output_tokens DESC
)
"""
_ATTEMPTS = f"""
recent AS (
    SELECT a.id, a.task_id, a.number, a.state, a.tokens, a.started_at,
           COALESCE(a.reported_at, a.finished_at) AS ended_at
    FROM agentsys_orchestration_attempt a JOIN agentsys_orchestration_goal g ON g.id = a.goal_id
    WHERE a.id > (SELECT max(id) FROM agentsys_orchestration_attempt) - %(attempts)s
      AND COALESCE(a.reported_at, a.finished_at) >= %(since)s AND a.state <> 'cancelled'
      AND {_MINE}
)
"""  # noqa: S608 - parts of this file

BY_AGENT = f"""
WITH {_ATTEMPTS}
SELECT t.agent, {_SLOT.format(at="r.ended_at")}, count(*), sum(r.tokens),
       count(*) FILTER (WHERE r.state IN ('failed', 'lost')),
       count(*) FILTER (WHERE r.state = 'accepted'),
       count(*) FILTER (WHERE r.state = 'accepted' AND r.number = 1),
       percentile_cont(0.5) WITHIN GROUP (
           ORDER BY extract(epoch FROM r.ended_at - r.started_at))
FROM recent r JOIN agentsys_orchestration_task t ON t.id = r.task_id {_SETS}
"""  # noqa: S608

BY_MODEL = f"""
SELECT c.model, {_SLOT.format(at="c.created_at")}, count(*), sum(c.input_tokens + c.output_tokens),
       count(*) FILTER (WHERE c.outcome <> 'ok'),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.latency_ms / 1000.0)
FROM agentsys_workers_modelcall c
LEFT JOIN agentsys_orchestration_goal g ON g.id = c.goal_id
WHERE c.id > (SELECT max(id) FROM agentsys_workers_modelcall) - %(calls)s
  AND c.created_at >= %(since)s AND {_MINE} {_SETS}
"""  # noqa: S608

QUALITY_BY_MODEL = f"""
WITH {_WRITERS}, {_ATTEMPTS}
SELECT w.model, {_SLOT.format(at="r.ended_at")}, count(*),
       count(*) FILTER (WHERE r.state = 'accepted'),
       count(*) FILTER (WHERE r.state = 'accepted' AND r.number = 1)
FROM recent r JOIN writers w ON w.attempt_id = r.id {_SETS}
"""  # noqa: S608

_CLAIMS = f"""
claimed AS (
    SELECT v.attempt_id, v.finished_at, t.agent, (v.evidence->>'claims')::int AS claims,
           (v.evidence->>'ungrounded')::int AS ungrounded
    FROM agentsys_verification_verdict v
    JOIN agentsys_orchestration_attempt a ON a.id = v.attempt_id
    JOIN agentsys_orchestration_task t ON t.id = a.task_id
    JOIN agentsys_orchestration_goal g ON g.id = v.goal_id
    WHERE v.id > (SELECT max(id) FROM agentsys_verification_verdict) - %(verdicts)s
      AND v.kind = 'grounding' AND v.finished_at >= %(since)s AND {_MINE}
      AND jsonb_typeof(v.evidence->'claims') = 'number'
      AND jsonb_typeof(v.evidence->'ungrounded') = 'number'
)
"""  # noqa: S608

CLAIMS_BY_AGENT = f"""
WITH {_CLAIMS}
SELECT agent, {_SLOT.format(at="finished_at")}, sum(claims), sum(ungrounded)
FROM claimed {_SETS}
"""  # noqa: S608

CLAIMS_BY_MODEL = f"""
WITH {_WRITERS}, {_CLAIMS}
SELECT w.model, {_SLOT.format(at="c.finished_at")}, sum(c.claims), sum(c.ungrounded)
FROM claimed c JOIN writers w ON w.attempt_id = c.attempt_id {_SETS}
"""  # noqa: S608

# Numbers, ids and quoted words are what differs between two failures of one kind.
FAILURES = f"""
WITH failed AS (
    SELECT a.id, a.goal_id, a.state, a.finished_at, left(a.reason, 500) AS reason
    FROM agentsys_orchestration_attempt a JOIN agentsys_orchestration_goal g ON g.id = a.goal_id
    WHERE a.id > (SELECT max(id) FROM agentsys_orchestration_attempt) - %(attempts)s
      AND a.finished_at >= %(since)s AND a.state IN ('failed', 'lost', 'rejected') AND {_MINE}
)
SELECT left(md5(regexp_replace(lower(reason),
           '[0-9a-f]{{8,}}|[0-9]+(\\.[0-9]+)?|"[^"]*"|''[^'']*''', '#', 'g')), 8),
       count(*), count(DISTINCT goal_id), min(finished_at), max(finished_at), max(id),
       (array_agg(reason ORDER BY id DESC))[1], array_agg(DISTINCT state)
FROM failed GROUP BY 1 ORDER BY 2 DESC, 5 DESC LIMIT %(limit)s
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Series:
    """One agent or model ("" is all of them): a value a point, None where nothing happened, and the
    figure of the whole span."""

    name: str
    values: tuple[float | None, ...]
    whole: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """`unit` is tokens, seconds or share (0 to 1). `means` says what exactly is counted."""

    key: str
    title: str
    means: str
    unit: str
    series: tuple[Series, ...]
    left_out: int  # agents or models beyond those with the most


@dataclass(frozen=True, slots=True)
class Trends:
    since_at: datetime
    seconds: float  # from one point to the next
    charts: tuple[Chart, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures that read the same but for numbers and names. The reason is the newest one's."""

    print: str
    count: int
    goals: int
    first_at: datetime
    last_at: datetime
    attempt_id: int
    reason: str
    states: list[str]


def trends(span: str, by: str, projects: Sequence[int] | None) -> Trends:
    """Of goals in these projects (None: all). `span` is one of `SPANS`, `by` one of `WAYS`."""
    asked = _asked(span, projects)
    points = SPANS[span][1]
    if by == "agent":
        rows = _rows(BY_AGENT, asked)  # name, slot, n, tokens, errors, accepted, first, median
        quality = [(r[0], r[1], r[5], r[6]) for r in rows]
        claims = _rows(CLAIMS_BY_AGENT, asked)
    else:
        rows = _rows(BY_MODEL, asked)  # name, slot, n, tokens, errors, median
        quality = [(r[0], r[1], r[3], r[4]) for r in _rows(QUALITY_BY_MODEL, asked)]
        claims = _rows(CLAIMS_BY_MODEL, asked)
    things = "attempts" if by == "agent" else "model calls"
    made = (
        _chart("tokens", "Token usage", f"tokens of {things}", "tokens",
               [(r[0], r[1], _number(r[3])) for r in rows], points),
        _chart("latency", "Execution latency", f"median time of {things}", "seconds",
               [(r[0], r[1], _number(r[-1])) for r in rows], points),
        _chart("errors", "Error rate", f"{things} that failed, of all that ended", "share",
               [(r[0], r[1], _share(r[4], r[2])) for r in rows], points),
        _chart("hallucination", "Hallucination",
               "claims whose evidence the grounding verifier did not find, of all it looked at",
               "share", [(r[0], r[1], _share(r[3], r[2])) for r in claims], points),
        _chart("quality", "Completion quality",
               "accepted attempts that were the first at their task, of all accepted",
               "share", [(r[0], r[1], _share(r[3], r[2])) for r in quality], points),
    )  # fmt: skip
    return Trends(since_at=asked["since"], seconds=asked["seconds"], charts=made)


def failures(span: str, projects: Sequence[int] | None) -> list[Failures]:
    """Of the span, the most frequent first, at most `FAILURES_MAX`."""
    asked = {**_asked(span, projects), "limit": FAILURES_MAX}
    return [Failures(*row) for row in _rows(FAILURES, asked)]


def _asked(span: str, projects: Sequence[int] | None) -> dict[str, Any]:
    hours, points = SPANS[span]
    return {
        "since": timezone.now() - timedelta(hours=hours),
        "seconds": hours * 3600 / points,
        "projects": None if projects is None else list(projects),
        "attempts": ATTEMPTS_MAX,
        "calls": CALLS_MAX,
        "verdicts": VERDICTS_MAX,
    }


def _rows(statement: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return list(cursor.fetchall())


Point = tuple[str | None, int | None, float | None]  # a NULL is "of all"


def _chart(
    key: str, title: str, means: str, unit: str, found: Sequence[Point], points: int
) -> Chart:
    values: dict[str, list[float | None]] = {}
    whole: dict[str, float | None] = {}
    for name, slot, value in found:
        line = values.setdefault(name or "", [None] * points)
        if slot is None:
            whole[name or ""] = value
        elif slot >= 0:
            line[min(slot, points - 1)] = value
    told = {name: line for name, line in values.items() if any(v is not None for v in line)}
    names = sorted(told, key=lambda name: (name != "", -(whole.get(name) or 0), name))
    shown = names[: GROUPS_MAX + 1]
    lines = tuple(Series(name, tuple(told[name]), whole.get(name)) for name in shown)
    return Chart(key, title, means, unit, lines, len(names) - len(shown))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _share(part: Any, of: Any) -> float | None:
    return float(part) / float(of) if of else None
