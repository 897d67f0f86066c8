"""Compares what a type checker finds before a change and after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar


class FaultLike(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def text(self) -> str: ...


Fault = TypeVar("Fault", bound=FaultLike)


def new_faults(before: Iterable[FaultLike], after: Iterable[Fault]) -> list[Fault]:
    """Those that there were not, or not as often. Lines are not compared: they move."""
    left = Counter((fault.path, fault.text) for fault in before)
    found = []
    for fault in after:
        key = (fault.path, fault.text)
        if left[key]:
            left[key] -= 1
        else:
            found.append(fault)
    return found
