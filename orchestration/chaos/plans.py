"""The plans of chaos: lines of tasks, as many as can be at work, so that nothing waits in a queue
and the time to recover is not the time to get a turn."""

from __future__ import annotations

from typing import Any


def lines(
    count: int,
    length: int,
    *,
    steps: int = 3,
    step_seconds: float = 0.05,
    cheap_every: int = 4,
    witness_every: int = 5,
    ask: bool = False,
) -> dict[str, Any]:
    """`count` lines of `length` tasks. Every `cheap_every`-th task is cheap, and every
    `witness_every`-th is judged by the witness too, in a message of its own."""
    nodes = []
    for line in range(count):
        for place in range(length):
            cheap = cheap_every > 0 and place % cheap_every == cheap_every - 1
            judged = witness_every > 0 and (line + place) % witness_every == 0 and not cheap
            inputs = {
                "steps": steps,
                "step_seconds": step_seconds,
                **({"ask": True} if ask else {}),
            }
            nodes.append(
                {
                    "key": f"l{line}.{place}",
                    "agent": "chaos-cheap" if cheap else "chaos-effect",
                    "objective": "Be done once, whatever happens",
                    "depends_on": [f"l{line}.{place - 1}"] if place else [],
                    "inputs": {} if cheap else inputs,
                    "verify": ["schema", "chaos-witness"] if judged else ["schema"],
                }
            )
    return {"objective": f"chaos: {count} lines of {length} tasks", "tasks": nodes}


def file_of(line: int) -> str:
    return f"line-{line}.txt"


def changes(count: int, length: int, *, repository: str) -> dict[str, Any]:
    """`count` lines of `length` changes to the repository: each counts its line's file up by one."""
    nodes = [
        {
            "key": f"l{line}.{place}",
            "agent": "coder",
            "objective": "Count up by one, whatever happens",
            "depends_on": [f"l{line}.{place - 1}"] if place else [],
            "scopes": [{"resource": f"repo:{file_of(line)}"}],
            "inputs": {"patch": _count_up(file_of(line), place), "title": f"{place + 1}"},
            "verify": ["schema"],
        }
        for line in range(count)
        for place in range(length)
    ]
    return {
        "objective": f"chaos: {count} files are counted up {length} times",
        "repository": repository,
        "tasks": nodes,
    }


def _count_up(file: str, number: int) -> str:
    return f"--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-{number}\n+{number + 1}\n"
