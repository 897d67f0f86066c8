"""Looking at a repository: what is found, and what strangers' files cannot make it say or read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.workers.given import GivenPorts, GivenRepository, a_brief
from tests.workers.test_command import valid
from workers.contracts import FailureKind, Outcome, RepositoryRef
from workers.services import attempt_run
from workers.survey import CHECKS, findings
from workers.survey.findings import Checkout, Finding, Survey

SECRET = "AKIA" + "ABCDEFGH" + "12345678"
BUSY = "def busy(x):\n" + "".join(f"    if x == {n}:\n        return {n}\n" for n in range(12))


@pytest.fixture
def look(repo: GivenRepository, ports: GivenPorts) -> Any:
    def run(check: str) -> dict[str, Any]:
        before = repo.state() if repo.ref().base else None
        report = valid(
            attempt_run(a_brief("surveyor", {"check": check}, repository=repo.ref()), ports),
            "surveyor",
        )
        assert report.outcome is Outcome.DONE, report
        assert list(ports.workspace().iterdir()) == []
        assert before is None or repo.state() == before
        return dict(report.output)

    return run


def codes(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(f["path"], f["code"]) for f in found["findings"]}


# --- What is found ------------------------------------------------------------------------------


def test_lint_says_what_could_be_fixed_and_by_what(repo: GivenRepository, look: Any) -> None:
    repo.put("pkg/a.py", "import sys\nimport os\nx = os.sep\ny = set([1])\nz = '%s' % (x,)\n")
    repo.put("pkg/bad.py", "def a(:\n")
    repo.commit()
    found = look("lint")
    assert ("pkg/a.py", "F401") in codes(found)
    assert ("pkg/bad.py", "syntax-error") in codes(found)
    assert set(found["facts"]["fixable"]) == {"pkg/a.py"}
    assert {"lint", "imports"} <= set(found["facts"]["fixable"]["pkg/a.py"])
    assert found["facts"]["own_rules"] is False
    assert found["total"] == sum(found["by_code"].values())


def test_lint_follows_the_repositorys_own_rules(repo: GivenRepository, look: Any) -> None:
    repo.put("a.py", "import os\nx: int = 1 \n")
    text = '[tool.ruff]\nlint.select = ["W"]\n[tool.ruff.format]\nquote-style = "single"\n'
    repo.put("pyproject.toml", text)
    repo.commit()
    found = look("lint")
    assert codes(found) == {("a.py", "W291")}
    assert found["facts"]["own_rules"] is True
    assert found["facts"]["formatter"] == "ruff"


def test_what_only_a_newer_python_has_is_not_asked_for(repo: GivenRepository, look: Any) -> None:
    repo.put("a.py", "from typing import List, Optional\nx: List[int] = []\ny: Optional[int] = 1\n")
    repo.put("pyproject.toml", '[project]\nname = "x"\nrequires-python = ">=3.6"\n')
    repo.commit()
    assert not {code for _, code in codes(look("lint"))} & {"UP006", "UP007", "UP035", "UP045"}
    repo.put("pyproject.toml", '[project]\nname = "x"\nrequires-python = ">=3.12"\n')
    repo.commit()
    assert ("a.py", "UP006") in codes(look("lint"))


def test_complex_and_unused_code_is_named(repo: GivenRepository, look: Any) -> None:
    repo.put("a.py", BUSY + "\n\ndef f():\n    return 1\n    print('never')\n")
    repo.put("bad.py", "def a(:\n")
    repo.commit()
    found = look("complexity")
    assert ("a.py", "complexity") in codes(found)
    assert found["facts"]["worst"] == 13
    assert codes(look("dead_code")) == {("a.py", "unused"), ("bad.py", "syntax-error")}


def test_a_secret_is_located_and_never_repeated(repo: GivenRepository, look: Any) -> None:
    repo.put("conf.py", f'\nkey = "{SECRET}"\n')
    repo.commit()
    found = look("secrets")
    assert ("conf.py", "aws-access-key") in codes(found)
    assert {f["line"] for f in found["findings"]} == {2}
    assert SECRET not in str(found)


def test_dependencies_are_read_wherever_they_are_declared(repo: GivenRepository, look: Any) -> None:
    repo.put(
        "pyproject.toml",
        '[project]\nname = "x"\ndependencies = ["a", "b<3", "c>=1", "C==2"]\n'
        '[project.optional-dependencies]\nmore = ["d", "a>=1"]\n'
        '[dependency-groups]\ndev = ["e", {include-group = "x"}]\n',
    )
    repo.put("setup.cfg", "[options]\ninstall_requires =\n    f\n    g>=1  # why\n")
    repo.put(
        "requirements/dev.txt",
        "# no\n-r other.txt\nh\ni==1 --hash=sha256:x\n    --hash=y\nh\n???\n",
    )
    repo.put("requirements.in", "j; python_version<'3'\nj>=1; python_version>='3'\nk @ file:///x\n")
    repo.commit()
    found = look("dependencies")
    said = {(f["path"], f["line"], f["code"], f["message"].split()[0]) for f in found["findings"]}
    assert said == {
        ("pyproject.toml", 3, "unbounded", "a"),
        ("pyproject.toml", 3, "no-lower-bound", "b"),
        ("pyproject.toml", 3, "doubled", "c"),
        ("pyproject.toml", 5, "unbounded", "d"),
        ("pyproject.toml", 7, "unbounded", "e"),
        ("setup.cfg", 3, "unbounded", "f"),
        ("requirements/dev.txt", 3, "unbounded", "h"),
        ("requirements/dev.txt", 6, "unbounded", "h"),
        ("requirements/dev.txt", 6, "doubled", "h"),
        ("requirements/dev.txt", 7, "unreadable", "is"),
        ("requirements.in", 1, "unbounded", "j"),
    }
    assert found["facts"]["declared"] == 16


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", "[project\n"),
        ("pyproject.toml", "x = " + "[" * 5000),
        ("setup.cfg", "no section\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_finding(
    repo: GivenRepository, look: Any, path: str, text: str
) -> None:
    repo.put(path, text)
    repo.put("a.py", "x = 1\n")
    repo.commit()
    assert codes(look("dependencies")) == {(path, "unreadable")}
    assert look("lint")["status"] in ("ok", "error")


def test_docs_measures_public_names(repo: GivenRepository, look: Any) -> None:
    repo.put(
        "pkg/a.py",
        '"""Says."""\nclass A:\n    def m(self): ...\n    def _p(self): ...\n\n'
        'def f():\n    "\\d"\n    def inner(): ...\n',
    )
    repo.put("pkg/bad.py", "def a(:\n")
    repo.put("tests/test_a.py", "def test_a(): ...\n")
    repo.commit()
    found = look("docs")
    assert codes(found) == {
        ("README.md", "no-readme"),
        ("pkg/a.py", "no-docstring"),
        ("pkg/bad.py", "syntax-error"),
    }
    assert found["facts"] == {"public": 4, "documented": 2, "readme": False}
    assert found["summary"].startswith("2 of 4 public names have a docstring (50%)")


# --- What there may not be ----------------------------------------------------------------------


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_an_empty_repository_and_one_without_python_are_said(
    repo: GivenRepository, look: Any, check: str
) -> None:
    assert look(check)["status"] == "not_applicable"
    repo.put("README", "nothing here\n")
    repo.commit()
    found = look(check)
    assert found["status"] == ("ok" if check in ("docs", "secrets") else "not_applicable")
    assert found["findings"] == []


@pytest.mark.parametrize("check", ["lint", "complexity", "dead_code", "secrets"])
def test_a_tool_that_is_not_installed_is_said_with_the_extra_that_has_it(
    repo: GivenRepository, look: Any, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.put("a.py", "x = 1\n")
    repo.commit()
    monkeypatch.setattr(findings, "find_spec", lambda name: None)
    found = look(check)
    assert found["status"] == "unavailable"
    assert "install agentsys[code-tools]" in found["summary"]


def test_without_a_repository_it_says_so(ports: GivenPorts) -> None:
    report = attempt_run(a_brief("surveyor", {"check": "lint"}), ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT


def test_a_list_of_findings_is_cut_and_counted_in_full() -> None:
    many = tuple(Finding("a.py", n, "X1", "x", fixable=n % 2 == 0) for n in range(1200))
    said = Survey("lint", findings=many).to_json()
    assert (len(said["findings"]), said["total"], said["fixable"]) == (500, 1200, 600)
    assert said["by_code"] == {"X1": 1200}


# --- What strangers' files cannot do ------------------------------------------------------------


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_a_file_named_like_a_module_is_not_run_in_its_place(
    repo: GivenRepository, look: Any, check: str
) -> None:
    for name in ("ruff", "lizard", "vulture", "detect_secrets", "json", "ast", "csv"):
        repo.put(f"{name}.py", "import os\nprint('[]')\nraise SystemExit(0)\n")
    repo.put("requirements.txt", "x\n")
    repo.commit()
    found = look(check)
    assert found["status"] == "ok"
    if check == "lint":
        assert len([1 for _, code in codes(found) if code == "F401"]) == 7


def test_no_link_is_followed_out_of_the_repository(
    repo: GivenRepository, look: Any, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "notes").write_text("hunter2 token\nhunter2 token\n")
    (outside / "ruff.toml").write_text("[format]\n")
    (outside / "mod.py").write_text("def hunter2(): ...\n")
    links = {"requirements.txt": "notes", "setup.cfg": "notes", "mod.py": "mod.py"}
    for name, target in {**links, "ruff.toml": "ruff.toml", "pyproject.toml": "notes"}.items():
        (repo.path / name).symlink_to(outside / target)
    repo.put("a.py", "import os\n")
    repo.commit()
    found = {check: look(check) for check in sorted(CHECKS)}
    assert "hunter2" not in str(found)
    assert found["dependencies"]["status"] == "not_applicable"
    assert found["lint"]["facts"]["own_rules"] is False
    assert found["lint"]["facts"]["formatter"] == ""
    assert codes(found["lint"]) == {("a.py", "F401"), ("mod.py", "E902")}  # it leads nowhere


def test_a_file_too_big_to_be_a_declaration_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("x\n" * 600_000)
    checkout = Checkout(tmp_path, ("requirements.txt",))
    assert checkout.text("requirements.txt") is None
    assert checkout.text("never-tracked.txt") is None


def test_the_checkout_goes_also_when_a_check_fails(
    repo: GivenRepository, ports: GivenPorts, tmp_path: Path
) -> None:
    repo.put("a.py", "x = 1\n")
    base = repo.commit()
    ref = RepositoryRef(str(repo.path), "agentsys/goal-1", base)
    left = ports.workspace() / "checkout"
    left.mkdir()
    (left / "half").write_text("left by a slice that was cut off")
    report = attempt_run(a_brief("surveyor", {"check": "docs"}, repository=ref), ports)
    assert report.outcome is Outcome.DONE
    assert not left.exists()
    listed = subprocess.run(
        ["git", "-C", str(repo.path), "worktree", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(listed.stdout.splitlines()) == 1
