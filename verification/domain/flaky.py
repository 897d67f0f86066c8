"""Tells a test that a change broke from one that comes out now so and now so.

A test that failed with a change is run again with it, and where it then passes, without it too:

| with the change | without | is |
|---|---|---|
| fails each time | never failed | a regression |
| now so, now so | now so, now so | known to be flaky, and not counted |
| now so, now so | never failed, or is not there | suspect: a person looks |
| fails each time | now so, now so | suspect |

A run that was ended at its time limit, or broke, says nothing and is not counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from verification.domain.suites import Suite, new_failures

WHOLE = "the tests"  # what stands for all of them, where the command does not name them


class Standing(StrEnum):
    REGRESSION = "regression"
    SUSPECT = "suspect"
    FLAKY = "flaky"


@dataclass(frozen=True, slots=True)
class Tally:
    """In how many of the runs that it was in a test failed."""

    failed: int
    runs: int

    @classmethod
    def of(cls, test: str, suites: Iterable[Suite]) -> Tally:
        seen = [fails for suite in suites if (fails := _fails(suite, test)) is not None]
        return cls(sum(seen), len(seen))

    @property
    def flips(self) -> bool:
        return 0 < self.failed < self.runs

    def __str__(self) -> str:
        return f"{self.failed} of {self.runs}"


@dataclass(frozen=True, slots=True)
class Finding:
    test: str
    standing: Standing
    with_change: Tally
    without: Tally

    @property
    def sentence(self) -> str:
        if self.standing is Standing.REGRESSION:
            again = f" (in {self.with_change} runs)" if self.with_change.runs > 1 else ""
            if self.test == WHOLE:
                return f"{WHOLE} passed before the change and fail after it{again}"
            return f"{self.test} fails, and did not before{again}"
        fail = "fail" if self.test == WHOLE else "fails"
        without = f"in {self.without} without" if self.without.runs else "and is not there without"
        return f"{self.test} {fail} in {self.with_change} runs with the change, {without}"

    def to_json(self) -> dict[str, Any]:
        return {"test": self.test, "with": str(self.with_change), "without": str(self.without)}


def in_question(before: Suite, after: Suite) -> tuple[str, ...]:
    """What fails with the change and did not without: what to run again."""
    if not (before.ran and after.ran):
        return ()
    named = tuple(new_failures(before, after))
    failed_whole = (before.status, after.status) == ("passed", "failed")
    return named or ((WHOLE,) if failed_whole and after.is_countless else ())


def flipping(tests: Sequence[str], with_change: Sequence[Suite]) -> tuple[str, ...]:
    """Those that did not come out the same each time."""
    return tuple(test for test in tests if Tally.of(test, with_change).flips)


def findings(
    tests: Sequence[str], with_change: Sequence[Suite], without: Sequence[Suite]
) -> tuple[Finding, ...]:
    """What is to be thought of each test. `without` are the runs after the one at the base that all
    this is compared with, in which none of these tests failed."""
    found = []
    for test in tests:
        now, again = Tally.of(test, with_change), Tally.of(test, without)
        # The first run at the base counts, unless later ones have shown that the test is not there.
        was_there = bool(again.runs) or not without
        then = Tally(again.failed, again.runs + was_there)
        found.append(Finding(test, standing(now, then), now, then))
    return tuple(found)


def standing(with_change: Tally, without: Tally) -> Standing:
    if not with_change.flips:
        return Standing.SUSPECT if without.failed else Standing.REGRESSION
    return Standing.FLAKY if without.flips else Standing.SUSPECT


def without_known(after: Suite, known: Collection[str]) -> Suite:
    """The run as if tests that are known to be flaky had passed, as they did before the change."""
    if WHOLE in known:
        return replace(after, status="passed")
    failed = max(0, after.failed - len(known))
    errors = max(0, after.errors - max(0, len(known) - after.failed))
    return replace(
        after,
        status=after.status if failed + errors else "passed",
        passed=after.passed + len(known),
        failed=failed,
        errors=errors,
        failures=tuple(test for test in after.failures if test not in known),
    )


def _fails(suite: Suite, test: str) -> bool | None:
    """None where the test was not in that run."""
    if test == WHOLE:
        return suite.status == "failed" if suite.ran else None
    if test in suite.failures:
        return True
    return False if test in suite.passes else None
