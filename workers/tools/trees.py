"""Tools around the working tree: git's view of it, commands in the sandbox, the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers import sandbox
from workers.contracts import Risk
from workers.policy import Kind
from workers.testing import test_command, tests_run
from workers.tools.base import Changed, Tool, arguments
from workers.tools.bench import Bench

COMMAND_SECONDS = 120
COMMAND_SECONDS_MAX = 1800
OUTPUT_BYTES_MAX = 1_000_000
LOG_MAX = 100
STRING = {"type": "string"}


def git_tools(bench: Bench) -> list[Tool]:
    """Git, as far as it reads; and `git_commit`, which names the change."""

    def diff(args: Mapping[str, Any]) -> str:
        return (
            bench.repository.diff(bench.base, bench.state, args.get("paths", ()))
            or "(no difference)"
        )

    def log(args: Mapping[str, Any]) -> str:
        return bench.repository.log(bench.base, int(args.get("count", 20)), args.get("path", ""))

    def commit(args: Mapping[str, Any]) -> Changed:
        sha = bench.committed(args["message"])
        return Changed(f"committed as {sha[:12]}" if sha else "there is nothing to commit", sha)

    def committed(args: Mapping[str, Any], state: str) -> None:
        bench.recorded(state)
        bench.title = args["message"]

    paths = {"type": "array", "items": STRING, "maxItems": 100}
    count = {"type": "integer", "minimum": 1, "maximum": LOG_MAX}
    origin = "the repository"
    message = {"type": "string", "minLength": 1, "maxLength": 2000}
    return [
        Tool(
            "git_status",
            "The files changed so far.",
            arguments({}),
            lambda _: bench.repository.changed_paths(bench.base, bench.state),
            origin=origin,
        ),
        Tool(
            "git_diff",
            "What is changed so far, as a unified diff.",
            arguments({}, paths=paths),
            diff,
            origin=origin,
        ),
        Tool(
            "git_log",
            "The latest commits before this task, of one path if it is given.",
            arguments({}, count=count, path=STRING),
            log,
            origin=origin,
        ),
        Tool(
            "git_commit",
            "Commit all changes so far as one; its message is the title of the proposal. Later"
            " changes become part of the same proposal.",
            arguments({"message": message}),
            commit,
            Risk.WRITE,
            origin=origin,
            replayed=committed,
        ),
    ]


def running_tools(bench: Bench) -> list[Tool]:
    """Programs in the sandbox, without network. What they change outside of the write scopes is
    put back; a task without any cannot change a file."""

    def run(args: Mapping[str, Any]) -> Changed:
        seconds = float(args.get("timeout_seconds", COMMAND_SECONDS))
        with bench.changing() as tree:
            ended = sandbox.run(
                args["argv"],
                cwd=tree,
                readable=[tree],
                writable=[tree] if bench.patterns else [],
                timeout_seconds=seconds,
                output_bytes_max=OUTPUT_BYTES_MAX,
                should_stop=bench.should_stop(),
            )
            back = bench.put_back_outside() if bench.patterns else []
            whose = [why for path in back if (why := bench.whose(path))]
            return bench.changed(_shown(ended, back, whose))

    def tests(args: Mapping[str, Any]) -> dict[str, Any]:
        found = tests_run(
            bench.repository,
            bench.state,
            command=test_command(bench.repository, bench.base) or None,
            timeout_seconds=float(args.get("timeout_seconds", COMMAND_SECONDS_MAX)),
            workspace=bench.workspace(),
            should_stop=bench.should_stop(),
        )
        return found.to_json()

    argv = {"type": "array", "items": STRING, "minItems": 1, "maxItems": 200}
    seconds = {"type": "number", "exclusiveMinimum": 0, "maximum": COMMAND_SECONDS_MAX}
    return [
        Tool(
            "run_command",
            "Run a program by its words (no shell) in the working tree, in a sandbox without"
            " network.",
            arguments({"argv": argv}, timeout_seconds=seconds),
            run,
            Risk.WRITE,
            kinds={"argv": Kind.COMMAND},
            origin="a program in the sandbox",
            replayed=lambda _, state: bench.recorded(state),
        ),
        Tool(
            "run_tests",
            "Run the repository's own tests on the files as they are now.",
            arguments({}, timeout_seconds=seconds),
            tests,
            origin="the tests",
        ),
    ]


def _shown(ended: sandbox.SandboxResult, put_back: list[str], whose: list[str]) -> str:
    """`whose`: sentences about those paths that others own."""
    lines = [f"exit code {ended.exit_code}, {ended.level}"]
    if ended.killed:
        lines.append(f"it was ended: {ended.killed}")
    if put_back:
        named = ", ".join(put_back[:20])
        lines.append(f"changed where this task may not write, and put back: {named}")
        lines += whose[:5]
    for name, text in (("stdout", ended.stdout), ("stderr", ended.stderr)):
        if text.strip():
            lines.append(f"{name}:\n{text}")
    return "\n".join(lines)
