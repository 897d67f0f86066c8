"""Runs a repository's tests at a commit, keeps what they said at a base, and runs some of them again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import connection

from agentsys.kernel.hashing import digest
from verification.contracts import Case
from verification.domain.flaky import WHOLE, Finding, findings, flipping, in_question
from verification.domain.suites import Suite
from verification.models import Baseline
from workers.workspaces import scratch

if TYPE_CHECKING:
    from workers.git import Repository

SUITE_SECONDS_MAX = 240.0
RERUNS_MAX = 2
RERUN_SECONDS_MAX = 180.0  # for all of them together
BASELINE_STATES = frozenset({"passed", "failed", "no_tests"})  # a timeout may be the machine's


def command_for(case: Case, repository: Repository, base: str) -> list[str]:
    """What runs the tests: what the task says, else what the base says; [] for no tests. Never
    what the change says, which would choose its own judge."""
    from workers.testing import test_command

    command = case.inputs.get("test_command")
    if command and isinstance(command, list | tuple):
        return [str(word) for word in command]
    return test_command(repository, base)


def baseline(repository: Repository, path: str, commit: str, command: Sequence[str]) -> Suite:
    """How the tests go at `commit`: run once per repository, commit and command, then kept."""
    key = key_of(path, commit, command)
    if kept := _kept(key):
        return kept
    with _one_at_a_time(digest(key)):
        if kept := _kept(key):  # somebody else ran them while this one waited
            return kept
        suite = run_suite(repository, commit, command)
        keep(key, suite)
        return suite


def key_of(path: str, commit: str, command: Sequence[str]) -> dict[str, str]:
    return {"repository": path, "commit": commit, "command_hash": digest(command)}


def keep(key: Mapping[str, str], suite: Suite) -> None:
    """What comes next may begin there; then it need not be run."""
    if suite.status in BASELINE_STATES:
        row = Baseline(**key, result=suite.to_json())
        Baseline.objects.bulk_create([row], ignore_conflicts=True)


def _kept(key: Mapping[str, str]) -> Suite | None:
    result = Baseline.objects.filter(**key).values_list("result", flat=True).first()
    return Suite.from_json(result) if result else None


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Siblings that start from one commit would else run its tests all at once. The lock belongs
    to the database session, so it goes when this process does."""
    number = int(name[:15], 16)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [number])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def run_suite(
    repository: Repository,
    commit: str,
    command: Sequence[str],
    *,
    only: Sequence[str] = (),
    seconds: float = SUITE_SECONDS_MAX,
) -> Suite:
    from workers.testing import tests_run

    with scratch("verify") as folder:
        result = tests_run(
            repository,
            commit,
            command=command,
            timeout_seconds=seconds,
            workspace=folder,
            only=only,
        )
    return Suite.of(result.to_json(), ran=result.ran, passes=result.passes)


def looked_at_again(
    reruns: Reruns, base: str, before: Suite, commit: str, after: Suite
) -> tuple[Finding, ...]:
    """What is to be thought of the tests that fail with the change and did not without; () for none."""
    tests = in_question(before, after)
    if not tests:
        return ()
    with_change = [after, *reruns.of(commit, tests)]
    changing = flipping(tests, with_change)
    without = reruns.of(base, changing) if changing else []
    return findings(tests, with_change, without)


class Reruns:
    """Further runs of the tests that are in question, and of no others where the command is pytest's,
    until the time for all of them is used up."""

    def __init__(
        self, repository: Repository, command: Sequence[str], *, seconds: float = RERUN_SECONDS_MAX
    ) -> None:
        self._repository, self._command = repository, command
        self._until = time.monotonic() + seconds
        self._is_narrow: bool | None = None  # None: not known yet whether the names are pytest's

    def of(self, commit: str, tests: Sequence[str]) -> list[Suite]:
        """At most RERUNS_MAX runs. One that broke or took too long ends them, and is left out."""
        found: list[Suite] = []
        for _ in range(RERUNS_MAX):
            suite = self._once(commit, tests)
            if suite is None or not (suite.ran or suite.status == "no_tests"):
                break
            found.append(suite)
        return found

    def _once(self, commit: str, tests: Sequence[str]) -> Suite | None:
        if WHOLE in tests or self._is_narrow is False:
            return self._run(commit)
        suite = self._run(commit, tests)
        if self._is_narrow is None and suite is not None and suite.status != "timeout":
            self._is_narrow = suite.ran
            return suite if suite.ran else self._run(commit)
        return suite

    def _run(self, commit: str, only: Sequence[str] = ()) -> Suite | None:
        left = self._until - time.monotonic()
        if left < 1:
            return None
        seconds = min(left, SUITE_SECONDS_MAX)
        return run_suite(self._repository, commit, self._command, only=only, seconds=seconds)
