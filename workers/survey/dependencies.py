"""Declared dependencies: unbounded, doubled, unreadable. Nothing is asked of any network."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from workers.survey.findings import Checkout, Finding, Survey

_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*([^;#]*)")
_FILES = re.compile(r"(^|/)requirements[^/]*\.(txt|in)$")


def survey(checkout: Checkout) -> Survey:
    declared: list[tuple[str, int, str]] = []
    found: list[Finding] = []
    for path in checkout.files:
        if path == "pyproject.toml":
            declared += _pyproject(checkout.path, path, found)
        elif _FILES.search(path):
            declared += _requirements(checkout.path, path)
    if not declared and not found:
        return Survey(
            "dependencies", "not_applicable", summary="no declared dependencies were found"
        )
    seen: dict[tuple[str, str], int] = {}
    for path, line, text in declared:
        match = _NAME.match(text)
        if match is None:
            continue
        name, bound = re.sub(r"[-_.]+", "-", match[1]).lower(), match[3].strip()
        if (path, name) in seen:
            found.append(Finding(path, line, "doubled", f"{name} is declared twice"))
        seen[path, name] = line
        if not bound and "@" not in text:
            found.append(Finding(path, line, "unbounded", f"{name} has no version bound", "info"))
    return Survey(
        "dependencies",
        findings=tuple(found),
        summary=f"{len(declared)} declared, {len(found)} findings",
        facts={"declared": len(declared)},
    )


def _pyproject(root: Path, path: str, found: list[Finding]) -> list[tuple[str, int, str]]:
    text = (root / path).read_text(errors="replace")
    try:
        project = tomllib.loads(text).get("project") or {}
    except tomllib.TOMLDecodeError as error:
        found.append(Finding(path, 0, "unreadable", f"not TOML: {error}", "error"))
        return []
    groups = [
        project.get("dependencies") or [],
        *(project.get("optional-dependencies") or {}).values(),
    ]
    rows = [d for d in groups[0] if isinstance(d, str)]
    return [(path, _line_of(text, d), d) for d in rows]


def _requirements(root: Path, path: str) -> list[tuple[str, int, str]]:
    lines = (root / path).read_text(errors="replace").splitlines()
    return [
        (path, n, line)
        for n, line in enumerate(lines, 1)
        if line.strip()
        and not line.lstrip().startswith(("#", "-"))
        and not line.startswith((" ", "\t"))
    ]


def _line_of(text: str, needle: str) -> int:
    at = text.find(needle)
    return text.count("\n", 0, at) + 1 if at >= 0 else 0
