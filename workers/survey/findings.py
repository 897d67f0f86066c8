"""What a check looks at, and what it says."""

from __future__ import annotations

import json
import os
import stat
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workers import sandbox
from workers.beneath import open_below
from workers.sandbox import SandboxResult

FINDINGS_MAX = 500
SECONDS_MAX = 120.0
OUTPUT_BYTES_MAX = 20_000_000
TEXT_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` is 0 where a finding is about a whole file. `severity`: error | warning | info."""

    path: str
    line: int
    code: str
    message: str
    severity: str = "warning"
    fixable: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """status: ok | unavailable (the tool is not installed) | not_applicable | error."""

    check: str
    status: str = "ok"
    findings: tuple[Finding, ...] = ()
    summary: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        shown = self.findings[:FINDINGS_MAX]
        return {
            "check": self.check,
            "status": self.status,
            "findings": [asdict(f) for f in shown],
            "total": len(self.findings),
            "fixable": sum(1 for f in self.findings if f.fixable),
            "by_code": dict(Counter(f.code for f in self.findings).most_common(50)),
            "summary": self.summary or f"{len(self.findings)} findings",
            "facts": self.facts,
        }


@dataclass(frozen=True, slots=True)
class Checkout:
    """A read-only copy of a commit. `files` are its tracked files, `python` the Python ones.

    What is in it was written by strangers. A link may lead anywhere on this machine, so no link is
    ever followed out here; and a file may be called `json.py`, so no tool imports from it.
    """

    path: Path
    files: Collection[str]
    should_stop: Callable[[], bool] | None = None

    @property
    def python(self) -> list[str]:
        return [f for f in self.files if f.endswith((".py", ".pyi")) and self.is_regular(f)]

    def is_regular(self, file: str) -> bool:
        """A file of the repository itself: neither a link nor reached through one."""
        path = self.path / file
        try:
            return stat.S_ISREG(path.lstat().st_mode) and path.resolve().is_relative_to(
                self.path.resolve()
            )
        except OSError:
            return False

    def text(self, file: str) -> str | None:
        """What a small tracked file says; None when it is none, or too big to be what it seems."""
        if file not in self.files:
            return None
        try:
            handle = open_below(self.path, file)
        except OSError:
            return None
        with os.fdopen(handle, errors="replace") as opened:
            return opened.read() if os.fstat(handle).st_size <= TEXT_BYTES_MAX else None

    def toml(self, file: str) -> dict[str, Any]:
        """A TOML file as a table; {} when there is none. ValueError says why it cannot be read."""
        try:
            return tomllib.loads(self.text(file) or "")
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error

    def tool(self, module: str, *words: str, env: Mapping[str, str] | None = None) -> SandboxResult:
        """`python -m MODULE WORDS` in the checkout. `-I` keeps the checkout off the import path:
        a `ruff.py` in it would otherwise be run in ruff's place and say what it likes."""
        return self._run(["-I", "-m", module, *words], env=env)

    def program(self, source: str, *words: str, stdin: bytes = b"") -> SandboxResult:
        """A program of our own that reads what strangers wrote."""
        return self._run(["-I", "-S", "-W", "ignore", "-c", source, *words], stdin=stdin)

    def _run(
        self, words: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> SandboxResult:
        return sandbox.run(
            [sys.executable, *words],
            cwd=self.path,
            readable=[self.path],
            stdin=stdin,
            env={"NO_COLOR": "1", **(env or {})},
            timeout_seconds=SECONDS_MAX,
            output_bytes_max=OUTPUT_BYTES_MAX,
            should_stop=self.should_stop,
        )


def missing(check: str, module: str) -> Survey | None:
    """The survey to give when `module` is not installed."""
    if find_spec(module) is not None:
        return None
    return Survey(
        check, "unavailable", summary=f"{module} is not installed; install agentsys[code-tools]"
    )


def no_python(check: str) -> Survey:
    return Survey(check, "not_applicable", summary="there is no Python in this repository")


def broken(check: str, result: SandboxResult) -> Survey:
    last = (result.stderr or result.stdout).strip().splitlines()[-1:]
    why = "it took too long" if result.timed_out else "".join(last)[:300]
    if result.truncated:
        why = "it said more than can be read"
    return Survey(check, "error", summary=f"the tool failed ({result.exit_code}): {why}")


def parsed(text: str) -> Any:
    """JSON that a tool printed; None when it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
