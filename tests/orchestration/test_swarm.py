"""A swarm: each item is accepted once, whatever happens on the way, and its task hands it over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestration.models import Goal, Swarm, SwarmItem, SwarmShift
from orchestration.services.advance import advance
from orchestration.services.fsck import fsck
from orchestration.services.rebuild import rebuild_check
from orchestration.services.running import serve
from orchestration.services.swarm_running import swarm_serve
from tests.orchestration.pump import node, submit, task_named
from workers.micro import registry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _forget_micro_agents() -> Iterator[None]:
    yield
    registry._registered.clear()


def over(
    items: list[Any], *, micro: str = "echo", rest: Any = None, **swarm: Any
) -> dict[str, Any]:
    return node(
        "map", agent="swarm", swarm={"over": items, "micro": micro, **swarm}, **(rest or {})
    )


def run(goal: Goal, rounds: int = 10) -> Goal:
    """Bells and messages until nothing happens any more."""
    for _ in range(rounds):
        before = Goal.objects.values_list("ledger_seq", flat=True).get(pk=goal.pk)
        advance(goal.pk)
        for task_id in Swarm.objects.filter(goal=goal, state="mapping").values_list(
            "pk", flat=True
        ):
            swarm_serve(task_id)
        serve()
        advance(goal.pk)
        goal.refresh_from_db()
        if goal.ledger_seq == before:
            break
    return goal


def items_of(goal: Goal, **how: Any) -> Any:
    return SwarmItem.objects.filter(task__goal=goal, **how).order_by("path")


def sound(goal: Goal) -> None:
    assert fsck(goal.pk, deep=True) == []
    assert rebuild_check(goal.pk) == []


def output(goal: Goal) -> dict[str, Any]:
    found: dict[str, Any] = task_named(goal, "map").accepted_attempt.report["output"]
    return found


def test_every_item_is_accepted_and_handed_over_in_order() -> None:
    goal = run(submit(over([f"i{n}" for n in range(300)], chunk=50), node("after", "map")))
    assert goal.state == "succeeded", (goal.reason, list(goal.tasks.values_list("key", "reason")))
    assert output(goal)["result"] == [f"i{n}" for n in range(300)]
    assert items_of(goal, state="accepted").count() == 300
    assert SwarmShift.objects.filter(ended_at=None).count() == 0
    sound(goal)
