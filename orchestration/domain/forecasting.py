"""What a goal will have used when its tasks are done, as a range; nothing while there is too little to
tell it from. Pure.

Each task that is left is expected to use what done tasks of its agent used (all agents' where that one
has too few): k tasks of mean m and variance v, known from n samples, use k·m, give or take
z·√(k·v + k²·v/n). With z = 1.28 four of five forecasts hold, if what is left is like what is done. What
unfinished tasks have used already is taken off. Tasks that nobody knows of yet are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SAMPLES_MIN = 5
Z = 1.28


@dataclass(frozen=True, slots=True)
class Sample:
    """Done tasks of an agent: how many, and the sum and the sum of squares of what each used."""

    count: int
    total: float
    squares: float

    def __add__(self, other: Sample) -> Sample:
        return Sample(
            self.count + other.count, self.total + other.total, self.squares + other.squares
        )

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        if self.count < 2:
            return 0.0
        return max(self.squares - self.count * self.mean**2, 0.0) / (self.count - 1)


@dataclass(frozen=True, slots=True)
class Forecast:
    low: float
    high: float


def forecast(
    done: Mapping[str, Sample], left: Mapping[str, int], *, spent: float, under_way: float = 0.0
) -> Forecast | None:
    """`left`: how many tasks by agent are not over; `under_way`: what those have used already, which is
    part of `spent`. None while fewer than SAMPLES_MIN tasks are done."""
    pooled = sum(done.values(), Sample(0, 0.0, 0.0))
    if pooled.count < SAMPLES_MIN:
        return None
    more, spread = 0.0, 0.0
    for agent, number in left.items():
        own = done.get(agent)
        sample = own if own is not None and own.count >= SAMPLES_MIN else pooled
        more += number * sample.mean
        spread += number * sample.variance + number**2 * sample.variance / sample.count
    give = Z * math.sqrt(spread)
    rest = max(more - under_way, 0.0)
    return Forecast(spent + max(rest - give, 0.0), spent + rest + give)


def verdict(found: Forecast | None, limit: float | None, spent: float) -> str:
    """Whether the limit will do, as a word: learning, no limit, enough, unsure, short or used up."""
    if limit is None:
        return "no limit"
    if spent >= limit:
        return "used up"
    if found is None:
        return "learning"
    if found.high <= limit:
        return "enough"
    return "short" if found.low > limit else "unsure"
