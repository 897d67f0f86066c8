"""Which paths of a repository a scope's resource or an agent's `paths` name.

`*` and `?` stay within one folder, `**` crosses folders, and a pattern without wildcards covers the
path itself and all below it; `.` covers everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from workers.beneath import is_plain
from workers.contracts import Owner, ScopeGrant

OWNED = (
    "`{path}` belongs to {o.role}, who owns {o.resource}: leave it as it is, and propose that part of"
    " the work as a task for {o.role} with `add_task`, or hand this task back"
)
_WILD = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def write_patterns(scopes: Iterable[ScopeGrant]) -> tuple[str, ...]:
    """What the scopes let a task write in the repository; nothing when none names it."""
    return tuple(
        scope.resource.removeprefix("repo:").lstrip("/")
        for scope in scopes
        if scope.mode == "write" and scope.resource.startswith("repo:")
    )


def owned_by_others(path: str, owners: Iterable[Owner]) -> str:
    """Why a task may not write `path` even within its scopes: who owns it, and what to do; "" where
    it may. The first of the owners whose pattern names the path rules."""
    for owner in owners:
        if matches(path, [owner.resource.removeprefix("repo:").lstrip("/")]):
            return OWNED.format(path=path[:100], o=owner) if owner.foreign else ""
    return ""


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
