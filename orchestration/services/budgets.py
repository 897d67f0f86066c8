"""Budgets: reserve before a call, settle after it, release what a dead worker had set aside.

A task's calls are paid by every budget above it: its project's, its goal's, those of the tasks
that fanned out into it, its own. Guaranteed:

- *All or none.* One statement locks the whole chain, looks at every limit and reserves in all of
  them, or in none. So no budget is overspent by more than calls in flight used beyond their own
  reservations.
- *One lock order*: project, goal, tasks from the outside in. Whoever holds a budget waits for no
  other row: reservations that somebody else is settling are skipped. So nothing can deadlock.
- *Nothing leaks.* What is set aside is a row that names its attempt and fence. When that attempt
  no longer runs the row is released: by the end of the attempt, by whoever finds a budget full,
  by `fsck --repair`.

What is spent is booked even when its attempt was taken back meanwhile: it has to be paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from agentsys.kernel.errors import AgentsysError, ExitCode
from orchestration.services.outages import task_was_answered
from workers.contracts import Usage

BUDGET = "agentsys_orchestration_budget"
RESERVATION = "agentsys_orchestration_reservation"
ABANDONED_SECONDS = 900  # a reservation without an attempt: no call takes so long
IN_ORDER = "b.project_id NULLS LAST, b.goal_id NULLS LAST, b.task_id"
# A reservation `r` is in flight while its attempt `a` runs under its fence, or the shift of a swarm
# goes on; without either, a while.
IN_FLIGHT = f"""CASE WHEN r.shift_id IS NOT NULL
    THEN EXISTS (SELECT 1 FROM agentsys_orchestration_swarmshift w
                 WHERE w.id = r.shift_id AND w.ended_at IS NULL)
    WHEN r.attempt_id IS NULL
    THEN r.created_at > clock_timestamp() - make_interval(secs => {ABANDONED_SECONDS})
    ELSE a.state = 'running' AND a.fence = r.fence END"""  # noqa: S608

CHAIN = f"""
up AS (
    SELECT id, parent_id, definition FROM agentsys_orchestration_task
    WHERE id = %(task)s::bigint AND goal_id = %(goal)s::bigint
    UNION ALL
    SELECT t.id, t.parent_id, t.definition FROM agentsys_orchestration_task t
    JOIN up ON t.id = up.parent_id
), chain AS MATERIALIZED (
    SELECT b.* FROM {BUDGET} b
    WHERE b.id = ANY(ARRAY(
        SELECT p.id FROM {BUDGET} p JOIN agentsys_orchestration_goal g
            ON g.project_id = p.project_id AND g.id = %(goal)s::bigint
        UNION ALL SELECT id FROM {BUDGET} WHERE goal_id = %(goal)s::bigint
        UNION ALL SELECT s.id FROM {BUDGET} s JOIN up ON s.task_id = up.id))
    ORDER BY {IN_ORDER} FOR NO KEY UPDATE
)"""  # noqa: S608 - put together from statements of our own

# Of a budget `c`. Wall clock since the start, without the goal's pauses; a swarm starts with its
# first child. Attempts are counted from the rows: those of a goal, or of a task and its children.
ELAPSED = """
CASE WHEN c.goal_id IS NOT NULL THEN (
    SELECT extract(epoch FROM COALESCE(g.finished_at, g.paused_at, clock_timestamp()) - g.started_at)
           - g.paused_seconds
    FROM agentsys_orchestration_goal g WHERE g.id = c.goal_id)
ELSE (
    SELECT extract(epoch FROM clock_timestamp() - min(t.started_at))
    FROM agentsys_orchestration_task t WHERE t.id = c.task_id OR t.parent_id = c.task_id)
