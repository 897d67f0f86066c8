"""Compares two runs of a test suite: before a change and after it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

TAIL_CHARS = 2_000


class SuiteResult(Protocol):
    """What `workers.testing` gives back, as far as it matters here."""

    status: str
    command: Any
    passed: int
    failed: int
    errors: int
    skipped: int
    failures: Any
    duration_seconds: float
    tail: str
    ran: bool


@dataclass(frozen=True, slots=True)
class Suite:
    """One run, in a form that can be stored. `failures` are the ids of tests that did not pass."""

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

    @classmethod
    def of(cls, result: SuiteResult) -> Suite:
        command = result.command
        return cls(
            status=str(result.status),
            ran=result.ran,
            command=command if isinstance(command, str) else " ".join(command or ()),
            passed=result.passed,
            failed=result.failed,
            errors=result.errors,
            skipped=result.skipped,
            failures=tuple(result.failures),
            duration_seconds=result.duration_seconds,
            tail=result.tail[-TAIL_CHARS:],
        )

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Suite:
        return cls(**{**facts, "failures": tuple(facts["failures"])})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def brief(self) -> dict[str, Any]:
        """For evidence: the figures without the text."""
        kept = ("status", "command", "passed", "failed", "errors", "skipped", "duration_seconds")
        facts = asdict(self)
        return {name: facts[name] for name in kept}

    @property
    def share_passed(self) -> float:
        """Of the tests that were not skipped; 1.0 when all passed."""
        counted = self.passed + self.failed + self.errors
        return self.passed / counted if counted else 0.0


NOTHING_YET = Suite("no_tests", False, "", 0, 0, 0, 0, (), 0.0, "")  # before the first commit


def regressions(before: Suite, after: Suite) -> list[str]:
    """What got worse, a sentence each. `before` must have run."""
    if not after.ran:
        return [f"the tests ran before the change and do not run after it: {after.status}"]
    found = [f"{test} fails, and did not before" for test in _new_failures(before, after)]
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
    return found


def _new_failures(before: Suite, after: Suite) -> list[str]:
    return sorted(set(after.failures) - set(before.failures))
