"""The plans that are timed. Their tasks do nothing, so what is measured is everything around them."""

from __future__ import annotations

from typing import Any

VERIFY = ["schema", "safety", "semantic"]  # as many as the peer's chord has
ACCEPTANCE = ["output.echo exists"]


def flat(count: int, *, payload: str = "") -> dict[str, Any]:
    """Independent tasks; each echoes `payload`."""
    inputs = {"inputs": {"payload": payload}} if payload else {}
    tasks = [_task(f"t{number}", **inputs) for number in range(count)]
    return {"objective": f"bench: {count} independent tasks", "tasks": tasks}


def line(count: int) -> dict[str, Any]:
    """Each task needs the one before it."""
    tasks = [_task(f"t{n}", depends_on=[f"t{n - 1}"] if n else []) for n in range(count)]
    return {"objective": f"bench: {count} tasks in a line", "tasks": tasks}


def layers(count: int, *, width: int = 10) -> dict[str, Any]:
    """Layers of `width` tasks, each of which needs two of the layer before."""
    tasks = []
    for number in range(count):
        layer, place = divmod(number, width)
        above = [(layer - 1) * width + (place + step) % width for step in (0, 1)] if layer else []
        tasks.append(_task(f"t{number}", depends_on=[f"t{n}" for n in sorted(set(above))]))
    return {"objective": f"bench: {count} tasks in layers of {width}", "tasks": tasks}


def fan(width: int, phases: int) -> dict[str, Any]:
    """`phases` times: one task for each of `width` items, then a join that collects them. The
    fan-outs are expanded while the goal runs."""
    tasks = [_task("seed", inputs={"items": list(range(width))})]
    before = "seed"
    for phase in range(phases):
        each = {"agent": "noop", "objective": "Do nothing", **_judged()}
        over = {"over": "${tasks.seed.output.echo.items}", "task": each}
        join = {"key": f"join{phase}", "agent": "collect", "objective": "Wait for all"}
        tasks.append({**join, "depends_on": [before], "fan_out": over, "verify": VERIFY[:2]})
        before = f"join{phase}"
    return {"objective": f"bench: {phases} fan-outs over {width}", "tasks": tasks}


def _task(key: str, **rest: Any) -> dict[str, Any]:
    rest = {name: value for name, value in rest.items() if value}
    return {"key": key, "agent": "noop", "objective": "Do nothing", **_judged(), **rest}


def _judged() -> dict[str, Any]:
    return {"verify": VERIFY, "acceptance": ACCEPTANCE}
