"""What a goal has used, by whom and for what, how fast, and what it will come to. For people.

The workers' rows name attempts by number and know no tasks, hence statements of our own over their
table. Every call that was made is there: those of attempts that did not count, of planning and of
verifying, too. What a budget says may be a little more: what is on its way is set aside there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, Sum

from orchestration.domain.forecasting import Forecast, Sample, forecast, verdict
from orchestration.models import Attempt, Goal
from orchestration.services.limits import budget_view
from orchestration.services.reads import found, goal_cost, iso

TOP_TASKS = 15
TASKS_MAX = 50  # in a document for programs
BUCKETS = 60
RECENT_SECONDS = 3600
KINDS = ("tokens", "cost_usd")

_BY = """
SELECT model, role, count(*), count(*) FILTER (WHERE outcome <> 'ok'),
       sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(reasoning_tokens),
       sum(cost_usd)::float8, sum(latency_ms)
FROM agentsys_workers_modelcall WHERE goal_id = %s GROUP BY model, role ORDER BY model, role
"""
_PAID = """
WITH paid AS (
    SELECT attempt_id, count(*) AS calls, sum(input_tokens + output_tokens) AS tokens,
           sum(cost_usd) AS cost
    FROM agentsys_workers_modelcall
    WHERE goal_id = %(goal)s AND attempt_id IS NOT NULL GROUP BY attempt_id
), task AS (
    SELECT t.id, t.key, t.agent, t.state, COALESCE(sum(p.calls), 0)::bigint AS calls,
           COALESCE(sum(p.tokens), 0)::bigint AS tokens, COALESCE(sum(p.cost), 0)::float8 AS cost
    FROM agentsys_orchestration_task t
    LEFT JOIN agentsys_orchestration_attempt a ON a.task_id = t.id
    LEFT JOIN paid p ON p.attempt_id = a.id
    WHERE t.goal_id = %(goal)s GROUP BY t.id
)
"""
_BY_TASK = f"""{_PAID}
SELECT id, key, agent, state, calls, tokens, cost, count(*) OVER ()
FROM task WHERE calls > 0 ORDER BY cost DESC, tokens DESC, id LIMIT %(top)s
"""  # noqa: S608 - put together from statements of our own
_BY_AGENT = f"""{_PAID}
SELECT agent, state = 'done', state NOT IN ('done', 'failed', 'cancelled', 'superseded'), count(*),
       sum(tokens)::float8, sum(tokens::float8 ^ 2), sum(cost), sum(cost ^ 2)
FROM task GROUP BY 1, 2, 3
"""  # noqa: S608
_OVER_TIME = """
SELECT floor(extract(epoch FROM created_at - %(first)s::timestamptz) / %(width)s::float8)::int AS place,
       sum(input_tokens + output_tokens)::bigint, sum(cost_usd)::float8
FROM agentsys_workers_modelcall WHERE goal_id = %(goal)s GROUP BY place ORDER BY place
"""
_REACH = """
SELECT min(created_at), max(created_at), clock_timestamp(),
       COALESCE(sum(input_tokens + output_tokens) FILTER (WHERE created_at > clock_timestamp()
           - make_interval(secs => %(recent)s)), 0)::bigint,
       COALESCE(sum(cost_usd) FILTER (WHERE created_at > clock_timestamp()
           - make_interval(secs => %(recent)s)), 0)::float8
