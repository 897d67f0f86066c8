"""What the limits of budgets are: set by a person, by a plan, raised when more is granted.

A limit is changed under the goal's lock and written to its ledger; a project's is written to the
ledger of every goal of it that is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection, transaction

from agentsys.kernel.errors import BadInput, NotFound
from orchestration.models import Budget, Goal, Project, Task
from orchestration.services.budgets import BUDGET, ELAPSED, MADE
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import goal_still_open

log = structlog.get_logger(__name__)

KINDS: Mapping[str, type] = {
    "tokens": int,
    "cost_usd": float,
    "calls": int,
    "seconds": float,
    "attempts": int,
}
ALIASES = {"usd": "cost_usd", "money": "cost_usd"}
OF_PROJECTS = ("tokens", "cost_usd", "calls")  # a project has no start, and no attempts of its own
MOST = 10**9

# What a task and its children have used so far, for a budget that is set when they have begun.
_USED_BY_TASK = """
WITH RECURSIVE down AS (
    SELECT id FROM agentsys_orchestration_task WHERE id = %s
    UNION ALL
    SELECT t.id FROM agentsys_orchestration_task t JOIN down ON t.parent_id = down.id
)
SELECT COALESCE(sum(a.tokens), 0), COALESCE(sum(a.cost_usd), 0), 0
FROM agentsys_orchestration_attempt a JOIN down ON down.id = a.task_id
"""
_USED_BY_PROJECT = """
SELECT COALESCE(sum(b.tokens_spent), 0), COALESCE(sum(b.cost_usd_spent), 0),
       COALESCE(sum(b.calls_spent), 0)
FROM agentsys_orchestration_budget b JOIN agentsys_orchestration_goal g ON g.id = b.goal_id
WHERE g.project_id = %s
"""


_USED_OTHERWISE = f"SELECT {ELAPSED}, {MADE} FROM {BUDGET} c WHERE c.id = %s"  # noqa: S608


def budget_set(ref: str, limits: Mapping[str, Any], *, actor: str) -> dict[str, Any]:
    """Set limits of `project-N`, `goal-N` or `task-N`; returns all of its limits.

    `limits` are kinds (tokens, cost_usd or usd, calls, seconds, attempts) and numbers; None takes
    a limit away. NotFound, BadInput with every problem, IllegalMove of a goal that is over and of its
    tasks. Work that was parked and now has room goes on.
    """
    from orchestration.services.parking import parked_resume

    level, pk = _parsed(ref)
    wanted = limits_checked(limits, level=level, what=f"budget of {ref}")
    goals = _goals_of(level, pk)
    for goal_id in goals:
        with goal_locked(goal_id) as book:
            if level != "project":
                goal_still_open(book, "budget")
            limits_move(book, budget_of(level, pk), wanted, actor=actor)
    if not goals:
        _write(budget_of(level, pk), wanted)
    budget = budget_of(level, pk)
    parked_resume(budget.pk, actor=actor)
    return limits_of(budget)


def budget_view(ref: str) -> dict[str, Any]:
    """Limits, what was spent and what is set aside of `project-N`, `goal-N` or `task-N`, by kind.
    What has no budget of its own has no limits of its own; `attempt` are the limits of each attempt
    that a task's definition sets. NotFound when there is no such thing."""
    level, pk = _parsed(ref)
    budget = Budget.objects.filter(**{f"{level}_id": pk}).first()
    more = {"attempt": _attempt_limits(pk)} if level == "task" else {}
    if budget is None:
        spent = dict(zip(OF_PROJECTS, _used_before(level, pk), strict=True))
        spent = {kind: KINDS[kind](spent[kind]) for kind in OF_PROJECTS if kind != "calls"}
        limits = dict.fromkeys(KINDS if level != "project" else OF_PROJECTS)
        return {"budget": ref, "limits": limits, "spent": spent, "reserved": {}, **more}
    return {
        **more,
        "budget": ref,
        "limits": limits_of(budget),
        "spent": _spent(budget),
        "reserved": {
            kind: KINDS[kind](getattr(budget, f"{kind}_reserved")) for kind in OF_PROJECTS
        },
    }


def _attempt_limits(task_id: int) -> dict[str, Any]:
    limits = Task.objects.values_list("definition__limits", flat=True).get(pk=task_id) or {}
    return {name: limits[name] for name in sorted(limits)}


def _spent(budget: Budget) -> dict[str, Any]:
    spent = {kind: KINDS[kind](getattr(budget, f"{kind}_spent")) for kind in OF_PROJECTS}
    if budget.project_id is not None:
        return spent
    with connection.cursor() as cursor:
        cursor.execute(_USED_OTHERWISE, [budget.pk])
        elapsed, made = cursor.fetchone()
    return {**spent, "seconds": round(float(elapsed or 0), 1), "attempts": int(made)}


