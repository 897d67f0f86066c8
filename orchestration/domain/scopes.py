"""Resource patterns and whether two of them can mean the same thing.

A resource is `kind:path`, where `**` stands for anything, `*` and `?` for anything within one
segment. The answer is conservative: True when there is any doubt.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WILD = re.compile(r"[*?\[]")


def resources_overlap(a: str, b: str) -> bool:
    """True unless no concrete resource can match both patterns."""
    kind_a, _, path_a = a.partition(":")
    kind_b, _, path_b = b.partition(":")
    if kind_a != kind_b:
        return False
    return _segments_overlap(tuple(path_a.split("/")), tuple(path_b.split("/")))


@lru_cache(maxsize=4096)
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
    """Two path segments; with wildcards in both, their fixed beginnings and ends must agree."""
    wild_a, wild_b = _WILD.search(a), _WILD.search(b)
    if not wild_a and not wild_b:
        return a == b
    head_a, head_b = a[: wild_a.start()] if wild_a else a, b[: wild_b.start()] if wild_b else b
    if not (head_a.startswith(head_b) or head_b.startswith(head_a)):
        return False
    tail_a, tail_b = _tail(a), _tail(b)
    return tail_a.endswith(tail_b) or tail_b.endswith(tail_a)


def _tail(segment: str) -> str:
    if not _WILD.search(segment):
        return segment
    return re.split(r"[*?\]]", segment)[-1]


def matches(pattern: str, resource: str) -> bool:
    """Does the concrete `resource` fall under `pattern`?"""
    kind_p, _, path_p = pattern.partition(":")
    kind_r, _, path_r = resource.partition(":")
    return kind_p == kind_r and bool(_compiled(path_p).fullmatch(path_r))


@lru_cache(maxsize=1024)
def _compiled(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?)", path)
    translated = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(translated.get(p, re.escape(p)) for p in parts))
