"""Gathers what its dependencies produced: the end of a fan-out."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from workers.agents.base import Agent, done
from workers.contracts import Brief, Ports, Report

_NUMBER = re.compile(r"(\d+)")


class CollectAgent(Agent):
    name = "collect"
    role = "operations"
    proposes = False
    description = (
        "Collects the outputs of its dependencies in key order; failed ones are listed by key."
    )
    lane = "cheap"
    output_schema: ClassVar = {
        "type": "object",
        "properties": {
            "items": {"type": "array"},
            "count": {"type": "integer", "minimum": 0},
            "failed": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["items", "count", "failed"],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        keys = sorted(brief.needs, key=_natural)
        items = [brief.needs[key] for key in keys if brief.needs[key] is not None]
        missing = [key for key in keys if brief.needs[key] is None]
        summary = f"{len(items)} collected" + (f", {len(missing)} failed" if missing else "")
        return done({"items": items, "count": len(items), "failed": missing}, summary)


def _natural(key: str) -> list[Any]:
    """`fix-2` before `fix-10`: fan-out children are numbered. Odd places hold the numbers."""
    return [int(part) if i % 2 else part for i, part in enumerate(_NUMBER.split(key))]
