"""Resource patterns and whether two of them can mean the same thing.

A resource is `kind:path`. In a pattern `*` and `?` stand for anything within one segment, `**` for
anything at all, and a path without any of them covers itself and all below it (as agents and
verifiers read it, too). The answer is conservative: True when there is any doubt.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WILD = re.compile(r"[*?]")


def resources_overlap(a: str, b: str) -> bool:
    """True unless no concrete resource can match both patterns."""
    kind_a, _, path_a = a.partition(":")
    kind_b, _, path_b = b.partition(":")
    if kind_a != kind_b:
        return False
    return _segments_overlap(segments_of(path_a), segments_of(path_b))


@lru_cache(maxsize=65_536)
def segments_of(path: str) -> tuple[str, ...]:
    """The path's segments, made to match at least what the path does: `**` only stands alone.

    `src` becomes src/** and covers src itself, `src/**` becomes src/*/** and does not, `a**b/c`
    becomes a*/**, and `.` becomes **.
    """
    path = path.removeprefix("./").lstrip("/")
    if path in ("", "."):
        return ("**",)
    if not _WILD.search(path):
        return (*path.rstrip("/").split("/"), "**")
    found: list[str] = []
    for segment in path.split("/"):
        if "**" in segment and segment != "**":
            return (*found, segment.partition("**")[0] + "*", "**")
        found.append(segment)
    if len(found) > 1 and found[-1] == "**":  # the slash before it must be there
        found.insert(-1, "*")
    return tuple(found)


def literal_head(resource: str) -> tuple[str, ...]:
    """The kind and the segments before the first wildcard. Two resources can only overlap when the
    head of one begins with that of the other."""
    kind, _, path = resource.partition(":")
    head = [kind]
    for segment in segments_of(path):
        if _WILD.search(segment):
            break
        head.append(segment)
    return tuple(head)


@lru_cache(maxsize=65_536)
def _segments_overlap(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    if not a and not b:
        return True
    if a and a[0] == "**":
        return _segments_overlap(a[1:], b) or (bool(b) and _segments_overlap(a, b[1:]))
    if b and b[0] == "**":
        return _segments_overlap(b, a)
    if not a or not b:
        return False
    return _names_overlap(a[0], b[0]) and _segments_overlap(a[1:], b[1:])


def _names_overlap(a: str, b: str) -> bool:
    """Two path segments: their fixed beginnings must agree, and so must their fixed ends."""
    if not _WILD.search(a) and not _WILD.search(b):
        return a == b
    head_a, head_b = _WILD.split(a)[0], _WILD.split(b)[0]
    tail_a, tail_b = _WILD.split(a)[-1], _WILD.split(b)[-1]
    heads = head_a.startswith(head_b) or head_b.startswith(head_a)
    return heads and (tail_a.endswith(tail_b) or tail_b.endswith(tail_a))


def matches(pattern: str, resource: str) -> bool:
    """Does the concrete `resource` fall under `pattern`?"""
    kind_p, _, path_p = pattern.partition(":")
    kind_r, _, path_r = resource.partition(":")
    return kind_p == kind_r and bool(_compiled(path_p).fullmatch(path_r))


@lru_cache(maxsize=1024)
def _compiled(path: str) -> re.Pattern[str]:
    path = path.removeprefix("./").lstrip("/")
    if path in ("", "."):
        return re.compile(".*", re.DOTALL)
    if not _WILD.search(path):
        return re.compile(re.escape(path.rstrip("/")) + "(?:/.*)?", re.DOTALL)
    parts = re.split(r"(\*\*/?|\*|\?)", path)
    translated = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(translated.get(p, re.escape(p)) for p in parts), re.DOTALL)
