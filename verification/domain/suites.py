"""Compares two runs of a test suite: before a change and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

TAIL_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Suite:
    """One run, in a form that can be stored. `failures` are the ids of tests that did not pass;
    `passes` of those that did, where they are known: they are not stored."""

    status: str
    ran: bool
    command: str
    passed: int
    failed: int
    errors: int
    skipped: int
    failures: tuple[str, ...]
    duration_seconds: float
    tail: str
    passes: tuple[str, ...] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any], *, ran: bool, passes: tuple[str, ...] = ()) -> Suite:
        """From the JSON form of what `workers.testing` gives back."""
        return cls(
            ran=ran,
            status=str(facts["status"]),
            command=" ".join(facts["command"]),
            passed=facts["passed"],
            failed=facts["failed"],
            errors=facts["errors"],
            skipped=facts["skipped"],
            failures=tuple(facts["failures"]),
            duration_seconds=facts["duration_seconds"],
            tail=facts["tail"][-TAIL_CHARS:],
            passes=passes,
        )

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Suite:
        return cls(**{**facts, "failures": tuple(facts["failures"])})

    def to_json(self) -> dict[str, Any]:
        facts = asdict(self)
        del facts["passes"]
        return facts

    def brief(self) -> dict[str, Any]:
        """For evidence: the figures without the text."""
        kept = ("status", "command", "passed", "failed", "errors", "skipped", "duration_seconds")
        facts = asdict(self)
        return {name: facts[name] for name in kept}

    @property
    def share_passed(self) -> float:
        """Of the tests not skipped. A command that does not count them passes or fails whole."""
        counted = self.passed + self.failed + self.errors
        return self.passed / counted if counted else float(self.status == "passed")

    @property
    def is_countless(self) -> bool:
        return not self.passed + self.failed + self.errors


NO_TESTS = Suite("no_tests", False, "", 0, 0, 0, 0, (), 0.0, "")


def regressions(before: Suite, after: Suite) -> list[str]:
    """What got worse, a sentence each. `before` must have run."""
    if not after.ran:
        return [f"the tests ran before the change and do not run after it: {after.status}"]
    found = [f"{test} fails, and did not before" for test in new_failures(before, after)]
    if not found and after.failed + after.errors > before.failed + before.errors:
        found.append(
            f"{after.failed + after.errors} tests fail, "
            f"{before.failed + before.errors} did before the change"
        )
    if not found and after.passed < before.passed:
        found.append(
            f"only {after.passed} tests pass, {before.passed} did before the change: "
            "tests were removed or are skipped"
        )
    if not found and (before.status, after.status) == ("passed", "failed"):
        found.append("the tests passed before the change and fail after it")
    return found


def says_nothing(before: Suite, after: Suite) -> bool:
    """Both runs failed and at least one does not say what failed: there is nothing to compare."""
    both_failed = before.status == after.status == "failed"
    return both_failed and (before.is_countless or after.is_countless)


def new_failures(before: Suite, after: Suite) -> list[str]:
    """The ids of tests that fail in the one and did not in the other."""
    return sorted(set(after.failures) - set(before.failures))
