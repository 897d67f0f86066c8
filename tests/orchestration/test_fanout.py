"""A fan-out becomes one task per item, and whatever its list holds, the goal comes to an end."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.models import Plan, Task
from orchestration.services.advance import advance
from orchestration.services.fsck import fsck
from orchestration.services.ledger import ledger_verify
from orchestration.services.running import serve
from tests.orchestration.pump import events, node, pump, submit, task_named

pytestmark = pytest.mark.django_db(transaction=True)


def fan(items: Any, *, task: dict[str, Any] | None = None, **rest: Any) -> list[dict[str, Any]]:
    """A task that hands over `items`, a fan-out over them, and one that waits for the fan-out."""
    fan_out = {
        "over": "${tasks.list.output.echo.items}",
        "key": "${item}",
        "task": {"agent": "noop", "verify": ["schema"], "inputs": {"x": "${item}"}, **(task or {})},
    }
    return [
        node("list", inputs={"items": items}),
        node("each", "list", agent="collect", fan_out=fan_out, **rest),
        node("after", "each"),
    ]


def states(goal: Any) -> dict[str, str]:
    return dict(Task.objects.filter(goal=goal).order_by("pk").values_list("key", "state"))


def test_each_item_becomes_a_task_and_what_follows_waits_for_all() -> None:
    goal = pump(submit(*fan(["p", "q", "r"])))
    assert goal.state == "succeeded"
    assert set(states(goal)) == {"list", "each", "after", "each[p]", "each[q]", "each[r]"}
    each = task_named(goal, "each")
    assert each.accepted_attempt.report["output"]["count"] == 3
    for child in each.children.all():
        assert child.finished_at <= each.started_at
    assert Plan.objects.get(goal=goal, state="active").version == 2
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def test_a_fan_out_is_expanded_once_however_often_it_is_looked_at() -> None:
    goal = submit(*fan(["p", "q"]))
    serve()
    for _ in range(3):
        advance(goal.pk)
    assert events(goal).count("task.expanded") == 1
    assert task_named(goal, "each").children.count() == 2


def test_an_empty_list_is_no_work_and_no_failure() -> None:
    goal = pump(submit(*fan([])))
    assert goal.state == "succeeded"
    assert task_named(goal, "each").accepted_attempt.report["output"]["count"] == 0


@pytest.mark.parametrize(
    ("items", "task", "said"),
    [
        ("text", {}, "not a list"),
        (["a"] * 1001, {}, "at most 1000"),
        (["p"], {"depends_on": ["nosuch"]}, "which is no task"),
        (["p"], {"depends_on": ["each"]}, "which waits for it"),
        (["p"], {"retry": {"attempts_max": "many"}}, "attempts_max is 'many'"),
        (["p"], {"scopes": [{"resource": "repo:" + "s" * 400}]}, "at most 300"),
    ],
)
def test_a_list_that_cannot_be_used_fails_its_task_and_the_goal_comes_to_an_end(
    items: Any, task: dict[str, Any], said: str
) -> None:
    goal = pump(submit(*fan(items, task=task)))
    assert goal.state == "failed"
    assert said in task_named(goal, "each").reason
    assert states(goal) == {"list": "done", "each": "failed", "after": "cancelled"}
    assert fsck(goal.pk) == []


def test_what_needs_an_optional_fan_out_goes_on_when_it_cannot_be_expanded() -> None:
    goal = pump(submit(*fan("text", optional=True)))
    assert goal.state == "succeeded"
    assert states(goal) == {"list": "done", "each": "failed", "after": "done"}
    assert fsck(goal.pk) == []


def test_children_that_need_a_failed_optional_task_run() -> None:
    bad = node(
        "bad", optional=True, retry={"attempts_max": 1},
        output_schema={"type": "object", "required": ["more"]},
    )  # fmt: skip
    first, each, after = fan(["p"], task={"depends_on": ["bad"]})
    each["depends_on"].append("bad")
    goal = pump(submit(bad, first, each, after))
    assert goal.state == "succeeded"
    assert states(goal)["each[p]"] == "done"


def test_keys_that_collide_are_told_apart() -> None:
    goal = pump(submit(*fan(["a b", "a-b", "a/b"])))
    assert goal.state == "succeeded"
    assert {k for k in states(goal) if k.startswith("each[")} == {
        "each[a-b]",
        "each[a-b-2]",
        "each[a/b]",
    }


def test_a_fan_out_within_a_fan_out_is_expanded_in_its_turn() -> None:
    inner = {
        "agent": "collect",
        "fan_out": {
            "over": "${tasks.list.output.echo.more}",
            "as": "other",
            "key": "${other}",
            "task": {"agent": "noop", "verify": ["schema"]},
        },
        "inputs": {},
    }
    first, each, after = fan(["p", "q"], task=inner)
    first["inputs"]["more"] = ["x", "y"]
    goal = pump(submit(first, each, after))
    assert goal.state == "succeeded"
    assert {"each[p][x]", "each[p][y]", "each[q][x]", "each[q][y]"} <= set(states(goal))
    assert fsck(goal.pk) == []