END"""
MADE = """(
    SELECT COALESCE(sum(t.attempts_count), 0) FROM agentsys_orchestration_task t
    WHERE t.goal_id = c.goal_id OR t.id = c.task_id OR t.parent_id = c.task_id)"""

_RESERVE = f"""
WITH RECURSIVE {CHAIN}, unopened AS (
    SELECT 'task' AS level, up.id FROM up
    WHERE COALESCE(up.definition->'fan_out', up.definition->'swarm')->'budget' IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM {BUDGET} s WHERE s.task_id = up.id)
    UNION ALL
    SELECT 'project', p.id FROM agentsys_orchestration_goal g
    JOIN agentsys_orchestration_project p ON p.id = g.project_id
    WHERE g.id = %(goal)s::bigint AND p.policy->'budget' IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM {BUDGET} s WHERE s.project_id = p.id)
), short AS (
    SELECT c.*, k.* FROM chain c, LATERAL (VALUES
        ('tokens', c.tokens_max, c.tokens_spent, c.tokens_reserved, %(tokens)s::bigint),
        ('cost_usd', c.cost_usd_max, c.cost_usd_spent, c.cost_usd_reserved, %(cost)s::numeric),
        ('calls', c.calls_max, c.calls_spent, c.calls_reserved, %(calls)s::bigint),
        ('seconds', c.seconds_max::numeric,
         CASE WHEN c.seconds_max IS NOT NULL THEN {ELAPSED} END, 0, 0)
    ) AS k(kind, most, spent, reserved, asked)
    WHERE k.most IS NOT NULL AND k.spent + k.reserved + k.asked > k.most
), taken AS (
    UPDATE {BUDGET} b
    SET tokens_reserved = b.tokens_reserved + %(tokens)s::bigint,
        cost_usd_reserved = b.cost_usd_reserved + %(cost)s::numeric,
        calls_reserved = b.calls_reserved + %(calls)s::bigint
    FROM chain WHERE b.id = chain.id
      AND NOT EXISTS (SELECT 1 FROM short) AND NOT EXISTS (SELECT 1 FROM unopened)
    RETURNING b.id
), kept AS (
    INSERT INTO {RESERVATION} (goal_id, task_id, attempt_id, fence, tokens, cost_usd, calls,
                               budgets, created_at)
    SELECT %(goal)s::bigint, %(task)s::bigint, %(attempt)s::bigint,
           COALESCE((SELECT fence FROM agentsys_orchestration_attempt
                     WHERE id = %(attempt)s::bigint), 0),
           %(tokens)s::bigint, %(cost)s::numeric, %(calls)s::bigint,
           ARRAY(SELECT id FROM taken), clock_timestamp()
    WHERE NOT EXISTS (SELECT 1 FROM short) AND NOT EXISTS (SELECT 1 FROM unopened)
    RETURNING id
)
SELECT 'kept', id, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text,
       NULL::float8, NULL::float8, NULL::float8, NULL::float8 FROM kept
UNION ALL
SELECT 'unopened', id, NULL, NULL, NULL, level, NULL, NULL, NULL, NULL FROM unopened
UNION ALL
(SELECT 'short', b.id, b.project_id, b.goal_id, b.task_id, b.kind,
        b.most::float8, b.spent::float8, b.reserved::float8, b.asked::float8
 FROM short b ORDER BY {IN_ORDER}, b.kind)
"""  # noqa: S608

_SETTLE = f"""
WITH RECURSIVE {CHAIN}, gone AS (
    DELETE FROM {RESERVATION} WHERE id = ANY(ARRAY(
        SELECT r.id FROM {RESERVATION} r
        WHERE r.goal_id = %(goal)s::bigint AND r.attempt_id IS NOT DISTINCT FROM %(attempt)s::bigint
          AND r.task_id IS NOT DISTINCT FROM %(task)s::bigint
          AND r.tokens = %(tokens)s::bigint AND r.cost_usd = %(cost)s::numeric
        ORDER BY r.id LIMIT 1 FOR UPDATE SKIP LOCKED))
    RETURNING budgets, tokens, cost_usd, calls
), freed AS (
    SELECT c.id, COALESCE(g.tokens, 0) AS tokens, COALESCE(g.cost_usd, 0) AS cost_usd,
           COALESCE(g.calls, 0) AS calls
    FROM chain c LEFT JOIN gone g ON c.id = ANY(g.budgets)
)
UPDATE {BUDGET} b
SET tokens_reserved = GREATEST(b.tokens_reserved - f.tokens, 0),
    cost_usd_reserved = GREATEST(b.cost_usd_reserved - f.cost_usd, 0),
    calls_reserved = GREATEST(b.calls_reserved - f.calls, 0),
    tokens_spent = b.tokens_spent + %(tokens_used)s::bigint,
    cost_usd_spent = b.cost_usd_spent + %(cost_used)s::numeric,
    calls_spent = b.calls_spent + %(calls_used)s::bigint
