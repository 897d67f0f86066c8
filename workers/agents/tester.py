"""Runs the repository's tests and reports what they said."""

from __future__ import annotations

from typing import Any, ClassVar

from agentsys.kernel.errors import BadInput
from workers.agents.base import Agent, done, stopper
from workers.contracts import ArtifactDraft, Brief, Ports, Report
from workers.git import Repository
from workers.testing import TestsResult, tests_run

COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}


class TesterAgent(Agent):
    name = "tester"
    role = "testing"
    description = (
        "Runs the repository's tests in the sandbox on a commit (default: the task's base) and "
        "reports counts and the failing tests. Failing tests are a finding, not a failed task."
    )
    inputs_schema: ClassVar = {
        "type": "object",
        "properties": {
            "command": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "at": {"type": "string"},
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "properties": {
            "status": {"enum": ["passed", "failed", "no_tests", "error", "timeout"]},
            "command": {"type": "array", "items": {"type": "string"}},
            "passed": COUNT,
            "failed": COUNT,
            "errors": COUNT,
            "skipped": COUNT,
            "failures": {"type": "array", "items": {"type": "string"}},
            "duration_seconds": {"type": "number", "minimum": 0},
            "tail": {"type": "string"},
            "commit": {"type": "string"},
        },
        "required": [
            *("status", "command", "passed", "failed", "errors", "skipped", "failures"),
            *("duration_seconds", "tail", "commit"),
        ],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        if brief.repository is None:
            problem = "the goal has no repository; submit it with one, e.g. --param repo=PATH"
            raise BadInput(what="tester", problems=[problem])
        repository = Repository.open(brief.repository.path)
        commit = _commit(repository, brief.inputs.get("at") or brief.repository.base)
        ports.progress("running the tests")
        result = tests_run(
            repository,
            commit,
            command=brief.inputs.get("command"),
            timeout_seconds=brief.limits.seconds_max,
            workspace=ports.workspace(),
            should_stop=stopper(ports),
        )
        log = ArtifactDraft("tests.log", "text/plain", result.tail.encode(), kind="log")
        output = {**result.to_json(), "commit": commit}
        return done(output, summary(result), artifacts=(log,) if result.tail else ())


def _commit(repository: Repository, given: str) -> str:
    if not given:
        return ""
    commit = repository.resolve(given)
    if not commit:
        raise BadInput(what="at", problems=[f"`{given}` is no commit of {repository.path}"])
    return commit


def summary(result: TestsResult) -> str:
    counts = ", ".join(
        f"{count} {word}"
        for word, count in (
            ("passed", result.passed),
            ("failed", result.failed),
            ("errors", result.errors),
            ("skipped", result.skipped),
        )
        if count
    )
    return f"tests: {result.status.replace('_', ' ')}" + (f" ({counts})" if counts else "")
