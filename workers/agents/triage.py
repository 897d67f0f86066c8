"""Turns what the survey found into work: which packages to fix, and which not and why.

Packages are fixed at the same time, so their scopes never overlap: each file belongs to exactly one
pattern, and a pattern either covers a folder's own files (`src/*`) or all that is below a folder
(`src/pkg/**`), never both of one folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from workers.agents.base import Agent, done
from workers.contracts import Brief, Ports, Report

ROOT = "root"
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
FIXES = ("lint", "imports", "pyupgrade")  # unless others are asked for
SOURCES = ("src", "lib")  # folders of packages, not packages
PATTERN_CHARS_MAX = 200  # a scope holds 300


class TriageAgent(Agent):
    name = "triage"
    role = "planning"
    proposes = False
    description = (
        "Groups safely fixable findings by package, so that packages can be fixed apart. With no"
        " `fixes`: lint, imports, pyupgrade, and format where ruff formats the repository already."
    )
    inputs_schema: ClassVar = {
        "type": "object",
        "required": ["lint"],
        "properties": {
            "lint": {"type": ["object", "null"]},
            "packages_max": COUNT,
            "fixes": {"type": "array", "items": TEXT},
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "required": ["packages", "skipped", "summary"],
        "properties": {
            "packages": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "paths", "scope", "files", "findings", "fixes"],
                },
            },
            "skipped": {"type": "array", "items": {"type": "object", "required": ["name", "why"]}},
            "summary": TEXT,
        },
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        lint = brief.inputs.get("lint") or {}
        facts = lint.get("facts") or {}
        most = brief.inputs.get("packages_max", 8)
        wanted = Wanted.of(brief.inputs.get("fixes") or (), facts)
        groups, skipped = grouped(facts.get("fixable") or {}, wanted)
        ranked = sorted(groups, key=lambda g: (-g.findings, g.pattern))
        packages = [wanted.package(group) for group in ranked[:most]]
        why = f"only {most} packages are fixed at a time"
        skipped += [{"name": group.name, "why": why} for group in ranked[most:]]
        skipped += [
            {"name": f["path"], "why": f"line {f['line']}: {f['message']}"}
            for f in lint.get("findings") or ()
            if f["code"] == "syntax-error"
        ]
        if lint.get("status") != "ok":
            why = lint.get("summary") or "the survey of lint failed"
            skipped.append({"name": "lint", "why": why})
        summary = f"{len(packages)} packages to fix, {len(skipped)} skipped"
        return done({"packages": packages, "skipped": skipped, "summary": summary}, summary)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be fixed. `own_rules`: what the repository asks of ruff, `lint` mends."""

    fixes: tuple[str, ...]
    own_rules: bool

    @classmethod
    def of(cls, asked: Sequence[str], facts: Mapping[str, Any]) -> Wanted:
        formats = ("format",) if facts.get("formatter") == "ruff" else ()
        return cls(tuple(asked) or (*FIXES, *formats), bool(facts.get("own_rules")))

    def fix_for(self, kind: str) -> str:
        """The fix that mends findings of this kind; "" when none that is wanted does."""
        if kind in self.fixes:
            return kind
        return "lint" if self.own_rules and "lint" in self.fixes else ""

    def package(self, group: Group) -> dict[str, Any]:
        """`paths` are the files to fix; `scope` is the one pattern that holds them all."""
        chosen = [f for f in self.fixes if f in group.fixes or f == "format"]
        return {
            "name": group.name,
            "paths": sorted(group.files),
            "scope": f"repo:{group.pattern}",
            "files": len(group.files),
            "findings": group.findings,
            "fixes": chosen,
        }


@dataclass(slots=True)
class Group:
    name: str
    pattern: str
    files: set[str] = field(default_factory=set)
    fixes: set[str] = field(default_factory=set)
    findings: int = 0


def grouped(
    fixable: Mapping[str, Mapping[str, int]], wanted: Wanted
) -> tuple[list[Group], list[dict[str, str]]]:
    """The packages of the fixable files, and what cannot be named by a scope."""
    groups: dict[str, Group] = {}
    skipped = []
    for path, kinds in fixable.items():
        counts = {k: n for k, n in kinds.items() if wanted.fix_for(k)}
        if not counts:
            continue
        name, pattern = package_of(path)
        if re.search(r"[*?]", path) or len(pattern) > PATTERN_CHARS_MAX:
            skipped.append({"name": path, "why": "its path cannot be named by a scope"})
            continue
        group = groups.setdefault(pattern, Group(name, pattern))
        group.files.add(path)
        group.findings += sum(counts.values())
        group.fixes |= {wanted.fix_for(k) for k in counts}
    return list(groups.values()), skipped


def package_of(path: str) -> tuple[str, str]:
    """Name and pattern: `src/x/…` → src/x, `x/…` → x, `src/a.py` → src, a file at the top → root."""
    parts = path.split("/")
    if len(parts) == 1:
        return ROOT, "*"
    if parts[0] not in SOURCES:
        return parts[0], f"{parts[0]}/**"
    if len(parts) == 2:
        return parts[0], f"{parts[0]}/*"
    name = "/".join(parts[:2])
    return name, f"{name}/**"