FROM freed f WHERE b.id = f.id
"""  # noqa: S608

_RELEASE = f"""
WITH gone AS (
    DELETE FROM {RESERVATION} WHERE id = ANY(ARRAY(
        SELECT r.id FROM {RESERVATION} r
        LEFT JOIN agentsys_orchestration_attempt a ON a.id = r.attempt_id
        WHERE (%(task)s::bigint IS NULL OR r.task_id = %(task)s::bigint)
          AND (%(goal)s::bigint IS NULL OR r.goal_id = %(goal)s::bigint)
          AND NOT {IN_FLIGHT}
        FOR UPDATE OF r SKIP LOCKED))
    RETURNING budgets, tokens, cost_usd, calls
), freed AS (
    SELECT u.id, sum(g.tokens) AS tokens, sum(g.cost_usd) AS cost_usd, sum(g.calls) AS calls
    FROM gone g, unnest(g.budgets) AS u(id) GROUP BY u.id
), locked AS MATERIALIZED (
    SELECT b.id FROM {BUDGET} b WHERE b.id = ANY(ARRAY(SELECT id FROM freed))
    ORDER BY {IN_ORDER} FOR NO KEY UPDATE
), given_back AS (
    UPDATE {BUDGET} b
    SET tokens_reserved = GREATEST(b.tokens_reserved - f.tokens, 0),
        cost_usd_reserved = GREATEST(b.cost_usd_reserved - f.cost_usd, 0),
        calls_reserved = GREATEST(b.calls_reserved - f.calls, 0)
    FROM freed f JOIN locked USING (id) WHERE b.id = f.id
)
SELECT count(*) FROM gone
"""  # noqa: S608

# One budget by itself, for repairs: whoever holds one row of a chain may not wait for another.
_FORGET = f"""
UPDATE {RESERVATION} SET budgets = array_remove(budgets, %(budget)s::bigint)
WHERE id = ANY(ARRAY(
    SELECT r.id FROM {RESERVATION} r
    LEFT JOIN agentsys_orchestration_attempt a ON a.id = r.attempt_id
    WHERE %(budget)s::bigint = ANY(r.budgets) AND NOT {IN_FLIGHT} FOR UPDATE OF r SKIP LOCKED))
"""  # noqa: S608
_RECOUNT = f"""
UPDATE {BUDGET} SET tokens_reserved = held.tokens, cost_usd_reserved = held.cost_usd,
    calls_reserved = held.calls
FROM (SELECT COALESCE(sum(tokens), 0) AS tokens, COALESCE(sum(cost_usd), 0) AS cost_usd,
             COALESCE(sum(calls), 0) AS calls
      FROM {RESERVATION} WHERE %(budget)s::bigint = ANY(budgets)) held
WHERE id = %(budget)s::bigint
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Shortage:
    """A limit without room. `ref` names the thing: project-1, goal-2, task-3."""

    budget_id: int
    level: str
    ref: str
    kind: str  # tokens | cost_usd | calls | seconds | attempts
    most: float
    spent: float
    reserved: float
    asked: float

    def __str__(self) -> str:
        if self.kind == "attempts":
            return (
                f"{self.spent:.0f} were made, first ones included, and the limit is {self.most:.0f}"
            )
        inflight = f" and {_amount(self.kind, self.reserved)} reserved" if self.reserved else ""
        return (
            f"{_amount(self.kind, self.spent)} of {_amount(self.kind, self.most)}"
            f" {NAMES[self.kind]} are spent{inflight}"
        )


NAMES = {
    "tokens": "tokens",
    "cost_usd": "of money",
    "calls": "model calls",
    "seconds": "seconds",
    "attempts": "attempts",
}


def _amount(kind: str, value: float) -> str:
    return f"${value:.4f}" if kind == "cost_usd" else f"{value:.0f}"


