"""Random plans: small DAGs with joins, fan-outs, optional tasks, judges, scopes and approvals."""

from __future__ import annotations

from random import Random
from typing import Any

TASKS_MAX = 7
VERIFY = (
    ["schema"],
    ["schema"],
    ["schema", "sim-judge"],
    ["schema", "sim-judge", "sim-peer"],
    ["schema", "sim-judge", "sim-peer"],
)


def random_plan(chance: Random, name: str) -> dict[str, Any]:
    """A plan document; task keys begin with `name`."""
    tasks = _diamond(chance, name) if chance.random() < 0.5 else _dag(chance, name)
    if chance.random() < 0.2:
        tasks += _flock(chance, name)
    return {"objective": f"to simulate {name}", "tasks": tasks}


def _dag(chance: Random, name: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = []
    for number in range(chance.randint(1, TASKS_MAX)):
        needs = _needs(chance, [t["key"] for t in tasks])
        tasks.append(_task(chance, f"{name}-{number}", needs))
        if chance.random() < 0.08:
            tasks += _fan_out(chance, f"{name}-{number}f")
    return tasks


def _diamond(chance: Random, name: str) -> list[dict[str, Any]]:
    """A few that can be under way at once, and one that waits for all of them."""
    sides: list[dict[str, Any]] = []
    for number in range(chance.randint(2, 4)):
        inputs = {"steps": chance.randint(1, 2), "effect": chance.random() < 0.3}
        steps = {"agent": "sim-steps", "inputs": inputs}
        verify = chance.choice([*VERIFY, ["schema"], ["schema"]])
        key = f"{name}-side{number}"
        sides.append({"key": key, "objective": key, "verify": verify, **steps})
    return [*sides, _task(chance, f"{name}-join", [side["key"] for side in sides])]


def _flock(chance: Random, name: str) -> list[dict[str, Any]]:
    """Cheap ones that are claimed together, and one that waits for some of them."""
    keys = [f"{name}-flock{number}" for number in range(chance.randint(2, 5))]
    cheap = {"agent": "sim-cheap", "verify": ["schema"]}
    return [
        *({"key": key, "objective": key, **cheap} for key in keys),
        _task(chance, f"{name}-flocked", chance.sample(keys, 2)),
    ]


def _needs(chance: Random, keys: list[str]) -> list[str]:
    """Few or many, so that there are lines, joins and independent tasks."""
    if not keys or chance.random() < 0.2:
        return []
    if chance.random() < 0.4:
        return [keys[-1]]
    return chance.sample(keys, chance.randint(1, min(4, len(keys))))


def _task(chance: Random, key: str, needs: list[str]) -> dict[str, Any]:
    task: dict[str, Any] = {
        "key": key,
        "objective": key,
        "depends_on": needs,
        "optional": chance.random() < 0.15,
        "retry": {"attempts_max": chance.randint(1, 4)},
        "priority": chance.randint(0, 2),
    }
    if chance.random() < 0.3:
        return {**task, "agent": "sim-cheap", "verify": ["schema"]}
    if chance.random() < 0.2:
        task["scopes"] = [{"resource": f"sim:{key}", "mode": "write"}]
    return {
        **task,
        "agent": "sim-steps",
        "verify": chance.choice(VERIFY),
        "inputs": _inputs(chance),
    }


def _inputs(chance: Random) -> dict[str, Any]:
    flags = {
        "listens": 0.2, "proposes": 0.35, "effect": 0.35, "artifact": 0.2, "budgeted": 0.3
    }  # fmt: skip
    chosen = {name: True for name, often in flags.items() if chance.random() < often}
    return {"steps": chance.randint(1, 3), **chosen}


def _fan_out(chance: Random, key: str) -> list[dict[str, Any]]:
    listing = {
        "key": f"{key}-list",
        "objective": f"{key}-list",
        "agent": "sim-cheap",
        "verify": ["schema"],
        "inputs": {"items": chance.randint(0, 3)},
    }
    child = {
        "agent": chance.choice(["sim-cheap", "sim-steps"]),
        "objective": f"{key}-child",
        "verify": ["schema"],
    }
    each = {
        "key": f"{key}-each",
        "objective": f"{key}-each",
        "agent": "collect",
        "verify": ["schema"],
        "depends_on": [f"{key}-list"],
        "optional": chance.random() < 0.3,
        "fan_out": {
            "over": f"${{tasks.{key}-list.output.items}}",
            "key": "${item}",
            "task": child,
        },
    }
    return [listing, each]
