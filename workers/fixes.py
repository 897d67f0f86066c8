"""The tools that fix Python code, run in the sandbox on the files of a worktree.

All of them change files in place and none runs the code it changes. The repository's own ruff
configuration is respected when it has one: its rules, its line length, its exclusions.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workers import sandbox

FIXES = (
    "pyupgrade",
    "lint",
    "imports",
    "format",
)  # in the order in which they are made, riskiest first
RULES = ("E4", "E7", "E9", "F", "W", "B", "C4", "PIE", "SIM")  # when the repository names none
FILES_AT_ONCE = 400
SECONDS_MAX = 180.0
PYUPGRADE_MINORS = range(6, 16)

_FIXED = re.compile(r"(\d+) \u00d7 ([A-Z]+[0-9]+)")
_REFORMATTED = re.compile(r"(\d+) files? reformatted")
_FLOOR = re.compile(r"(?:>=|~=|==|>)\s*3\.(\d+)")
_SYNTAX = """
import ast, json, os, sys, tokenize
found = {}
for path in sys.stdin.buffer.read().split(b"\\0"):
    if not path: continue
    try:
        with open(path, "rb") as file: ast.parse(file.read())
    except FileNotFoundError: pass
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        line = getattr(error, "lineno", None)
        said = getattr(error, "msg", None) or error or type(error).__name__
        found[os.fsdecode(path)] = f"line {line}: {said}" if line else str(said)
json.dump(found, sys.stdout)
"""


@dataclass
class Fixing:
    """Fixes on one worktree; `counts` says how much each did, `notes` what could not be done."""

    tree: Path
    files: Sequence[str]
    rules: Sequence[str] = ()
    should_stop: Callable[[], bool] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def make(self, fix: str) -> None:
        """One of FIXES on all files."""
        before = len(self.notes)
        made = {
            "lint": self._lint,
            "imports": self._imports,
            "format": self._format,
            "pyupgrade": self._pyupgrade,
        }[fix]
        for files in _chunks(self.files):
            made(files)
            if len(self.notes) > before:
                return

    def _lint(self, files: Sequence[str]) -> None:
        own = has_ruff_rules(self.tree)
        rules = list(self.rules) or ([] if own else list(RULES))
        select = ["--select", ",".join(rules)] if rules else []
        said = self._ruff("lint", ["check", "--fix-only", "--show-fixes", *select], files)
        for count, rule in _FIXED.findall(said):
            self.counts[rule] = self.counts.get(rule, 0) + int(count)

    def _imports(self, files: Sequence[str]) -> None:
        words = ["check", "--fix-only", "--show-fixes", "--select", "I"]
        said = self._ruff("imports", words, files)
        self._count("imports", (int(count) for count, _ in _FIXED.findall(said)))

    def _format(self, files: Sequence[str]) -> None:
        said = self._ruff("format", ["format"], files)
        self._count("format", map(int, _REFORMATTED.findall(said)))

    def _pyupgrade(self, files: Sequence[str]) -> None:
        if find_spec("pyupgrade") is None:
            self.notes.append("pyupgrade is not installed; the `code-tools` extra has it")
            return
        target = pyupgrade_target(self.tree)
        words = [sys.executable, "-I", "-m", "pyupgrade", "--exit-zero-even-if-changed", target]
        ended = self._run([*words, *files])
        if ended.exit_code != 0:
            self._note("pyupgrade", ended)
        rewritten = ended.stdout.count("Rewriting ") + ended.stderr.count("Rewriting ")
        self._count("pyupgrade", [rewritten])

    def _ruff(self, fix: str, words: list[str], files: Sequence[str]) -> str:
        if find_spec("ruff") is None:
            self.notes.append(f"{fix}: ruff is not installed; the `code-tools` extra has it")
            return ""
        options = ["--no-cache", "--force-exclude"]
        ended = self._run([sys.executable, "-I", "-m", "ruff", *words, *options, "--", *files])
        if ended.exit_code not in (0, 1):
            self._note(fix, ended)
        return ended.stdout + ended.stderr

    def _run(self, argv: list[str]) -> sandbox.SandboxResult:
        return sandbox.run(
            argv,
            cwd=self.tree,
            writable=[self.tree],
            timeout_seconds=SECONDS_MAX,
            output_bytes_max=1_000_000,
            should_stop=self.should_stop,
            env={"NO_COLOR": "1"},
        )

    def _count(self, fix: str, numbers: Any) -> None:
        if total := sum(numbers):
            self.counts[fix] = self.counts.get(fix, 0) + total

    def _note(self, fix: str, ended: sandbox.SandboxResult) -> None:
        said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        reason = "took too long" if ended.timed_out else " ".join(said[:3])[:300]
        self.notes.append(f"{fix}: {reason or f'exit code {ended.exit_code}'}")


def syntax_errors(tree: Path, files: Sequence[str]) -> dict[str, str]:
    """Path -> what is wrong, of those files that this Python cannot parse. Looks from inside the
    sandbox: a parser is not to be trusted with hostile input either."""
    if not files:
        return {}
    ended = sandbox.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", _SYNTAX],
        cwd=tree,
        readable=[tree],
        stdin="\0".join(files).encode("utf-8", "surrogateescape"),
        timeout_seconds=SECONDS_MAX,
        output_bytes_max=10_000_000,
    )
    if ended.exit_code != 0:  # one of them brought the parser down; find out which
        if len(files) == 1:
            return {files[0]: "it brings Python's parser down"}
        half = len(files) // 2
        return syntax_errors(tree, files[:half]) | syntax_errors(tree, files[half:])
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def has_ruff_rules(tree: Path) -> bool:
    """Whether the repository configures ruff itself."""
    if any((tree / name).is_file() for name in ("ruff.toml", ".ruff.toml")):
        return True
    return "ruff" in pyproject(tree).get("tool", {})


def pyupgrade_target(tree: Path) -> str:
    """pyupgrade's option for the oldest Python that the project says it supports."""
    wanted = str(pyproject(tree).get("project", {}).get("requires-python", ""))
    found = _FLOOR.search(wanted)
    minor = min(int(found[1]), PYUPGRADE_MINORS[-1]) if found else 0
    return f"--py3{minor}-plus" if minor in PYUPGRADE_MINORS else "--py3-plus"


def pyproject(tree: Path) -> dict[str, Any]:
    """The parsed pyproject.toml, {} when there is none that can be read."""
    path = tree / "pyproject.toml"
    if path.is_symlink() or not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8", "replace"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _chunks(files: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(files), FILES_AT_ONCE):
        yield files[start : start + FILES_AT_ONCE]
