"""The outside world as a witness: it remembers every call of it, whatever the database says.

- `effect`: something that cannot be taken back. Twice under one key is a violation.
- `step`: a call that was paid for (a model's). Again after its outcome was stored is a violation,
  unless the attempt left the course of requests that led to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestration.models import Proposal
from workers.sandbox import SandboxResult

StepKey = tuple[str, tuple[str, ...]]  # a lineage, and the requests up to this one


@dataclass
class World:
    """What happened outside, and what is wrong with it."""

    effects: Counter[str] = field(default_factory=Counter)
    calls: Counter[StepKey] = field(default_factory=Counter)
    stored: set[StepKey] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    about: dict[str, StepKey] = field(default_factory=dict)  # by actor: the step it is at

    def effect(self, key: str) -> None:
        self.effects[key] += 1
        if self.effects[key] > 1:
            self.violations.append(f"effect {key} was made {self.effects[key]} times")

    def reached(self, actor: str, point: str) -> None:
        """C05: a step's call is about to be made; C07: its outcome is stored."""
        key = self.about.get(actor)
        if key is None:
            return
        if point == "C05" and key in self.stored:
            self.violations.append(f"step {key[1][-1]} of {key[0]} is called again")
        if point == "C07":
            self.stored.add(key)


class WorldSandbox:
    """Stands where the sandbox runs the command of an approved action: out there."""

    def __init__(self, world: World) -> None:
        self._world = world

    def level(self) -> Any:
        return _Level

    def run(self, argv: Sequence[str], *, cwd: Path, **_: Any) -> SandboxResult:
        self._world.effect(argv[1])
        self._world.violations += not_approved(argv)
        code = 1 if argv[1].endswith("!") else 0
        return SandboxResult(code, "", "", False, False, 0.01, "none")


class _Level:
    name = "none"


def not_approved(argv: Sequence[str]) -> list[str]:
    """An action may run only when a person approved these very bytes, or wrote them."""
    payload: Mapping[str, Any] = {"argv": list(argv)}
    found = Proposal.objects.filter(payload=payload, decided_at__isnull=False).exists()
    return [] if found else [f"{argv} was run without an approval"]
