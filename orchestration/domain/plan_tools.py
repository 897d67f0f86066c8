"""What can be wrong with the `tools` of a task: the allow-list of what its agent may call."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from agentsys.gateway import check_schema
from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import did_you_mean
from orchestration.domain.plan import TaskDraft

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
READ_MORE = "read_more"  # every agent reads on in what it was given
FIELDS = ("name", "args", "hosts", "ask")


def tool_problems(task: TaskDraft, where: str, has: Collection[str] | None = None) -> list[str]:
    """A sentence for each problem. `has`: all that its agent may use, where that is known before
    it runs; a task narrows it."""
    if task.tools is None:
        return []
    if not task.tools:
        return [f"{where}: `tools` is empty; name a tool, or leave it out for the usual ones"]
    problems: list[str] = []
    seen: set[str] = set()
    for row in task.tools:
        grant = {"name": row} if isinstance(row, str) else row
        if not isinstance(grant, Mapping):
            problems.append(f"{where}: tool {row!r} is neither a name nor an object with a `name`")
            continue
        name = grant.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            problems.append(f"{where}: tool name {name!r} is not usable; such as read_file")
            continue
        if name in seen:
            problems.append(f"{where}: tool `{name}` is named twice; put its bounds in one entry")
        seen.add(name)
        if has is not None and name not in has and name != READ_MORE:
            problems.append(
                f"{where}: the agent `{task.agent}` has no tool `{name}`{did_you_mean(name, has)};"
                f" a task may narrow what it has ({', '.join(has) or 'none'}), not widen it"
            )
        problems += _grant_problems(grant, f"{where}: tool `{name}`")
    return problems


def _grant_problems(grant: Mapping[str, Any], where: str) -> list[str]:
    problems = [
        f"{where}: unknown field `{f}`{did_you_mean(str(f), FIELDS)}"
        for f in grant
        if f not in FIELDS
    ]
    if not isinstance(grant.get("ask", True), bool):
        problems.append(f"{where}: ask is {grant['ask']!r}; expected true or false")
    hosts = grant.get("hosts", [])
    if not isinstance(hosts, list) or not all(
        isinstance(h, str) and HOST.fullmatch(h) for h in hosts
    ):
        problems.append(
            f"{where}: hosts is {hosts!r}; expected a list such as"
            ' ["docs.example.org", "*.example.org"]'
        )
    args = grant.get("args", {})
    if not isinstance(args, Mapping):
        return [*problems, f"{where}: args is {args!r}; expected a JSON Schema of its arguments"]
    try:
        check_schema(args)
    except BadInput as error:
        problems.append(f"{where}: args is no JSON Schema of an object: {error}"[:400])
    return problems
