"""When several goals may be done, each as a range, in a fixed number of statements.

The middle is `progress.eta_of`. The range is what the spread of the attempts so far allows: with n
tasks to come, of agents whose k accepted attempts took m seconds with variance v, what is left takes
n*m with variance n*v (they differ) + n*n*v/k (the mean itself is only known from k). Nine times in
ten it lies within 1.64 deviations, were attempts as independent as this takes them to be. People are
not counted: nobody knows how long a person takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from orchestration.services.progress import ENDED, SAMPLES_MIN, Pace, eta_of

WITHIN = 1.64
STILL = ("held", "verifying")  # no work is left in them, or a person's

_COUNTS = """
SELECT goal_id, state, agent, count(*) FROM agentsys_orchestration_task
WHERE goal_id = ANY(%s) AND state <> 'superseded' GROUP BY goal_id, state, agent
"""
_WORK = """
SELECT a.goal_id, t.agent,
       count(*) FILTER (WHERE a.state = 'accepted'),
       COALESCE(sum(s.seconds) FILTER (WHERE a.state = 'accepted'), 0),
       COALESCE(var_samp(s.seconds) FILTER (WHERE a.state = 'accepted'), 0),
       COALESCE(sum(EXTRACT(EPOCH FROM clock_timestamp() - a.started_at))
                FILTER (WHERE a.state = 'running'), 0)
FROM agentsys_orchestration_attempt a JOIN agentsys_orchestration_task t ON t.id = a.task_id
CROSS JOIN LATERAL (
    SELECT EXTRACT(EPOCH FROM COALESCE(a.reported_at, a.finished_at) - a.started_at) AS seconds) s
WHERE a.goal_id = ANY(%s) AND a.started_at IS NOT NULL GROUP BY a.goal_id, t.agent
"""
_SPANS = """
SELECT g.id, GREATEST(EXTRACT(EPOCH FROM COALESCE(g.finished_at, g.paused_at, clock_timestamp())
           - (SELECT min(started_at) FROM agentsys_orchestration_task WHERE goal_id = g.id))
           - g.paused_seconds, 0)
FROM agentsys_orchestration_goal g WHERE g.id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Tasks done and all of them; seconds until the goal may be done, None while that is unknown."""

    done: int
    total: int
    held: int
    seconds: float | None = None
    soonest: float | None = None
    latest: float | None = None


def forecasts(goal_ids: Sequence[int]) -> dict[int, Forecast]:
    """One for each goal; three statements, however many there are."""
    ids = list(goal_ids)
    counts: dict[int, list[tuple[str, str, int]]] = {pk: [] for pk in ids}
    for goal_id, *row in _rows(_COUNTS, ids):
        counts[goal_id].append((row[0], row[1], row[2]))
    work: dict[int, list[tuple[str, int, float, float, float]]] = {pk: [] for pk in ids}
    for goal_id, agent, n, seconds, spread, now in _rows(_WORK, ids):
        work[goal_id].append((agent, n, float(seconds), float(spread), float(now)))
    spans = {pk: float(span or 0) for pk, span in _rows(_SPANS, ids)}
    return {pk: _forecast(counts[pk], work[pk], spans.get(pk, 0.0)) for pk in ids}


def _forecast(
    rows: Sequence[tuple[str, str, int]],
    work: Sequence[tuple[str, int, float, float, float]],
    span: float,
) -> Forecast:
    done = sum(n for state, _, n in rows if state == "done")
    held = sum(n for state, _, n in rows if state == "held")
    total = sum(n for _, _, n in rows)
    samples = sum(n for _, n, _, _, _ in work)
    if min(done, samples) < SAMPLES_MIN or span <= 0:
        return Forecast(done, total, held)
    seconds = sum(each[2] for each in work)
    pace = Pace(
        samples=samples,
        mean={"": seconds / samples, **{agent: s / n for agent, n, s, _, _ in work if n}},
        under_way={agent: now for agent, _, _, _, now in work if now},
        concurrency=max((seconds + sum(each[4] for each in work)) / span, 1e-6),
    )
    middle = eta_of(pace, rows)
    if middle is None:
        return Forecast(done, total, held)
    about = WITHIN * math.sqrt(_variance(rows, work)) / pace.concurrency
    return Forecast(done, total, held, middle, max(middle - about, 0.0), middle + about)


def _variance(
    rows: Sequence[tuple[str, str, int]], work: Sequence[tuple[str, int, float, float, float]]
) -> float:
    """Of the seconds of work that are left, over all agents."""
    known: Mapping[str, tuple[float, int]] = {a: (v, n) for a, n, _, v, _ in work if n}
    samples = sum(n for _, n in known.values())
    pooled = sum(v * n for v, n in known.values()) / samples
    left: dict[str, int] = {}
    for state, agent, n in rows:
        if state not in (*ENDED, *STILL):
            left[agent] = left.get(agent, 0) + n
    return sum(
        n * spread + n * n * spread / k
        for agent, n in left.items()
        for spread, k in [known.get(agent, (pooled, samples))]
    )


def _rows(statement: str, ids: list[int]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [ids])
        return list(cursor.fetchall())
