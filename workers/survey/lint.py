"""Lint findings by ruff, with the repository's own rules where it has some."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from workers.fixes import RULES, pyupgrade_target
from workers.survey.findings import Checkout, Finding, Survey, broken, missing, no_python, parsed

PYTHON_MINOR_MIN = 7  # the oldest that ruff knows
_FLOOR = re.compile(r"py3(\d+)")
CONFIGS = ("ruff.toml", ".ruff.toml")
FIXABLE_FILES_MAX = 5000
SYNTAX = "syntax-error"
BUILT_IN = (*RULES, "I", "UP")


def survey(checkout: Checkout) -> Survey:
    if (absent := missing("lint", "ruff")) is not None:
        return absent
    if not checkout.python:
        return no_python("lint")
    words = ["check", "--output-format", "json", "--no-cache", "--exit-zero"]
    own = _own_rules(checkout)
    if not own:
        words += [
            "--isolated",
            "--select",
            ",".join(BUILT_IN),
            "--target-version",
            _oldest(checkout),
        ]
    result = checkout.tool("ruff", *words, ".")
    rows = parsed(result.stdout)
    if result.exit_code != 0 or not isinstance(rows, list):
        return broken("lint", result)
    root = f"{checkout.path.resolve()}/"
    found = tuple(
        Finding(
            path=row["filename"].removeprefix(root),
            line=(row.get("location") or {}).get("row", 0),
            code=_code(row),
            message=row["message"][:300],
            severity="error" if _code(row) == SYNTAX else "warning",
            fixable=(row.get("fix") or {}).get("applicability") == "safe",
        )
        for row in rows
    )
    fixable = sum(1 for f in found if f.fixable)
    rules = "the repository's own rules" if own else "default rules"
    return Survey(
        "lint",
        findings=found,
        summary=f"{len(found)} findings, {fixable} of them safely fixable ({rules})",
        facts={
            "files": len(checkout.python),
            "own_rules": own,
            "formatter": _formatter(checkout),
            "fixable": fixable_files(found),
        },
    )


def _code(row: Mapping[str, Any]) -> str:
    code = row.get("code")
    return SYNTAX if code in (None, "invalid-syntax") else str(code)


def fixable_files(found: Sequence[Finding]) -> dict[str, dict[str, int]]:
    """path → how many findings each kind of fix would mend, of files that can be parsed.

    Complete, where the list of findings is cut.
    """
    broken = {f.path for f in found if f.code == SYNTAX}
    files: dict[str, dict[str, int]] = {}
    for finding in found:
        if finding.fixable and finding.path not in broken:
            counts = files.setdefault(finding.path, {})
            fix = _fix_of(finding.code)
            counts[fix] = counts.get(fix, 0) + 1
    return dict(sorted(files.items())[:FIXABLE_FILES_MAX])


def _fix_of(code: str) -> str:
    if code.startswith("UP"):
        return "pyupgrade"
    return "imports" if code == "I001" else "lint"


def _settings(checkout: Checkout) -> dict[str, Any]:
    """The tables [tool.*] of pyproject.toml; {} when it cannot be read."""
    try:
        tools = checkout.toml("pyproject.toml").get("tool")
    except ValueError:
        return {}
    return tools if isinstance(tools, dict) else {}


def _own_rules(checkout: Checkout) -> bool:
    return "ruff" in _settings(checkout) or any(checkout.is_regular(name) for name in CONFIGS)


def _oldest(checkout: Checkout) -> str:
    """The oldest Python the project says it runs on, as ruff writes it; ruff's oldest if unsaid."""
    try:
        found = _FLOOR.search(pyupgrade_target(checkout.path))
    except RecursionError:  # a pyproject.toml made to be unreadable
        found = None
    return f"py3{max(PYTHON_MINOR_MIN, int(found[1])) if found else PYTHON_MINOR_MIN}"


def _formatter(checkout: Checkout) -> str:
    """Who formats this repository, as far as it says so: ruff, black or nobody ("")."""
    tools = _settings(checkout)
    ruff = tools.get("ruff")
    if isinstance(ruff, dict) and "format" in ruff:
        return "ruff"
    if any("[format]" in (checkout.text(name) or "") for name in CONFIGS):
        return "ruff"
    return "black" if "black" in tools else ""
