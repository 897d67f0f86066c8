"""Declared dependencies: unbounded, doubled, unreadable. Nothing is asked of any network."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from workers.survey.findings import Checkout, Finding, Survey

_FILES = re.compile(r"(^|/)requirements([^/]*|/[^/]+)\.(txt|in)$")
_COMMENT = re.compile(r"(^|\s)#.*$")
DECLARED_MAX = 1000  # of one file; nobody writes more by hand
LOWER = (">=", ">", "==", "~=", "===")


@dataclass(frozen=True, slots=True)
class Declared:
    """A line that asks for a package. `group`: what is installed together."""

    path: str
    line: int
    group: str
    text: str


def survey(checkout: Checkout) -> Survey:
    declared: list[Declared] = []
    found: list[Finding] = []
    for path in checkout.files:
        try:
            declared += islice(_declared(checkout, path), DECLARED_MAX)
        except (ValueError, configparser.Error) as error:
            said = " ".join(str(error).split())[:200]
            found.append(Finding(path, 0, "unreadable", f"cannot be read: {said}", "error"))
    if not declared and not found:
        return Survey(
            "dependencies", "not_applicable", summary="no declared dependencies were found"
        )
    found += _findings(declared)
    return Survey(
        "dependencies",
        findings=tuple(found),
        summary=f"{len(declared)} declared, {len(found)} findings",
        facts={"declared": len(declared)},
    )


def _declared(checkout: Checkout, path: str) -> Iterator[Declared]:
    if path == "pyproject.toml":
        yield from _pyproject(checkout, path)
    elif path == "setup.cfg":
        yield from _setup_cfg(checkout, path)
    elif _FILES.search(path):
        yield from _requirements(checkout, path)


def _findings(declared: list[Declared]) -> Iterator[Finding]:
    seen: dict[tuple[str, ...], int] = {}
    for row in declared:
        try:
            asked = Requirement(row.text)
        except InvalidRequirement:
            yield Finding(row.path, row.line, "unreadable", "is no requirement of the usual form")
            continue
        name = canonicalize_name(asked.name)
        key = (row.path, row.group, name, str(asked.marker or ""))
        if key in seen:
            before = f" (line {seen[key]})" if seen[key] else ""
            yield Finding(row.path, row.line, "doubled", f"{name} is declared twice{before}")
        seen.setdefault(key, row.line)
        if asked.url:
            continue
        if not asked.specifier:
            yield Finding(row.path, row.line, "unbounded", f"{name} has no version bound", "info")
        elif not any(bound.operator in LOWER for bound in asked.specifier):
            message = f"{name} has no lower bound: {asked.specifier}"
            yield Finding(row.path, row.line, "no-lower-bound", message, "info")


def _pyproject(checkout: Checkout, path: str) -> Iterator[Declared]:
    text, document = checkout.text(path) or "", checkout.toml(path)
    project = _table(document.get("project"))
    groups = {"": project.get("dependencies")}
    groups |= {f"[{k}]": v for k, v in _table(project.get("optional-dependencies")).items()}
    groups |= {f"({k})": v for k, v in _table(document.get("dependency-groups")).items()}
    for group, rows in groups.items():
        for asked in rows if isinstance(rows, list) else ():
            if isinstance(asked, str):
                yield Declared(path, _line_of(text, asked), group, asked)


def _setup_cfg(checkout: Checkout, path: str) -> Iterator[Declared]:
    text = checkout.text(path) or ""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    groups = {"": parser.get("options", "install_requires", fallback="")}
    if parser.has_section("options.extras_require"):
        groups |= {f"[{k}]": v for k, v in parser.items("options.extras_require")}
    for group, rows in groups.items():
        for row in rows.splitlines():
            if asked := _COMMENT.sub("", row).strip():
                yield Declared(path, _line_of(text, asked), group, asked)


def _requirements(checkout: Checkout, path: str) -> Iterator[Declared]:
    for n, row in enumerate((checkout.text(path) or "").splitlines(), 1):
        asked = _COMMENT.sub("", row).split(" --")[0].rstrip(" \\")
        if asked.strip() and not row.startswith((" ", "\t", "-", ".", "/", "git+", "http")):
            yield Declared(path, n, "", asked.strip())


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _line_of(text: str, asked: str) -> int:
    """The first line on which `asked` stands by itself or in quotes; 0 when there is none."""
    found = re.search(rf"""(?m)(?:["']|^[ \t]*){re.escape(asked)}(?:["']|[ \t]*(?:#.*)?$)""", text)
    return text.count("\n", 0, found.end()) + 1 if found else 0
