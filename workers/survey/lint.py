"""Lint findings by ruff, with the repository's own rules where it has some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.fixes import RULES
from workers.survey.findings import Checkout, Finding, Survey, broken, missing, no_python, parsed

CONFIGS = ("ruff.toml", ".ruff.toml")
SYNTAX = "syntax-error"
BUILT_IN = (*RULES, "I", "UP")


def survey(checkout: Checkout) -> Survey:
    if (absent := missing("lint", "ruff")) is not None:
        return absent
    if not checkout.python:
        return no_python("lint")
    words = ["check", "--output-format", "json", "--no-cache", "--exit-zero"]
    own = _configured(checkout)
    if not own:
        words += ["--isolated", "--select", ",".join(BUILT_IN)]
    result = checkout.tool("ruff", *words, ".")
    rows = parsed(result.stdout)
    if result.exit_code != 0 or not isinstance(rows, list):
        return broken("lint", result)
    found = tuple(
        Finding(
            path=row["filename"].removeprefix(f"{checkout.path}/"),
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
        facts={"files": len(checkout.python), "own_rules": own},
    )


def _code(row: Mapping[str, Any]) -> str:
    code = row.get("code")
    return SYNTAX if code in (None, "invalid-syntax") else str(code)


def _configured(checkout: Checkout) -> bool:
    if any((checkout.path / name).is_file() for name in CONFIGS):
        return True
    project = checkout.path / "pyproject.toml"
    return project.is_file() and "[tool.ruff" in project.read_text(errors="replace")
