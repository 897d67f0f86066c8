"""Whether a path in a repository may be written under a task's scopes, and never mind the scopes.

A scope's resource is `repo:GLOB`, relative to the root: `*` and `?` stay within one folder, `**`
crosses folders, and a pattern without wildcards covers the path itself and all below it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from verification.domain.injection import hidden_characters

GIT_READS = re.compile(r"(?i)^(?:.*/)?(?:\.gitattributes|\.gitmodules|\.githooks/.*|\.husky/.*)$")
GIT_FOLDER = re.compile(r"(?i)^(?:\.git|git~\d+)(?:[\s.]*|:.*)$")  # also as Windows takes it


def write_patterns(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The globs that the task may write, without `repo:`."""
    return tuple(
        str(scope["resource"]).removeprefix("repo:").lstrip("/")
        for scope in definition.get("scopes") or ()
        if scope.get("mode", "write") == "write" and str(scope["resource"]).startswith("repo:")
    )


def path_fault(path: str, patterns: Iterable[str]) -> str | None:
    """Why `path` must not be written; None when it may be."""
    if fault := _malformed(path):
        return fault
    patterns = tuple(patterns)
    if GIT_READS.match(path) and path not in patterns:
        return "steers what git runs; a scope must name this very path"
    if not any(_matcher(pattern).fullmatch(path) for pattern in patterns):
        declared = ", ".join(f"repo:{p}" for p in patterns) or "none"
        return f"is outside the task's write scopes ({declared})"
    return None


def _malformed(path: str) -> str | None:
    parts = path.split("/")
    if not path or path.startswith(("/", "~")) or re.match(r"^[A-Za-z]:", path) or "\\" in path:
        return "is not a relative path with forward slashes"
    if ".." in parts or "." in parts or "" in parts:
        return "is not in its plain form (`..`, `.` or an empty part)"
    if hidden_characters(path) or any(unicodedata.category(c) == "Cc" for c in path):
        return "has control or invisible characters"
    if any(GIT_FOLDER.match(_as_macs_see_it(part)) for part in parts):
        return "reaches into git's own folder"
    return None


def _as_macs_see_it(part: str) -> str:
    """Some file systems ignore characters that only steer how others are joined or shown."""
    visible = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", visible)


def matches(pattern: str, path: str) -> bool:
    return _matcher(pattern).fullmatch(path) is not None


@lru_cache(maxsize=512)
def _matcher(pattern: str) -> re.Pattern[str]:
    if not re.search(r"[*?]", pattern):
        return re.compile(re.escape(pattern.rstrip("/")) + r"(?:/.*)?")
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(_WILD.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)


_WILD = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
