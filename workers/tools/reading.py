"""Tools that only read: the repository at the task's base, and memory.

Files are read from the commit, not from a folder, so that nothing outside of the repository can be
reached and no link is followed. A task with `read` scopes sees only what they and its `write`
scopes name; a task without sees the whole commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from agentsys.kernel.errors import BadInput
from memory import services as memory
from workers.contracts import Brief, ScopeGrant
from workers.errors import GitFailed
from workers.git import Repository
from workers.git.searching import Pattern
from workers.patterns import matches
from workers.tools.base import Tool, ToolFailed, arguments

LINES_MAX = 400
TEXT_MAX = 20_000
LISTED_MAX = 1_000
MATCHES_MAX = 100
FILE_BYTES_MAX = 1_000_000  # larger ones are not searched
SEARCH_SECONDS_MAX = 20.0
STRING = {"type": "string"}
COUNT = {"type": "integer", "minimum": 1}
FLAG = {"type": "boolean"}


def tools_for(brief: Brief) -> list[Tool]:
    """What the agent of this brief may use: nothing here can change anything."""
    tools = [recall_tool(brief)]
    if brief.repository is not None and brief.repository.base:
        repository = Repository.open(brief.repository.path)
        checkout = Checkout(repository, brief.repository.base, brief.scopes)
        tools += reading_tools(lambda: checkout)
    return tools


class Checkout:
    """The files of one commit that a task may see."""

    def __init__(
        self, repository: Repository, commit: str, scopes: tuple[ScopeGrant, ...] = ()
    ) -> None:
        self._repository = repository
        self._commit = commit
        named = [s for s in scopes if s.resource.startswith("repo:")]
        self._patterns = tuple(s.resource.removeprefix("repo:").lstrip("/") for s in named)
        self._narrow = any(s.mode == "read" for s in named)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        found = self._repository.files(self._commit)
        return tuple(p for p in found if not self._narrow or matches(p, self._patterns))

    def text(self, path: str) -> str:
        """ToolFailed when the task cannot see such a file."""
        if path not in self._known:
            raise ToolFailed(tool="read_file", reason=f"there is no file `{path}` to be seen")
        content = self._repository.read(self._commit, path)
        if b"\0" in content[:8000]:
            raise ToolFailed(tool="read_file", reason=f"`{path}` is binary, {len(content)} bytes")
        return content.decode("utf-8", "replace")

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.paths)

    def listed(self, args: Mapping[str, Any]) -> list[str]:
        prefix = str(args.get("prefix", "")).removeprefix("./")
        found = [p for p in self.paths if p.startswith(prefix)]
        more = [f"({len(found) - LISTED_MAX} more)"] if len(found) > LISTED_MAX else []
        return found[:LISTED_MAX] + more

    def read(self, args: Mapping[str, Any]) -> str:
        path = str(args["path"]).removeprefix("./")
        lines = self.text(path).splitlines(keepends=True)
        first = int(args.get("line", 1))
        shown = "".join(lines[first - 1 : first - 1 + int(args.get("lines", LINES_MAX))])
        last = first - 1 + shown[:TEXT_MAX].count("\n")
        return f"{path}, lines {first} to {last} of {len(lines)}\n{shown[:TEXT_MAX]}"

    def search(self, args: Mapping[str, Any]) -> list[str]:
        pattern = _pattern(args)
        prefix, glob = str(args.get("prefix", "")).removeprefix("./"), str(args.get("glob", ""))
        wanted = [
            path
            for path in self._found_in(pattern)
            if path in self._known and path.startswith(prefix) and _named(path, glob)
        ]
        found: list[str] = []
        ends = time.monotonic() + SEARCH_SECONDS_MAX
        for number, path in enumerate(wanted):
            if len(found) >= MATCHES_MAX or time.monotonic() > ends:
                return [*found, f"(stopped after {number} of {len(wanted)} files that have it)"]
            found += self._lines(path, pattern, MATCHES_MAX - len(found))
        return found

    def _found_in(self, pattern: Pattern) -> list[str]:
        try:
            return self._repository.files_with(self._commit, pattern)
        except (BadInput, GitFailed) as error:
            raise ToolFailed(tool="search_files", reason=str(error)) from error

    def _lines(self, path: str, pattern: Pattern, most: int) -> list[str]:
        if self._repository.size_of(self._commit, path) > FILE_BYTES_MAX:
            return [f"{path}: has it, and is too large to be shown"]
        lines = self._repository.lines_with(self._commit, path, pattern, most)
        return [f"{path}:{number}: {line[:200]}" for number, line in lines]


def _pattern(args: Mapping[str, Any]) -> Pattern:
    text = str(args["text"])
    if not text.strip():
        raise ToolFailed(tool="search_files", reason="the text to look for is empty")
    if "\n" in text or "\0" in text:
        raise ToolFailed(tool="search_files", reason="what to look for has to be one line of text")
    return Pattern(text, bool(args.get("regex")), bool(args.get("ignore_case")))


def _named(path: str, glob: str) -> bool:
    """`*.py` is any such file, as with other tools; with a slash it begins at the top."""
    return not glob or matches(path, (glob if "/" in glob else f"**/{glob}",))


def recall_tool(brief: Brief) -> Tool:
    def call(args: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = memory.recall(
            brief.namespace, args["query"], k=8, run=f"attempt-{brief.attempt_id}"
        )
        return [{"text": m.text, "trust": m.trust, "source": m.source} for m in found]

    return Tool(
        "recall",
        "Search the project's memory.",
        arguments({"query": STRING}),
        call,
        origin="memory",
    )


def reading_tools(checkout: Callable[[], Checkout]) -> list[Tool]:
    """On the commit that `checkout` gives at each call."""
    origin = "the repository"
    return [
        Tool(
            "list_files",
            "Paths of the repository's files; `prefix` narrows them.",
            arguments({}, prefix=STRING),
            lambda args: checkout().listed(args),
            origin=origin,
        ),
        Tool(
            "read_file",
            f"A file's text from line `line` on, at most {LINES_MAX} lines at once.",
            arguments({"path": STRING}, line=COUNT, lines={**COUNT, "maximum": LINES_MAX}),
            lambda args: checkout().read(args),
            origin=origin,
        ),
        Tool(
            "search_files",
            "Lines that hold exactly this text, or what a Perl regular expression matches (`regex`)."
            " `glob` narrows the files, such as `*.py` or `src/**/*.py`, as does `prefix`.",
            arguments({"text": STRING}, prefix=STRING, glob=STRING, regex=FLAG, ignore_case=FLAG),
            lambda args: checkout().search(args),
            origin=origin,
        ),
    ]