FROM agentsys_workers_modelcall WHERE goal_id = %(goal)s
"""


def goal_spending(goal_id: int) -> dict[str, Any]:
    """NotFound when there is no such goal. `forecast` and `lasts_seconds` are None where there is too
    little to tell them from; `outlook` is the word for each limit that `domain.forecasting` has."""
    goal: Goal = found(Goal.objects, "goal", goal_id)
    budget = budget_view(f"goal-{goal_id}")
    calls = _calls(goal_id)
    tasks, tasks_all = _by_task(goal_id)
    paid = {
        "tokens": sum(c["tokens"] for c in calls),
        "cost_usd": sum(c["cost_usd"] for c in calls),
    }
    first, last, now, *recent = _ask(_REACH, {"goal": goal_id, "recent": RECENT_SECONDS})[0]
    return {
        "goal": goal_id,
        "budget": budget,
        "on_record": paid | {"calls": sum(c["calls"] for c in calls)},
        "by_model": _summed(calls, "model"),
        "by_role": _summed(calls, "role"),
        "by_task": tasks,
        "tasks_left_out": tasks_all - len(tasks),
        "elsewhere": {  # planning, swarms, and tasks below the first few
            kind: paid[kind] - sum(task[kind] for task in tasks) for kind in KINDS
        },
        "burn": _burn(goal, first, now, recent),
        "outlook": _outlook(goal_id, budget, over=goal.finished_at is not None),
        "over_time": _over_time(goal_id, first, last),
    }


def cost_view(goal_id: int) -> dict[str, Any]:
    """For programs: totals of the goal's budget; calls by model and by role; attempts by agent and by
    task (the dearest TASKS_MAX). What planning and verifying used is in no attempt, so that those sum
    to less. NotFound when there is no such goal."""
    found(Goal.objects, "goal", goal_id)
    calls = _calls(goal_id)
    return {
        "goal": goal_id,
        **goal_cost(goal_id),
        "models": _short(_summed(calls, "model")),
        "roles": _short(_summed(calls, "role")),
        "agents": _attempts_by(goal_id, "task__agent"),
        "tasks": _attempts_by(goal_id, "task__key")[:TASKS_MAX],
    }


def _short(sums: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{k: row[k] for k in ("name", "calls", "tokens", "cost_usd")} for row in sums]


def _attempts_by(goal_id: int, column: str) -> list[dict[str, Any]]:
    rows = Attempt.objects.filter(goal_id=goal_id, tokens__gt=0).values(name=F(column)).order_by()
    summed = rows.annotate(used=Sum("tokens"), cost=Sum("cost_usd")).order_by("-cost", "-used")
    return [
        {"name": row["name"], "tokens": row["used"], "cost_usd": float(row["cost"])}
        for row in summed
    ]


def _calls(goal_id: int) -> list[dict[str, Any]]:
    names = ("model", "role", "calls", "failed", "input", "output", "cached", "reasoning",
             "cost_usd", "latency_ms")  # fmt: skip
    rows = [dict(zip(names, row, strict=True)) for row in _ask(_BY, [goal_id])]
    return [{**row, "tokens": int(row["input"] + row["output"])} for row in rows]


def _summed(calls: Iterable[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """By model or by role, what cost most first."""
    sums: dict[str, dict[str, Any]] = {}
    for call in calls:
        one = sums.setdefault(call[name], defaultdict(int))
        for key, value in call.items():
            if key not in ("model", "role"):
                one[key] += value
    rows = [
        {
            "name": key,
            **{k: float(v) if k == "cost_usd" else int(v) for k, v in one.items()},
            "mean_ms": round(one["latency_ms"] / one["calls"]),
        }
        for key, one in sums.items()
    ]
    return sorted(rows, key=lambda r: (-r["cost_usd"], -r["tokens"], r["name"]))


def _by_task(goal_id: int) -> tuple[list[dict[str, Any]], int]:
    names = ("id", "key", "agent", "state", "calls", "tokens", "cost_usd")
    rows = _ask(_BY_TASK, {"goal": goal_id, "top": TOP_TASKS})
    tasks = [dict(zip(names, row[:-1], strict=True)) for row in rows]
    return tasks, int(rows[0][-1]) if rows else 0


def _burn(
    goal: Goal, first: datetime | None, now: datetime, recent: Sequence[Any]
) -> dict[str, Any]:
    """What was used an hour, over the last hour; over less where the first call is younger."""
    since = goal.finished_at is None and first is not None
    seconds = min((now - first).total_seconds(), RECENT_SECONDS) if since and first else 0.0
    if seconds < 60:
        return {"seconds": seconds, **dict.fromkeys(KINDS)}
    return {
        "seconds": seconds,
        **{kind: recent[n] * 3600 / seconds for n, kind in enumerate(KINDS)},
    }


def _outlook(goal_id: int, budget: Mapping[str, Any], *, over: bool) -> dict[str, Any]:
    rows = _ask(_BY_AGENT, {"goal": goal_id})
    left: dict[str, int] = defaultdict(int)
    for agent, _, is_open, count, *_ in rows:
        if is_open:
            left[agent] += count
    told = {}
    for n, kind in enumerate(KINDS):
        done = {
            row[0]: Sample(row[3], row[4 + 2 * n] or 0.0, row[5 + 2 * n] or 0.0)
            for row in rows
            if row[1]
        }
        spent, limit = float(budget["spent"].get(kind) or 0), budget["limits"].get(kind)
        under_way = sum(row[4 + 2 * n] or 0.0 for row in rows if row[2])
        seen = None if over else forecast(done, left, spent=spent, under_way=under_way)
        told[kind] = {
            "spent": spent,
            "limit": limit,
            "forecast": _range(seen),
            "says": "over" if over else verdict(seen, limit, spent),
        }
    return told | {"tasks_left": sum(left.values())}


def _range(seen: Forecast | None) -> list[float] | None:
    return None if seen is None else [seen.low, seen.high]


def _over_time(goal_id: int, first: datetime | None, last: datetime | None) -> dict[str, Any]:
    """Sums of at most BUCKETS stretches of equal length, those in which nothing was used left out."""
    if first is None or last is None:
        return {"first_at": None, "width_seconds": 0.0, "used": []}
    width = max((last - first).total_seconds() / (BUCKETS - 1), 1.0)
    rows = _ask(_OVER_TIME, {"goal": goal_id, "first": first, "width": width})
    used = [{"place": place, "tokens": tokens, "cost_usd": cost} for place, tokens, cost in rows]
    return {"first_at": iso(first), "width_seconds": width, "used": used}


def _ask(statement: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
