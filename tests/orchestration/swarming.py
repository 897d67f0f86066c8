"""Swarms for tests: a plan of one, and the bells of its goal rung by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.models import Goal, Swarm, SwarmItem
from orchestration.services.advance import advance
from orchestration.services.fsck import fsck
from orchestration.services.running import serve
from orchestration.services.swarm_running import swarm_serve
from tests.orchestration.pump import node, task_named
from workers.micro import registry


def forget_micro_agents() -> Iterator[None]:
    """A fixture: what a test registers is gone afterwards."""
    yield
    registry._registered.clear()


def over(items: Any, *, micro: str = "echo", **swarm: Any) -> dict[str, Any]:
    return node("map", agent="swarm", swarm={"over": items, "micro": micro, **swarm})


def run(goal: Goal, rounds: int = 10) -> Goal:
    """Bells and messages until nothing happens any more."""
    for _ in range(rounds):
        before = Goal.objects.values_list("ledger_seq", flat=True).get(pk=goal.pk)
        advance(goal.pk)
        ring(goal)
        serve()
        advance(goal.pk)
        goal.refresh_from_db()
        if goal.ledger_seq == before:
            break
    return goal


def ring(goal: Goal) -> None:
    open_ones = Swarm.objects.filter(goal=goal, state="mapping")
    for task_id in open_ones.values_list("pk", flat=True):
        swarm_serve(task_id)


def items_of(goal: Goal, **how: Any) -> Any:
    return SwarmItem.objects.filter(task__goal=goal, **how).order_by("path")


def sound(goal: Goal) -> None:
    """Every invariant holds, and folding the ledger gives the tables."""
    assert fsck(goal.pk, deep=True) == []


def output(goal: Goal) -> dict[str, Any]:
    accepted = task_named(goal, "map").accepted_attempt
    assert accepted is not None and accepted.report is not None
    found: dict[str, Any] = accepted.report["output"]
    return found
