"""Functions that are hard to follow, by lizard."""

from __future__ import annotations

import csv
import io

from workers.survey.findings import Checkout, Finding, Survey, broken, missing, no_python

COMPLEXITY_MAX = 10
LENGTH_MAX = 80


def survey(checkout: Checkout) -> Survey:
    if (absent := missing("complexity", "lizard")) is not None:
        return absent
    if not checkout.python:
        return no_python("complexity")
    result = checkout.tool("lizard", "--csv", "-l", "python", ".")
    if result.exit_code not in (0, 1) or result.timed_out:
        return broken("complexity", result)
    rows = [row for row in csv.reader(io.StringIO(result.stdout)) if len(row) >= 10]
    found = tuple(f for row in rows for f in _findings(row))
    worst = max((int(row[1]) for row in rows), default=0)
    return Survey(
        "complexity",
        findings=tuple(sorted(found, key=lambda f: (f.path, f.line))),
        summary=f"{len(rows)} functions, {len(found)} too complex or too long; the worst has {worst}",
        facts={"functions": len(rows), "worst": worst},
    )


def _findings(row: list[str]) -> list[Finding]:
    lines, complexity = int(row[0]), int(row[1])
    path, name, start = row[6].removeprefix("./"), row[7], int(row[9])
    found = []
    if complexity > COMPLEXITY_MAX:
        found.append(Finding(path, start, "complexity", f"{name} has complexity {complexity}"))
    if lines > LENGTH_MAX:
        found.append(Finding(path, start, "length", f"{name} has {lines} lines", "info"))
    return found
