"""Runs one command in the sandbox and reports how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from agentsys.kernel.errors import BadInput
from workers import sandbox
from workers.agents.base import Agent, done, failed, stopper
from workers.contracts import Brief, FailureKind, Ports, Report
from workers.git import Repository

TEXT = {"type": "string"}


class CommandAgent(Agent):
    name = "command"
    role = "operations"
    proposes = False
    description = (
        "Runs one argv (no shell) in the sandbox, without network: in a checkout of the repository "
        "when the task has one, which it can read but not write, else in an empty folder."
    )
    inputs_schema: ClassVar = {
        "type": "object",
        "properties": {
            "argv": {"type": "array", "items": TEXT, "minItems": 1},
            "cwd": TEXT,
            "stdin": TEXT,
            "env": {"type": "object", "additionalProperties": TEXT},
            "allow_failure": {"type": "boolean"},
        },
        "required": ["argv"],
    }
    output_schema: ClassVar = {
        "type": "object",
        "properties": {
            "exit_code": {"type": "integer"},
            "stdout": TEXT,
            "stderr": TEXT,
            "duration_seconds": {"type": "number", "minimum": 0},
            "truncated": {"type": "boolean"},
            "timed_out": {"type": "boolean"},
        },
        "required": ["exit_code", "stdout", "stderr", "duration_seconds", "truncated", "timed_out"],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        place, writable = _place(brief, ports)
        inputs = brief.inputs
        ended = sandbox.run(
            inputs["argv"],
            cwd=_inside(place, inputs.get("cwd", "")),
            writable=[place] if writable else [],
            readable=[place],
            env=inputs.get("env", {}),
            stdin=inputs.get("stdin", "").encode(),
            timeout_seconds=brief.limits.seconds_max,
            output_bytes_max=max(1000, brief.limits.output_bytes_max // 4),
            should_stop=stopper(ports),
        )
        return _report(inputs, ended)


def _place(brief: Brief, ports: Ports) -> tuple[Path, bool]:
    """The folder to run in, and whether the command may write there."""
    workspace = ports.workspace()
    if brief.repository is None:
        return workspace, True
    repository = Repository.open(brief.repository.path)
    return repository.worktree_add(workspace / "checkout", brief.repository.base), False


def _inside(place: Path, relative: str) -> Path:
    try:
        folder = (place / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # NUL, a circle of links, over-long
        raise BadInput(what="cwd", problems=[f"{relative[:200]!r}: {error}"]) from error
    if not folder.is_relative_to(place.resolve()):
        raise BadInput(what="cwd", problems=[f"`{relative}` leads out of the task's folder"])
    return folder


def _report(inputs: Mapping[str, Any], ended: sandbox.SandboxResult) -> Report:
    output = {
        "exit_code": ended.exit_code,
        "stdout": ended.stdout,
        "stderr": ended.stderr,
        "duration_seconds": ended.duration_seconds,
        "truncated": ended.truncated,
        "timed_out": ended.timed_out,
    }
    command = " ".join(inputs["argv"])[:120]
    if ended.exit_code == 0 or inputs.get("allow_failure"):
        return done(output, f"`{command}` ended with {ended.exit_code}")
    if ended.timed_out:
        message = f"`{command}` was ended after {ended.duration_seconds:.0f} s, its time limit"
        return failed(FailureKind.TIMEOUT, message, output=output)
    last = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
    said = f": {last[0][:500]}" if last else ""
    message = f"`{command}` ended with exit code {ended.exit_code}{said}"
    return failed(FailureKind.BAD_OUTPUT, message, output=output)
