"""A violation as text, with all that is needed to find its cause."""

from __future__ import annotations

from tests.simulation.simulation import Result


def told(result: Result, *, trace: bool) -> str:
    lines = [*result.trace, ""] if trace else []
    lines += [f"seed {result.seed} breaks what must hold:"]
    lines += [f"- {problem}" for problem in result.violations]
    lines += [f"replay: python -m tests.simulation --seed {result.seed} --trace"]
    return "\n".join(lines)