class BudgetExceeded(AgentsysError):
    """A budget has no room for the call; the work is parked and a person asked."""

    code = "budget-exceeded"
    template = "{ref} has no budget for {wanted}: {spent}. Raise it to go on"
    exit_code = ExitCode.BUDGET


def exceeded(short: Shortage, goal_id: int) -> BudgetExceeded:
    more = f"{_amount(short.kind, short.asked)} more {NAMES[short.kind]}"
    if short.kind == "attempts":
        more = "another attempt"
    return BudgetExceeded(
        ref=short.ref,
        wanted=more if short.asked else "more time",
        spent=str(short),
        goal_id=goal_id,
        budget=short.budget_id,
        level=short.level,
        kind=short.kind,
        most=short.most,
        used=short.spent,
        reserved=short.reserved,
        asked=short.asked,
    )


def budget_reserve(
    goal_id: int,
    *,
    tokens: int,
    cost_usd: float,
    calls: int = 1,
    task_id: int | None = None,
    attempt_id: int | None = None,
) -> int:
    """Set aside an upper bound for one call, or several, in every budget above the task; the
    reservation's id.

    BudgetExceeded names the outermost limit without room. Without a task only the project and
    the goal pay.
    """
    values = {**_values(goal_id, task_id, attempt_id, tokens, cost_usd), "calls": calls}
    kept, short = _reserve(values)
    if short and reservations_release(goal_id=None if short.level == "project" else goal_id):
        kept, short = _reserve(values)  # a dead worker had held what was missing
    if short:
        raise exceeded(short, goal_id)
    return kept


def _reserve(values: dict[str, Any]) -> tuple[int, Shortage | None]:
    rows = _fetch(_RESERVE, values)
    if rows[0][0] == "unopened":
        from orchestration.services.limits import budget_open

        for _, pk, _, _, _, level, *_ in (row for row in rows if row[0] == "unopened"):
            budget_open(level, pk)
        rows = _fetch(_RESERVE, values)
    if rows[0][0] == "kept":
        return rows[0][1], None
    return 0, shortage_of(rows[0][1:])


def shortage_of(row: tuple[Any, ...]) -> Shortage:
    """From (budget, project, goal, task, kind, most, spent, reserved, asked)."""
    budget_id, project, goal, task, *rest = row
    level, pk = ("project", project) if project else ("goal", goal) if goal else ("task", task)
    return Shortage(budget_id, level, f"{level}-{pk}", *rest)


def budget_settle(
    goal_id: int,
    *,
    tokens: int,
    cost_usd: float,
    usage: Usage,
    task_id: int | None = None,
    attempt_id: int | None = None,
) -> None:
    """Give back what was reserved for one call and book what it used.

    An answer also says that the provider, if the task had waited for one, is back.
    """
    values = _values(goal_id, task_id, attempt_id, tokens, cost_usd)
    used: dict[str, Any] = {
        "tokens_used": usage.input_tokens + usage.output_tokens,
        "cost_used": _money(usage.cost_usd),
        "calls_used": usage.model_calls,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, {**values, **used})
    if task_id is not None and usage.output_tokens:
        task_was_answered(task_id)


def reservations_release(*, goal_id: int | None = None, task_id: int | None = None) -> int:
    """Give back what attempts that no longer run had reserved; returns how many calls' worth."""
    rows = _fetch(_RELEASE, {"goal": goal_id, "task": task_id})
    return int(rows[0][0])


def budget_recount(budget_id: int) -> None:
    """Set what one budget has reserved to what its calls in flight hold. In a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {BUDGET} WHERE id = %s FOR NO KEY UPDATE", [budget_id])  # noqa: S608
        cursor.execute(_FORGET, {"budget": budget_id})
        cursor.execute(_RECOUNT, {"budget": budget_id})


def _values(
    goal_id: int, task_id: int | None, attempt_id: int | None, tokens: int, cost_usd: float
) -> dict[str, Any]:
    return {
        "goal": goal_id,
        "task": task_id,
        "attempt": attempt_id,
        "tokens": tokens,
        "cost": _money(cost_usd),
        "calls": 1,
    }


def _fetch(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _money(usd: float) -> Decimal:
    """As the columns hold it, so that what is settled is found by what was reserved."""
    return round(Decimal(str(usd)), 6)
