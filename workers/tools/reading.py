"""Tools that only read: the repository at the task's base, and memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentsys.kernel.errors import AgentsysError
from memory import services as memory
from workers.contracts import Brief
from workers.git import Repository
from workers.tools.base import Tool, ToolFailed

TEXT_MAX = 20_000
MATCHES_MAX = 100
STRING = {"type": "string"}


def tools_for(brief: Brief) -> list[Tool]:
    """What the agent of this brief may use: nothing here can change anything."""
    tools = [_recall(brief)]
    if brief.repository is not None and brief.repository.base:
        tools += _files(Repository.open(brief.repository.path), brief.repository.base)
    return tools


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _recall(brief: Brief) -> Tool:
    def call(args: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = memory.recall(brief.namespace, args["query"], k=8)
        return [{"text": m.text, "trust": m.trust, "source": m.source} for m in found]

    return Tool("recall", "Search the project's memory.", _object(query=STRING), call)


def _files(repository: Repository, commit: str) -> list[Tool]:
    def listed(args: Mapping[str, Any]) -> list[str]:
        prefix = str(args["prefix"]).removeprefix("./")
        return [f for f in repository.files(commit) if f.startswith(prefix)][:1000]

    def read(args: Mapping[str, Any]) -> str:
        try:
            return repository.read(commit, args["path"]).decode("utf-8", "replace")[:TEXT_MAX]
        except AgentsysError as error:
            raise ToolFailed(tool="read_file", reason=str(error)) from error

    def search(args: Mapping[str, Any]) -> list[str]:
        found: list[str] = []
        needle = re.compile(re.escape(str(args["text"])))
        for path in repository.files(commit):
            text = repository.read(commit, path).decode("utf-8", "replace")
            for number, line in enumerate(text.splitlines(), 1):
                if needle.search(line):
                    found.append(f"{path}:{number}: {line[:200]}")
                if len(found) >= MATCHES_MAX:
                    return found
        return found

    return [
        Tool(
            "list_files", "Files whose path begins with a prefix.", _object(prefix=STRING), listed
        ),
        Tool("read_file", "The text of a file.", _object(path=STRING), read),
        Tool("search_files", "Lines that hold a text.", _object(text=STRING), search),
    ]
