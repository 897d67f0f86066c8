"""Looks at a repository with one tool and says what it found. Changes nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from agentsys.kernel.errors import BadInput
from workers.agents.base import Agent, done, stopper
from workers.contracts import Brief, Ports, Report
from workers.git import Repository
from workers.survey import CHECKS, Checkout, Survey, check

OUTPUT: dict[str, Any] = {
    "type": "object",
    "required": ["check", "status", "findings", "total", "fixable", "by_code", "summary", "facts"],
    "additionalProperties": False,
    "properties": {
        "check": {"enum": sorted(CHECKS)},
        "status": {"enum": ["ok", "unavailable", "not_applicable", "error"]},
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "line", "code", "message", "severity", "fixable"],
            },
        },
        "total": {"type": "integer", "minimum": 0},
        "fixable": {"type": "integer", "minimum": 0},
        "by_code": {"type": "object", "additionalProperties": {"type": "integer"}},
        "summary": {"type": "string"},
        "facts": {"type": "object"},
    },
}


class SurveyorAgent(Agent):
    name = "surveyor"
    role = "research"
    proposes = False
    description = (
        "Checks a repository with one read-only tool: lint, complexity, dead_code, secrets,"
        " dependencies or docs."
    )
    inputs_schema: ClassVar = {
        "type": "object",
        "required": ["check"],
        "properties": {"check": {"enum": sorted(CHECKS)}},
    }
    output_schema: ClassVar = OUTPUT

    def run(self, brief: Brief, ports: Ports) -> Report:
        name = brief.inputs["check"]
        if brief.repository is None:
            problem = "the goal has no repository; submit it with one, e.g. --repo PATH"
            raise BadInput(what="surveyor", problems=[problem])
        if not brief.repository.base:
            empty = Survey(name, "not_applicable", summary="the repository has no commit yet")
            return done(empty.to_json(), empty.summary)
        repository, base = Repository.open(brief.repository.path), brief.repository.base
        place = ports.workspace() / "checkout"
        repository.worktree_remove(place)
        repository.worktree_add(place, base)
        ports.progress(f"{name} on {base[:12]}")
        try:
            files = dict.fromkeys(repository.files(base))
            found = check(name, Checkout(place, files.keys(), stopper(ports)))
        finally:
            repository.worktree_remove(place)
        return done(found.to_json(), f"{name}: {found.summary}")
