"""Two people, and a worker, at one goal at once: whatever they do, it ends in an allowed state."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentsys.kernel.errors import AgentsysError
from orchestration.models import Goal, Plan, Project, Standstill, Task
from orchestration.services import goals, pausing
from orchestration.services.advance import advance
from orchestration.services.forks import goal_fork
from orchestration.services.fsck import fsck
from orchestration.services.overrides import output_override
from orchestration.services.replan import plan_extend, plan_revise, task_edit
from orchestration.services.running import serve
from orchestration.services.sweep import sweep
from tests.orchestration.pump import at_once, node, pump, submit, turn

pytestmark = pytest.mark.django_db(transaction=True)

COMMAND: dict[str, Any] = {"agent": "command", "inputs": {"argv": ["true"]}}
NEVER: dict[str, Any] = {"agent": "command", "inputs": {"argv": ["false"]}}
EACH = {"agent": "noop", "objective": "x", "verify": ["schema"], "inputs": {"n": "${item}"}}
FAN = {"over": "${tasks.a.output.echo.items}", "key": "${item}", "task": EACH}
Deed = Callable[[], Any]


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0, attempts_max=1)


def tasks(chance: random.Random) -> list[dict[str, Any]]:
    last = NEVER if chance.random() < 0.5 else COMMAND
    return [
        node("a", inputs={"items": [1, 2]}),
        node("b", "a"),
        node("fan", "a", agent="collect", fan_out=FAN),
        node("c", "b", **COMMAND),
        node("d", "c", "fan", **last),
    ]


def deeds(goal: Goal, chance: random.Random, who: str, root: User) -> dict[str, Deed]:
    pk, number = goal.pk, chance.randrange(1000)
    known = Task.objects.filter(goal=goal).exclude(state="superseded").order_by("pk")
    task_id, key = chance.choice(list(known.values_list("pk", "key")))
    version = Plan.objects.filter(goal=goal).latest("version").version
    said = {"inputs": {"items": [number]}} if key in "ab" else {"objective": f"do {number}"}
    rest = [t for t in tasks(chance) if t["key"] != "d"] + [node("e", "c", inputs={"n": number})]
    more = {"tasks": [node(f"more-{number}", key)]}
    whole = {"objective": "to test", "tasks": rest}
    output = {"echo": {"items": [number]}} if key in "ab" else {"exit_code": 0}
    return {
        "pause": lambda: pausing.goal_pause(pk, actor=who),
        "resume": lambda: pausing.goal_resume(pk, actor=who),
        "pause task": lambda: pausing.task_pause(task_id, actor=who),
        "resume task": lambda: pausing.task_resume(task_id, actor=who),
        "pause project": lambda: pausing.project_pause(goal.project.name, actor=who),
        "resume project": lambda: pausing.project_resume(goal.project.name, actor=who),
        "cancel": lambda: goals.goal_cancel(pk, actor=who),
        "retry": lambda: goals.goal_retry(pk, actor=who),
        "direct": lambda: goals.goal_direct(pk, f"mind {number}", actor=who),
        "prioritise": lambda: goals.goal_prioritise(pk, number % 10, actor=who),
        "fork": lambda: goal_fork(pk, actor=who),
        "edit": lambda: task_edit(pk, key, said, actor=who),
        "extend": lambda: plan_extend(pk, more, actor=who),
        "revise": lambda: plan_revise(pk, whole, base_version=version, actor=who),
        "override": lambda: output_override(
            task_id, output, user=root, reason="known", rerun=chance.random() < 0.5
        ),
    }


@pytest.mark.parametrize("seed", range(30))
def test_any_two_deeds_at_once_end_in_an_allowed_state(seed: int) -> None:
    chance = random.Random(seed)
    root = User.objects.create_superuser("root")
    goal = submit(*tasks(chance), project=f"p{seed}")
    for _ in range(chance.choice((0, 0, 1, 4))):
        turn(goal)
    for _ in range(3):
        first, second = deeds(goal, chance, "ann", root), deeds(goal, chance, "bob", root)
        names = pick(first, chance), pick(second, chance)
        work: Deed = chance.choice((serve, lambda: advance(goal.pk), lambda: turn(goal)))
        ended = at_once([first[names[0]], second[names[1]], work, sweep])
        odd = [one for one in ended if isinstance(one, Exception)]
        assert all(isinstance(one, AgentsysError) for one in odd), (names, odd)
        assert [f for g in all_goals() for f in fsck(g.pk, deep=True)] == [], names
    lift_all(goal)
    for one in all_goals():
        pump(one)
        assert one.state in ("succeeded", "failed", "cancelled"), (one.state, seed)
        assert fsck(one.pk, deep=True) == []


def pick(deeds: dict[str, Deed], chance: random.Random) -> str:
    """Any of them; what ends a goal for good comes seldom, or little else would be tried."""
    name = chance.choice(sorted(deeds))
    return name if name != "cancel" or chance.random() < 0.3 else "edit"


def all_goals() -> list[Goal]:
    return list(Goal.objects.order_by("pk"))


def lift_all(goal: Goal) -> None:
    pausing.project_resume(goal.project.name, actor="root")
    for one in Goal.objects.filter(finished_at__isnull=True):
        pausing.goal_resume(one.pk, actor="root")
    for task in Task.objects.filter(paused_at__isnull=False, goal__finished_at__isnull=True):
        pausing.task_resume(task.pk, actor="root")
    assert not Standstill.objects.exists()
    assert not Project.objects.filter(paused_at__isnull=False).exists()
