"""What a check looks at, and what it says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workers import sandbox

FINDINGS_MAX = 500
SECONDS_MAX = 120.0


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
    """A read-only copy of a commit. `files` are its tracked files, `python` the Python ones."""

    path: Path
    files: Sequence[str]

    @property
    def python(self) -> list[str]:
        return [f for f in self.files if f.endswith(".py") and (self.path / f).is_file()
                and not (self.path / f).is_symlink()]  # fmt: skip

    def tool(
        self, module: str, *words: str, stdin: bytes = b"", output_bytes_max: int = 20_000_000
    ) -> sandbox.SandboxResult:
        """`python -m MODULE WORDS` in the sandbox, in the checkout, which it cannot write."""
        return sandbox.run(
            [sys.executable, "-m", module, *words],
            cwd=self.path,
            readable=[self.path],
            stdin=stdin,
            timeout_seconds=SECONDS_MAX,
            output_bytes_max=output_bytes_max,
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


def broken(check: str, result: sandbox.SandboxResult) -> Survey:
    last = (result.stderr or result.stdout).strip().splitlines()[-1:]
    why = "it took too long" if result.timed_out else "".join(last)[:300]
    return Survey(check, "error", summary=f"the tool failed ({result.exit_code}): {why}")


def parsed(text: str) -> Any:
    """JSON that a tool printed; None when it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
