"""Counts of what a rule found, and the shares that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one kind of case: how many there were and how many were found fault with."""

    kind: str
    is_bad: bool
    cases: int = 0
    found: int = 0

    def and_one(self, found: bool) -> Counted:
        return replace(self, cases=self.cases + 1, found=self.found + found)

    @property
    def share(self) -> float:
        return self.found / self.cases if self.cases else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured, beside what is promised. False alarms are counted `per` so many `good`
    cases; `wrong` has the wrong answers in words, `remarks` what a reader must know."""

    of: str
    counts: tuple[Counted, ...]
    recall_min: float
    false_alarms_max: float
    per: int = 1
    good: str = "cases"
    wrong: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def bad_cases(self) -> int:
        return sum(one.cases for one in self.counts if one.is_bad)

    @property
    def good_cases(self) -> int:
        return sum(one.cases for one in self.counts if not one.is_bad)

    @property
    def recall(self) -> float:
        """Of the bad ones, the share that was found."""
        return _share(one for one in self.counts if one.is_bad)

    @property
    def false_alarms(self) -> float:
        """Good ones that were found fault with, per so many of them."""
        return self.per * _share(one for one in self.counts if not one.is_bad)

    @property
    def holds(self) -> bool:
        enough = self.recall >= self.recall_min and self.false_alarms <= self.false_alarms_max
        return enough and bool(self.bad_cases and self.good_cases)


def _share(counts: Iterable[Counted]) -> float:
    listed = list(counts)
    return sum(one.found for one in listed) / max(1, sum(one.cases for one in listed))
