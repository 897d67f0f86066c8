"""Runs a repository's own tests on one commit, in the sandbox: the public door for the tester and
for the verifier that executes.

Which command: the one given, else `test_command` of `[tool.agentsys]` in the commit's
pyproject.toml, else pytest when the commit has tests. Whoever judges a change detects the command
on the base (`test_command(repository, base)`) and passes it, so that a change cannot choose its own
judge.
"""

from __future__ import annotations

import fnmatch
import json
import secrets
import shlex
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from agentsys.kernel.errors import BadInput, NotFound
from workers import junit, sandbox
from workers.git import Repository
from workers.interpreters import python_for

TAIL_CHARS = 4_000
FAILURES_MAX = 500
PASSES_MAX = 20_000
ONLY = "agentsys_only_tests"  # the plugin's name inside
_PLUGIN = Path(__file__).with_name("inside") / "only_tests.py"
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1")
_TEST_FILES = ("test_*.py", "*_test.py")
_STATUS = {0: "passed", 1: "failed", 5: "no_tests"}  # pytest's exit codes; others are errors


@dataclass(frozen=True, slots=True)
class TestsResult:
    """What the tests said. `ran`: they ran to their end, so that `status` is passed or failed.

    status: passed | failed | no_tests | error (they could not be run) | timeout. `failures` are
    node ids of failed tests and of errors, `passes` of those that passed, which are not handed on.
    Counts are 0 for commands other than pytest. `tail` is the end of what was printed.
    """

    __test__ = False  # not a test class, whatever its name

    status: str
    command: tuple[str, ...]
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    failures: tuple[str, ...] = ()
    duration_seconds: float = 0.0
    tail: str = ""
    ran: bool = False
    passes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        facts = asdict(self)
        del facts["ran"], facts["passes"]
        return {**facts, "command": list(self.command), "failures": list(self.failures)}


def tests_run(
    repository: Repository,
    commit: str,
    *,
    command: Sequence[str] | None = None,  # noqa: PT028
    timeout_seconds: float,
    workspace: Path,
    only: Sequence[str] = (),  # noqa: PT028
    should_stop: Callable[[], bool] | None = None,  # noqa: PT028
) -> TestsResult:
    """Check `commit` out under `workspace`, run its tests there in the sandbox, clean up.

    With `only`, pytest runs no more than the tests with these node ids; other commands run as they
    are. In `command`, a first word `python` or `pytest` stands for the repository's own Python when it
    has a usable `.venv`, else for the one that runs this. Raises SandboxUnavailable.
    """
    argv = list(command) if command else test_command(repository, commit)
    if not argv:
        return TestsResult(status="no_tests", command=())
    place = workspace / f"tests-{commit[:12]}-{secrets.token_hex(4)}"
    checkout, results = place / "checkout", place / "results"
    results.mkdir(parents=True)
    try:
        repository.worktree_add(checkout, commit)
        plugin = _plugin(place, only) if only else None
        result = _run(repository, argv, checkout, results, plugin, timeout_seconds, should_stop)
        return replace(result, ran=result.status in ("passed", "failed"))
    finally:
        repository.worktree_remove(checkout)
        repository.worktree_remove(place)


def test_command(repository: Repository, commit: str) -> list[str]:
    """The command that tests this commit, or [] when it has no tests."""
    if not commit:
        return []
    configured = _configured(repository, commit)
    if configured:
        return configured
    return ["pytest"] if _has_tests(repository.files(commit)) else []


def _configured(repository: Repository, commit: str) -> list[str]:
    try:
        text = repository.read(commit, "pyproject.toml").decode("utf-8", "replace")
        table = tomllib.loads(text).get("tool", {}).get("agentsys", {})
    except (NotFound, tomllib.TOMLDecodeError):
        return []
    value = table.get("test_command", []) if isinstance(table, dict) else []
    if isinstance(value, str):
        return shlex.split(value)
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return value
    problem = f"[tool.agentsys] test_command is {value!r}; expected a list of words or a string"
    raise BadInput(what="pyproject.toml", problems=[problem])


def _has_tests(files: Sequence[str]) -> bool:
    names = (PurePosixPath(path).name for path in files)
    return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in _TEST_FILES)


def _run(
    repository: Repository,
    argv: list[str],
    checkout: Path,
    results: Path,
    plugin: Path | None,
    timeout_seconds: float,
    should_stop: Callable[[], bool] | None,
) -> TestsResult:
    python = python_for(repository, checkout, "pytest")
    added = [plugin] if plugin else []
    options = [f"--junitxml={results / 'junit.xml'}", *(["-p", ONLY] if plugin else [])]
    words, is_pytest = _resolved(argv, python.executable, options)
    ended = sandbox.run(
        words,
        cwd=checkout,
        writable=[checkout, results],
        readable=[*python.folders, *added],
        env=python.env(checkout, added),
        timeout_seconds=timeout_seconds,
        output_bytes_max=200_000,
        should_stop=should_stop,
    )
    tail = (ended.stdout + ("\n" + ended.stderr if ended.stderr.strip() else ""))[-TAIL_CHARS:]
    found = TestsResult(
        status="passed" if ended.exit_code == 0 else "failed",
        command=tuple(argv),
        duration_seconds=ended.duration_seconds,
        tail=tail.strip(),
    )
    if ended.killed:
        return replace(found, status="timeout" if ended.timed_out else "error")
    if not is_pytest:
        return replace(found, status="error") if ended.exit_code in (126, 127) else found
    counts = junit.read(results / "junit.xml")
    status = _STATUS.get(ended.exit_code, "error")
    if counts is None:  # pytest ended before it could say anything
        return replace(found, status="error" if status in ("passed", "failed") else status)
    if status == "passed" and not counts.passed and counts.skipped:
        status = "no_tests"  # all were skipped: that proves nothing
    return replace(
        found,
        status=status,
        passed=counts.passed,
        failed=counts.failed,
        errors=counts.errors,
        skipped=counts.skipped,
        failures=counts.failures[:FAILURES_MAX],
        passes=counts.passes[:PASSES_MAX],
    )


def _plugin(place: Path, only: Sequence[str]) -> Path:
    """A folder with the plugin that leaves out all tests but these."""
    folder = place / "plugin"
    folder.mkdir()
    (folder / f"{ONLY}.py").write_text(_PLUGIN.read_text("utf-8"), "utf-8")
    (folder / "only.json").write_text(json.dumps(list(only)), "utf-8")
    return folder


def _resolved(argv: list[str], python: str, options: list[str]) -> tuple[list[str], bool]:
    """The words to run, and whether they are pytest's, which then gets these options, too."""
    first, rest = argv[0], argv[1:]
    if first in ("python", "python3") and rest[:2] == ["-m", "pytest"]:
        first, rest = "pytest", rest[2:]
    if first in ("pytest", "py.test"):
        return [python, *PYTEST, *options, *rest], True
    if first in ("python", "python3"):
        return [python, *rest], False
    return argv, False


for _door in (tests_run, test_command):  # nor are these tests, where a test imports them
    setattr(_door, "__test__", False)  # noqa: B010
