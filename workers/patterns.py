"""Which paths of a repository a scope's resource or an agent's `paths` name.

`*` and `?` stay within one folder, `**` crosses folders, and a pattern without wildcards covers the
path itself and all below it; `.` covers everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from workers.beneath import is_plain
from workers.contracts import ScopeGrant

_WILD = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def write_patterns(scopes: Iterable[ScopeGrant]) -> tuple[str, ...]:
    """What the scopes let a task write in the repository; nothing when none names it."""
    return tuple(
        scope.resource.removeprefix("repo:").lstrip("/")
        for scope in scopes
        if scope.mode == "write" and scope.resource.startswith("repo:")
    )


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether any pattern names this path; never one that leads out of the repository."""
    return is_plain(path) and any(_matcher(pattern).fullmatch(path) for pattern in patterns)


@lru_cache(maxsize=512)
def _matcher(pattern: str) -> re.Pattern[str]:
    pattern = pattern.removeprefix("./")
    if pattern in (".", ""):
        return re.compile(".*", re.DOTALL)
    if not re.search(r"[*?]", pattern):
        return re.compile(re.escape(pattern.rstrip("/")) + r"(?:/.*)?")
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(_WILD.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)
