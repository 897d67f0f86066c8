"""Which changes leave a Python file's meaning as it was."""

from __future__ import annotations

import pytest

from verification.domain.formatting import compile_fault, tree_fault
from verification.domain.suites import Suite, regressions, says_nothing

BEFORE = b'''\
"""Doc  of module.

    Indented.
"""
import sys, os
from b import z, y

def f(a, b = 'x'):
    """  One line. """
    import json, abc
    return (a +
            b + u"y")
'''
AFTER = b'''\
"""Doc  of module.

Indented.
"""

import os
import sys

from b import y
from b import z


def f(a, b="x"):
    """One line."""
    import abc
    import json

    return a + b + "y"
'''


def test_what_a_formatter_changes_is_no_change() -> None:
    assert tree_fault(BEFORE, AFTER, "a.py") is None


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        (AFTER.replace(b"a + b", b"b + a"), "another syntax tree"),
        (AFTER.replace(b"import os\n", b""), "another syntax tree"),
        (AFTER.replace(b"One line", b"Another line"), "another syntax tree"),
        (AFTER.replace(b"from b", b"from .b"), "another syntax tree"),
        (AFTER.replace(b"return", b"retrun"), "does not compile any more"),
        (None, "was removed"),
    ],
)
def test_anything_else_is_one(after: bytes | None, fault: str) -> None:
    assert fault in (tree_fault(BEFORE, after, "a.py") or "")


def test_files_that_are_new_or_not_python_or_broken_before_cannot_be_compared() -> None:
    assert "was added" in (tree_fault(None, AFTER, "a.py") or "")
    assert "no Python file" in (tree_fault(b"a", b"b", "a.md") or "")
    assert tree_fault(b"a", b"a", "a.md") is None
    assert "did not compile before" in (tree_fault(b"def", AFTER, "a.py") or "")


@pytest.mark.parametrize("content", [b"def", b"a\x00b", b"# coding: bogus\n", b"(" * 5000])
def test_no_content_breaks_the_compiler_check(content: bytes) -> None:
    assert compile_fault(content, "a.py")


def suite(**changes: object) -> Suite:
    given: dict[str, object] = {
        "status": "passed",
        "ran": True,
        "command": "pytest",
        "passed": 10,
        "failed": 0,
        "errors": 0,
        "skipped": 0,
        "failures": (),
        "duration_seconds": 1.0,
        "tail": "",
    }
    return Suite(**{**given, **changes})  # type: ignore[arg-type]


def test_a_failure_that_was_there_before_is_no_regression() -> None:
    broken = suite(status="failed", passed=9, failed=1, failures=("t::a",))
    assert regressions(broken, broken) == []
    assert regressions(broken, suite()) == []
    assert regressions(suite(), broken) == ["t::a fails, and did not before"]


def test_one_failure_traded_for_another_is_a_regression() -> None:
    before = suite(status="failed", passed=9, failed=1, failures=("t::a",))
    after = suite(status="failed", passed=9, failed=1, failures=("t::b",))
    assert regressions(before, after) == ["t::b fails, and did not before"]


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        (suite(ran=False, status="timeout"), "do not run after it: timeout"),
        (suite(passed=8), "only 8 tests pass, 10 did"),
        (suite(passed=10, errors=1), "1 tests fail, 0 did"),
    ],
)
def test_fewer_tests_or_nameless_errors_are_regressions(after: Suite, fault: str) -> None:
    assert fault in regressions(suite(), after)[0]


def test_a_command_that_does_not_count_passes_or_fails_whole() -> None:
    passed = suite(passed=0)
    failed = suite(passed=0, status="failed")
    assert passed.share_passed == 1.0
    assert failed.share_passed == 0.0
    assert regressions(passed, failed) == ["the tests passed before the change and fail after it"]
    assert regressions(failed, passed) == []
    assert says_nothing(failed, failed)
    assert not says_nothing(passed, failed)


def test_a_run_survives_being_stored() -> None:
    one = suite(failures=("a", "b"))
    assert Suite.from_json(one.to_json()) == one
