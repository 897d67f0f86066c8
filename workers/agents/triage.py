"""Turns what the survey found into work: which packages to fix, and which not and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from workers.agents.base import Agent, done
from workers.contracts import Brief, Ports, Report

ROOT = "root"
TEXT = {"type": "string"}


class TriageAgent(Agent):
    name = "triage"
    role = "planning"
    description = "Groups safely fixable findings by package, so that packages can be fixed apart."
    inputs_schema: ClassVar = {
        "type": "object",
        "required": ["lint"],
        "properties": {
            "lint": {"type": ["object", "null"]},
            "packages_max": {"type": "integer", "minimum": 0},
            "fixes": {"type": "array", "items": TEXT},
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "required": ["packages", "skipped", "summary"],
        "properties": {
            "packages": {
                "type": "array",
                "items": {"type": "object", "required": ["name", "paths", "scope", "fixes"]},
            },
            "skipped": {"type": "array", "items": {"type": "object", "required": ["name", "why"]}},
            "summary": TEXT,
        },
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        lint = brief.inputs.get("lint") or {}
        most = brief.inputs.get("packages_max", 8)
        fixes = list(brief.inputs.get("fixes") or ["lint", "imports"])
        found = lint.get("findings") or []
        groups = _groups(found)
        ranked = sorted(groups, key=lambda name: (-groups[name]["findings"], name))
        packages = [_package(name, groups[name], fixes) for name in ranked[:most]]
        skipped = [
            {"name": name, "why": f"only {most} packages are fixed at a time"}
            for name in ranked[most:]
        ]
        skipped += [
            {"name": f["path"], "why": f"line {f['line']}: {f['message']}"}
            for f in found
            if f["code"] == "syntax-error"
        ]
        if lint.get("status") not in (None, "ok"):
            skipped.append({"name": "lint", "why": lint.get("summary", "")})
        summary = f"{len(packages)} packages to fix, {len(skipped)} skipped"
        return done({"packages": packages, "skipped": skipped, "summary": summary}, summary)


def _groups(findings: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """package → its files and how many safely fixable findings they have."""
    groups: dict[str, dict[str, Any]] = defaultdict(lambda: {"files": set(), "findings": 0})
    broken = {f["path"] for f in findings if f["code"] == "syntax-error"}
    for finding in findings:
        if finding["fixable"] and finding["path"] not in broken:
            group = groups[package_of(finding["path"])]
            group["files"].add(finding["path"])
            group["findings"] += 1
    return dict(groups)


def package_of(path: str) -> str:
    """`src/x/…` → src/x, `x/…` → x, a file at the top → root."""
    parts = path.split("/")
    if len(parts) == 1:
        return ROOT
    if parts[0] in ("src", "lib") and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0]


def _package(name: str, group: Mapping[str, Any], fixes: Sequence[str]) -> dict[str, Any]:
    """`paths` are the files to fix; `scope` is the one pattern that holds them all."""
    return {
        "name": name,
        "paths": sorted(group["files"]),
        "scope": "repo:*" if name == ROOT else f"repo:{name}/**",
        "files": len(group["files"]),
        "findings": group["findings"],
        "fixes": list(fixes),
    }
