"""How things are named outside the database: `goal-7`, `task-31`, `7/survey-lint`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentsys.kernel.errors import BadInput

KINDS = ("goal", "task", "attempt", "proposal", "approval", "memory", "playbook", "plan")
_NAMED = re.compile(rf"^({'|'.join(KINDS)})-(\d+)$")
_KEYED = re.compile(r"^(\d+)/(.+)$")


@dataclass(frozen=True, slots=True)
class Ref:
    """What an id given by a person points at. `key` is set for a task named by goal and key."""

    kind: str
    id: int
    key: str | None = None

    def __str__(self) -> str:
        return f"{self.id}/{self.key}" if self.key else f"{self.kind}-{self.id}"


def ref_of(text: str, kind: str, expected: str) -> int:
    """The number in `7` or KIND-7; BadInput that says what was `expected` for anything else."""
    if text.isascii() and text.isdigit():
        return int(text)
    named = _NAMED.match(text)
    if named is None or named[1] != kind:
        raise BadInput(what="id", problems=[f"`{text}` is no {kind}; expected {expected}"])
    return int(named[2])


def is_ref(text: str) -> bool:
    """Is it written as `parse_ref` takes it?"""
    try:
        parse_ref(text)
    except BadInput:
        return False
    return True


def parse_ref(text: str, *, default: str = "goal") -> Ref:
    """`7` (a `default`), `goal-7`, `task-31` or `7/KEY`; BadInput for anything else."""
    if text.isascii() and text.isdigit():
        return Ref(kind=default, id=int(text))
    if named := _NAMED.match(text):
        return Ref(kind=named[1], id=int(named[2]))
    if keyed := _KEYED.match(text):
        return Ref(kind="task", id=int(keyed[1]), key=keyed[2])
    raise BadInput(
        what="id",
        problems=[
            f"`{text}` is not an id; expected a number, KIND-NUMBER with KIND one of "
            f"{', '.join(KINDS)}, or GOAL/TASK-KEY"
        ],
    )
