"""Money and tokens are set aside before they are spent, and nothing that is set aside is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given as given_that
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestration.models import Attempt, Budget, Goal, Reservation, Task
from orchestration.services.budgets import (
    BudgetExceeded,
    budget_reserve,
    budget_settle,
    reservations_release,
)
from tests import factories as given
from tests.orchestration.pump import at_once
from workers.contracts import Usage

pytestmark = pytest.mark.django_db(transaction=True)


def used(tokens: int, cost_usd: float = 0.0) -> Usage:
    return Usage(tokens, 0, cost_usd, 1, 0)


def limit(goal: Goal, **limits: Any) -> Budget:
    Budget.objects.filter(goal=goal).update(**limits)
    return Budget.objects.get(goal=goal)


def swarm(goal: Goal, size: int) -> tuple[Task, list[Task]]:
    parent = given.task(goal, "swarm")
    return parent, [
        given.task(goal, f"swarm[{n}]", state="running", parent=parent) for n in range(size)
    ]


def test_twenty_threads_never_reserve_more_than_there_is() -> None:
    goal = given.goal()
    limit(goal, tokens_max=1_000)
    Budget.objects.create(project=goal.project, tokens_max=5_000, cost_usd_max=None)
    parent, children = swarm(goal, 20)
    Budget.objects.create(task=parent, tokens_max=700, cost_usd_max=None)
    attempts = {row.task_id: row.pk for row in Attempt.objects.filter(goal=goal)}
    most, watch = [0], threading.Lock()

    def call(task: Task) -> int:
        made = 0
        for _ in range(5):
            ids: dict[str, Any] = {"task_id": task.pk, "attempt_id": attempts[task.pk]}
            try:
                budget_reserve(goal.pk, tokens=50, cost_usd=0.01, **ids)
            except BudgetExceeded:
                continue
            row = Budget.objects.get(task=parent)
            with watch:
                most[0] = max(most[0], row.tokens_reserved + row.tokens_spent)
            budget_settle(goal.pk, tokens=50, cost_usd=0.01, usage=used(40, 0.008), **ids)
            made += 1
        return made

    made = at_once([lambda t=task: call(t) for task in children])
    assert all(isinstance(one, int) for one in made), made
    for row in Budget.objects.all():
        assert row.tokens_reserved == row.calls_reserved == row.cost_usd_reserved == 0
        assert row.tokens_spent == 40 * sum(made)
        assert row.calls_spent == sum(made)
    assert most[0] <= 700
    assert 10 <= sum(made) <= 17  # 700 / 40 at most
    assert not Reservation.objects.exists()
