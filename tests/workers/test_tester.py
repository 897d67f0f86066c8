"""Running a repository's own tests on a commit."""

from __future__ import annotations

import sysconfig
import venv
from pathlib import Path

import pytest

from agentsys.kernel.errors import BadInput
from tests.workers.given import GivenPorts, GivenRepository, a_brief
from tests.workers.test_command import valid
from workers import junit
from workers.contracts import FailureKind, Outcome
from workers.services import attempt_run
from workers.testing import TestsResult, test_command, tests_run

pytestmark = pytest.mark.django_db  # whether a role has a model of its own is looked up

GOOD = "from calc import one\n\ndef test_one():\n    assert one() == 1\n"
MIXED = (
    GOOD
    + """
import pytest

class TestMore:
    @pytest.mark.parametrize("n", [1, 2])
    def test_n(self, n):
        assert n == 1

@pytest.mark.skip
def test_skipped():
    pass

@pytest.fixture
def broken():
    raise RuntimeError

def test_error(broken):
    pass
"""
)


def run(repo: GivenRepository, tmp_path: Path, **options: object) -> TestsResult:
    opened = repo.open()
    options = {"timeout_seconds": 60, "workspace": tmp_path / "w", **options}
    result = tests_run(opened, opened.head(), **options)  # type: ignore[arg-type]
    assert list((tmp_path / "w").glob("*")) == []
    return result


@pytest.fixture
def calc(repo: GivenRepository) -> GivenRepository:
    repo.write(src__calc_py="def one():\n    return 1\n", tests__test_calc_py=GOOD)
    repo.commit()
    return repo


def test_tests_that_pass(calc: GivenRepository, tmp_path: Path) -> None:
    before = calc.state()
    result = run(calc, tmp_path)
    assert (result.status, result.passed, result.failures, result.ran) == ("passed", 1, (), True)
    assert calc.state() == before


def test_what_failed_is_named(calc: GivenRepository, tmp_path: Path) -> None:
    calc.write(tests__test_calc_py=MIXED)
    calc.commit()
    result = run(calc, tmp_path)
    assert (result.status, result.ran) == ("failed", True)
    assert (result.passed, result.failed, result.errors, result.skipped) == (2, 1, 1, 1)
    assert result.failures == (
        "tests/test_calc.py::TestMore::test_n[2]",
        "tests/test_calc.py::test_error",
    )
    assert "assert 2 == 1" in result.tail


def test_tests_that_cannot_be_collected_are_an_error(calc: GivenRepository, tmp_path: Path) -> None:
    calc.write(tests__test_other_py="import not_installed\n")
    calc.commit()
    result = run(calc, tmp_path)
    assert (result.status, result.ran, result.errors) == ("error", False, 1)
    assert "not_installed" in result.tail


def test_no_tests_and_no_commit_are_said(repo: GivenRepository, ports: GivenPorts) -> None:
    def status() -> str:
        report = valid(attempt_run(a_brief("tester", repository=repo.ref()), ports), "tester")
        assert report.outcome is Outcome.DONE
        return str(report.output["status"])

    assert status() == "no_tests"
    repo.write(README_md="no tests here\n")
    repo.commit()
    assert status() == "no_tests"


def test_the_repository_may_name_its_own_command(repo: GivenRepository, tmp_path: Path) -> None:
    text = '[tool.agentsys]\ntest_command = ["sh", "-c", "echo mine; exit 7"]\n'
    repo.put("pyproject.toml", text)
    base = repo.commit()
    assert run(repo, tmp_path).status == "failed"
    assert run(repo, tmp_path, command=["sh", "-c", "exit 0"]).status == "passed"
    assert run(repo, tmp_path, command=["not-there"]).status == "error"
    assert test_command(repo.open(), base) == ["sh", "-c", "echo mine; exit 7"]
    repo.put("pyproject.toml", "[tool.agentsys]\ntest_command = 7\n")
    with pytest.raises(BadInput, match="test_command is 7"):
        test_command(repo.open(), repo.commit())


def test_tests_that_hang_are_ended(calc: GivenRepository, tmp_path: Path) -> None:
    result = run(calc, tmp_path, command=["sleep", "600"], timeout_seconds=0.5)
    assert (result.status, result.ran) == ("timeout", False)


def test_a_commit_that_is_none_is_bad_input(calc: GivenRepository, ports: GivenPorts) -> None:
    report = attempt_run(a_brief("tester", {"at": "nowhere"}, repository=calc.ref()), ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT


def test_the_repositorys_own_venv_is_used_when_it_works(
    calc: GivenRepository, tmp_path: Path
) -> None:
    venv.create(calc.path / ".venv", with_pip=False)
    calc.put(".gitignore", ".venv\n")
    check = f"assert sys.prefix == '{calc.path}/.venv'"
    calc.write(tests__test_venv_py=f"import sys\n\ndef test_it():\n    {check}\n")
    calc.commit()
    assert run(calc, tmp_path).status == "failed"  # it has no pytest: ours is taken
    (site,) = (calc.path / ".venv").glob("lib/*/site-packages")
    (site / "ours.pth").write_text(sysconfig.get_path("purelib"))
    assert run(calc, tmp_path).status == "passed"


@pytest.mark.parametrize(
    "content", [b"<a", b'<!DOCTYPE x [<!ENTITY a "b">]><testsuites/>', b"", b"\x00"]
)
def test_a_report_that_cannot_be_trusted_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junit.xml"
    path.write_bytes(content)
    assert junit.read(path) is None
    link = tmp_path / "link.xml"
    link.symlink_to(path)
    assert junit.read(link) is None