def limits_checked(
    limits: Mapping[str, Any], *, level: str, what: str
) -> dict[str, float | int | None]:
    """Limits by their proper names; BadInput with every problem."""
    problems, wanted = [], {}
    kinds = OF_PROJECTS if level == "project" else tuple(KINDS)
    for name, value in limits.items():
        kind = str(name).removesuffix("_max")
        kind = ALIASES.get(kind, kind)
        if kind not in kinds:
            problems.append(f"`{name}` is no kind of budget here; there are {', '.join(kinds)}")
        elif value is not None and not _is_amount(value, KINDS[kind]):
            problems.append(f"{name} is {value!r}; expected a number from 0 to {MOST}")
        else:
            wanted[kind] = None if value is None else KINDS[kind](value)
    if not limits:
        problems.append(f"no limit is named; there are {', '.join(kinds)}")
    if problems:
        raise BadInput(what=what, problems=problems)
    return wanted


def _is_amount(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return 0 <= value <= MOST and (kind is float or value == int(value))


def limits_of(budget: Budget) -> dict[str, Any]:
    """By kind; None is no limit."""
    limits = {kind: getattr(budget, f"{kind}_max") for kind in KINDS}
    return {kind: None if most is None else KINDS[kind](most) for kind, most in limits.items()}


def limits_move(
    book: Book,
    budget: Budget,
    wanted: Mapping[str, Any],
    *,
    actor: str,
    why: Mapping[str, Any] = {},
) -> None:
    """Change limits of a budget and write down both what they were and what they are."""
    before = limits_of(budget)
    _write(budget, wanted)
    book.record(
        "budget.set",
        actor=actor,
        task_id=budget.task_id,
        payload={
            "budget": ref_of(budget),
            "was": {kind: before[kind] for kind in wanted},
            "is": dict(wanted),
            **why,
        },
    )


def ref_of(budget: Budget) -> str:
    for level in ("project", "goal", "task"):
        if (pk := getattr(budget, f"{level}_id")) is not None:
            return f"{level}-{pk}"
    raise AssertionError("a budget is of one thing")


def _write(budget: Budget, wanted: Mapping[str, Any]) -> None:
    """Only the limits: what is reserved and spent moves meanwhile."""
    fields = {f"{kind}_max": value for kind, value in wanted.items()}
    Budget.objects.filter(pk=budget.pk).update(**fields)


def budget_of(level: str, pk: int) -> Budget:
    """The budget of a project, goal or task; one without limits is made where there is none."""
    with transaction.atomic():
        found = Budget.objects.filter(**{f"{level}_id": pk}).first()
        return found or _opened(level, pk, {})


def budget_open(level: str, pk: int) -> None:
    """The budget that a fan-out's definition gives to its children, or a policy to its project.

    A policy's limits that are none are not limits: whoever wrote them is told by `budget_set`.
    """
    if level == "task":
        definition = Task.objects.values_list("definition", flat=True).get(pk=pk)
        given = (definition.get("fan_out") or definition["swarm"])["budget"]
    else:
        given = Project.objects.values_list("policy", flat=True).get(pk=pk)["budget"]
    try:
        wanted = limits_checked(given, level=level, what=f"budget of {level}-{pk}")
    except (BadInput, AttributeError) as error:
        log.warning("a budget that cannot be read", budget=f"{level}-{pk}", error=str(error))
        wanted = {}
    with transaction.atomic():
        _opened(level, pk, {f"{kind}_max": value for kind, value in wanted.items()})


def _opened(level: str, pk: int, limits: Mapping[str, Any]) -> Budget:
    tokens, cost, calls = _used_before(level, pk)
    none: dict[str, Any] = {f"{kind}_max": None for kind in KINDS}
    used = {"tokens_spent": tokens, "cost_usd_spent": cost, "calls_spent": calls}
    budget, _ = Budget.objects.get_or_create(
        **{f"{level}_id": pk}, defaults={**none, **used, **limits}
    )
    return budget


def _used_before(level: str, pk: int) -> tuple[int, Decimal, int]:
    if level == "goal":
        return 0, Decimal(0), 0
    with connection.cursor() as cursor:
        cursor.execute(_USED_BY_TASK if level == "task" else _USED_BY_PROJECT, [pk])
        tokens, cost, calls = cursor.fetchone()
    return tokens, cost, calls


def _parsed(ref: str) -> tuple[str, int]:
    level, _, number = ref.rpartition("-")
    models = {"project": Project, "goal": Goal, "task": Task}
    if level not in models or not number.isdigit():
        raise BadInput(what="budget", problems=[f"{ref!r} is not project-N, goal-N or task-N"])
    if not models[level]._default_manager.filter(pk=int(number)).exists():
        raise NotFound(kind=level, id=int(number), listing="goals list")
    return level, int(number)


def _goals_of(level: str, pk: int) -> list[int]:
    """Whose ledgers are to say it."""
    if level == "goal":
        return [pk]
    if level == "task":
        return [Task.objects.values_list("goal_id", flat=True).get(pk=pk)]
    open_goals = Goal.objects.filter(project_id=pk, finished_at=None).order_by("pk")
    return list(open_goals.values_list("pk", flat=True))
