"""Two versions of a plan, one beside the other, task by task. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHOWN_MAX = 100  # tasks whose difference is written out


@dataclass(frozen=True, slots=True)
class Difference:
    """Keys of tasks by what became of them; `text` is a unified diff of the first SHOWN_MAX of them."""

    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]
    same: int
    text: str
    left_out: int


def difference(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Difference:
    """From plan files' tasks; of a key that stands there twice the last counts, as it does in force."""
    before, after = _by_key(old), _by_key(new)
    fresh = [key for key in after if key not in before]
    gone = [key for key in before if key not in after]
    changed = [key for key in after if key in before and after[key] != before[key]]
    shown = [*changed, *fresh, *gone]
    lines = [
        line for key in shown[:SHOWN_MAX] for line in _lines(key, before.get(key), after.get(key))
    ]
    return Difference(
        new=tuple(fresh),
        gone=tuple(gone),
        changed=tuple(changed),
        same=len(after) - len(fresh) - len(changed),
        text="\n".join(lines),
        left_out=max(len(shown) - SHOWN_MAX, 0),
    )


def _by_key(tasks: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {str(task["key"]): task for task in tasks}


def _lines(key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[str]:
    names = (f"a/{key}" if old is not None else "/dev/null",
             f"b/{key}" if new is not None else "/dev/null")  # fmt: skip
    return difflib.unified_diff(_written(old), _written(new), *names, lineterm="", n=3)


def _written(task: Mapping[str, Any] | None) -> list[str]:
    if task is None:
        return []
    return json.dumps(task, indent=2, ensure_ascii=False, sort_keys=True, default=str).split("\n")
