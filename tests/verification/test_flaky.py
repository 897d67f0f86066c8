"""Telling a test that a change broke from one that comes out now so and now so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verification.conftest import MakeCase, Repo, change
from verification.contracts import VerdictOutcome
from verification.domain.flaky import (
    WHOLE,
    Standing,
    Tally,
    findings,
    in_question,
    standing,
    without_known,
)
from verification.domain.suites import Suite, regressions
from verification.verifiers.execution import ExecutionVerifier
from verification.verifiers.suite_runs import Reruns, looked_at_again

REGRESSION, SUSPECT, FLAKY = Standing.REGRESSION, Standing.SUSPECT, Standing.FLAKY
judge = ExecutionVerifier().judge


def suite(passes: str = "", failures: str = "", *, status: str = "", ran: bool = True) -> Suite:
    """Tests are single letters."""
    return Suite(
        status=status or ("failed" if failures else "passed"),
        ran=ran,
        command="pytest",
        passed=len(passes),
        failed=len(failures),
        errors=0,
        skipped=0,
        failures=tuple(failures),
        duration_seconds=1.0,
        tail="",
        passes=tuple(passes),
    )


def countless(status: str) -> Suite:
    return suite(status=status)


@pytest.mark.parametrize(
    ("with_change", "without", "expected"),
    [
        ((1, 1), (0, 1), REGRESSION),
        ((3, 3), (0, 1), REGRESSION),
        ((3, 3), (0, 3), REGRESSION),
        ((3, 3), (0, 0), REGRESSION),  # a new test
        ((3, 3), (1, 3), SUSPECT),
        ((1, 3), (0, 3), SUSPECT),
        ((2, 3), (0, 1), SUSPECT),
        ((1, 3), (0, 0), SUSPECT),
        ((1, 3), (1, 3), FLAKY),
        ((2, 3), (2, 3), FLAKY),
    ],
)
def test_what_flips_is_no_regression_and_counts_for_nothing_only_when_it_flips_without_the_change_too(
    with_change: tuple[int, int], without: tuple[int, int], expected: Standing
) -> None:
    assert standing(Tally(*with_change), Tally(*without)) is expected


def test_counts_are_those_of_the_runs_that_the_test_was_in() -> None:
    (found,) = findings("a", [suite("", "a"), suite("a"), suite("ab")], [suite("a"), suite("a")])
    assert (found.standing, str(found.with_change), str(found.without)) == (
        SUSPECT,
        "1 of 3",
        "0 of 3",
    )
    assert found.sentence == "a fails in 1 of 3 runs with the change, in 0 of 3 without"
    (new,) = findings("a", [suite("", "a"), suite("a")], [suite("b"), suite("b")])
    assert new.sentence == "a fails in 1 of 2 runs with the change, and is not there without"


def test_what_did_not_run_to_its_end_is_not_in_question() -> None:
    """A change that makes the tests hang has made them hang, however often."""
    assert in_question(suite("ab"), suite("a", "b")) == ("b",)
    assert in_question(suite("ab"), suite("", status="timeout", ran=False)) == ()
    assert in_question(suite("a", "b"), suite("a", "b")) == ()


def test_a_command_that_does_not_count_is_one_test() -> None:
    before, after = countless("passed"), countless("failed")
    assert in_question(before, after) == (WHOLE,)
    (found,) = findings([WHOLE], [after, countless("passed")], [countless("failed")])
    assert found.standing is FLAKY
    assert regressions(before, without_known(after, [WHOLE])) == []


def test_known_flaky_tests_hide_nothing_else() -> None:
    before = suite("abc")
    assert regressions(before, without_known(suite("ab", "c"), "c")) == []
    assert regressions(before, without_known(suite("a", "bc"), "c")) == [
        "b fails, and did not before"
    ]
    assert "only 2 tests pass" in regressions(before, without_known(suite("a", "c"), "c"))[0]


# --- Real repositories. What flips there without fail is a test that depends on what ran beside it -----

TESTS = """\
import code_

def test_other():
    pass

def test_order(request):
    assert code_.expected(len(request.session.items) == 1)
"""
ALWAYS = "def expected(alone):\n    return True\n"
NEVER = "def expected(alone):\n    return False\n"
ALONE = "def expected(alone):\n    return alone\n"
IN_COMPANY = "def expected(alone):\n    return not alone\n"
ORDER = "tests/test_code.py::test_order"


def changed(make_case: MakeCase, repo: Repo, before: str, after: str, **fields: Any) -> Any:
    base = repo.commit(code_=before, tests__test_code=TESTS)
    return judge(change(make_case, repo, base, repo.commit(code_=after), **fields))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("before", "after", "outcome", "evidence"),
    [
        (ALWAYS, NEVER, VerdictOutcome.FAIL, {}),
        (ALWAYS, ALONE, VerdictOutcome.ABSTAIN, {"suspect": ["1 of 3", "0 of 3"]}),
        (IN_COMPANY, ALONE, VerdictOutcome.PASS, {"flaky": ["1 of 3", "2 of 3"]}),
    ],
)
def test_a_failing_test_is_run_again_and_where_it_flips_at_the_base_too(
    make_case: MakeCase, repo: Repo, before: str, after: str, outcome: str, evidence: dict[str, Any]
) -> None:
    verdict = changed(make_case, repo, before, after)
    assert verdict.outcome is outcome
    for name in ("flaky", "suspect"):
        told = [[each["with"], each["without"]] for each in verdict.evidence.get(name, [])]
        assert told == ([evidence[name]] if name in evidence else [])
    if outcome is VerdictOutcome.ABSTAIN:
        assert f"{ORDER} fails in 1 of 3 runs with the change, in 0 of 3" in verdict.reasons[0]


@pytest.mark.django_db(transaction=True)
def test_only_what_failed_is_run_again_with_the_options_of_the_command(repo: Repo) -> None:
    from workers.git import Repository

    commit = repo.commit(code_=NEVER, tests__test_code=TESTS)
    reruns = Reruns(Repository.open(str(repo.path)), ["pytest", "tests", "-k", "order or other"])
    (first, second) = reruns.of(commit, [ORDER])
    assert (first.failures, first.passes) == (second.failures, second.passes) == ((ORDER,), ())


@pytest.mark.django_db(transaction=True)
def test_without_time_for_it_nothing_is_run_again_and_nothing_is_called_flaky(repo: Repo) -> None:
    from workers.git import Repository

    commit = repo.commit(code_=ALONE, tests__test_code=TESTS)
    reruns = Reruns(Repository.open(str(repo.path)), ["pytest"], seconds=0)
    (found,) = looked_at_again(reruns, commit, suite("a"), commit, suite("a", "b"))
    assert (found.standing, str(found.with_change)) == (REGRESSION, "1 of 1")
