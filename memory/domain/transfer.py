"""The form of an exported memory: a line of JSON, with links as numbers of lines. Pure.

The first line is the header; line 2 holds memory 1. A file says nothing about trust that counts:
what it claims is kept beside what the import gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agentsys.kernel.hashing import plain
from memory.domain.carried import digest_problems

FORMAT, VERSION = "agentsys-memory", 2  # 2: digests quote by place
TEXT_MAX = 20_000
LINE_MAX = 400_000  # characters of one line
NESTED_MAX = 50  # levels of lists and objects in one line
YEARS = (1900, 2200)  # within which all that reckons with times holds
IMPORTANCE_MAX = 10.0  # either way; what is written here is between -2 and 5
STATES = ("live", "cold", "quarantined")
TIMES = ("occurred_at", "valid_from", "valid_to")
LENGTHS: Mapping[str, int] = {"kind": 24, "actor": 150, "session": 80, "batch": 80}
FIELDS = (
    "text", "layer", "kind", "actor", "trust", "state", "level", "importance", "pinned", "session",
    "seq", "batch", *TIMES, "supersedes", "parent", "provenance",
)  # fmt: skip
# What makes two stores say the same; not where it came from, who was believed, and how it is kept.
CONTENT = ("text", "layer", "kind", "actor", "level", "session", *TIMES, "supersedes", "parent")


def header_problems(header: Any) -> list[str]:
    if not isinstance(header, Mapping) or header.get("format") != FORMAT:
        return [f"no header of an export; expected a JSON object with `format`: `{FORMAT}`"]
    problems = []
    if header.get("version") != VERSION:
        problems.append(f"version is {header.get('version')!r}; this agentsys reads {VERSION}")
    if not _whole(header.get("memories")):
        problems.append(f"memories is {header.get('memories')!r}; expected how many lines follow")
    for name in ("sha256", "content"):
        value = header.get(name)
        if not isinstance(value, str) or len(value) != 64:
            problems.append(f"{name} is no SHA-256 in hexadecimal")
    return problems


def row_problems(row: Any, number: int, count: int, layers: Sequence[str]) -> list[str]:
    """What is wrong with memory `number` of `count`."""
    if not isinstance(row, Mapping):
        return ["no JSON object"]
    if not _storable(row):
        return [
            f"it holds what no memory may: NUL, half a character, NaN, or more than {NESTED_MAX} levels"
        ]
    problems = [f"unknown field `{name}`" for name in row if name not in FIELDS]
    problems += [f"`{name}` is missing" for name in FIELDS if name not in row]
    if problems:
        return problems
    if not isinstance(row["text"], str) or not row["text"].strip() or len(row["text"]) > TEXT_MAX:
        problems.append(f"text must have 1 to {TEXT_MAX} characters")
    choices = {"layer": layers, "trust": ("verified", "unverified", "untrusted"), "state": STATES}
    for name, known in choices.items():
        if row[name] not in known:
            problems.append(f"{name} is {_short(row[name])}; expected one of {', '.join(known)}")
    for name, most in LENGTHS.items():
        if not isinstance(row[name], str) or len(row[name]) > most:
            problems.append(f"{name} must be text of at most {most} characters")
    problems += _figures(row)
    problems += _times(row)
    for name in ("supersedes", "parent"):
        problems += _link_problems(name, row[name], number, count)
    problems += _provenance(row, sound=not problems)
    return problems


def _storable(row: Mapping[str, Any]) -> bool:
    try:
        return _levels_within(row, NESTED_MAX) and plain(row) == row
    except ValueError:  # NaN, or infinity
        return False


def _levels_within(value: Any, most: int) -> bool:
    """Whether lists and objects nest no deeper than `most`."""
    if not isinstance(value, Mapping | list):
        return True
    parts = value.values() if isinstance(value, Mapping) else value
    return most > 0 and all(_levels_within(part, most - 1) for part in parts)


def _provenance(row: Mapping[str, Any], *, sound: bool) -> list[str]:
    if not isinstance(row["provenance"], Mapping):
        return ["provenance must be an object"]
    return digest_problems(row["level"], row["provenance"]) if sound and row["level"] else []


def _figures(row: Mapping[str, Any]) -> list[str]:
    problems = []
    if not _whole(row["level"]) or row["level"] > 4:
        problems.append(f"level is {_short(row['level'])}; expected 0 to 4")
    if not _whole(row["seq"]) or row["seq"] > 2_000_000_000:
        problems.append(f"seq is {_short(row['seq'])}; expected a whole number, 0 or more")
    value = row["importance"]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not abs(value) <= IMPORTANCE_MAX
    ):
        problems.append(
            f"importance is {_short(value)}; expected a number from -{IMPORTANCE_MAX:g} to {IMPORTANCE_MAX:g}"
        )
    if not isinstance(row["pinned"], bool):
        problems.append(f"pinned is {_short(row['pinned'])}; expected true or false")
    return problems


def _times(row: Mapping[str, Any]) -> list[str]:
    read: dict[str, datetime] = {}
    problems = []
    for name in TIMES:
        if row[name] is None and name == "valid_to":
            continue
        at = time_of(row[name])
        if at is None:
            problems.append(f"{name} is {_short(row[name])}; expected a time with its zone, as"
                            " 2026-11-28T19:00:00+00:00")  # fmt: skip
        elif not YEARS[0] <= at.year < YEARS[1]:
            problems.append(
                f"{name} is {_short(row[name])}; expected a year from {YEARS[0]} to {YEARS[1] - 1}"
            )
        else:
            read[name] = at
    if read.keys() >= {"valid_from", "valid_to"} and read["valid_to"] < read["valid_from"]:
        problems.append("valid_to is before valid_from")
    return problems


def time_of(value: Any) -> datetime | None:
    """The time of an ISO 8601 text that names its zone; None for anything else."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None


def _link_problems(name: str, value: Any, number: int, count: int) -> list[str]:
    if value is None:
        return []
    if not _whole(value) or not 1 <= value <= count or value == number:
        return [
            f"{name} is {_short(value)}; expected null or another memory of this file, 1 to {count}"
        ]
    return []


def circles(links: Sequence[int | None]) -> list[int]:
    """Memories (from 1) whose chain of links leads back to themselves."""
    seen: dict[int, int] = {}
    found = []
    for start in range(1, len(links) + 1):
        at: int | None = start
        while at is not None and at not in seen:
            seen[at] = start
            at = links[at - 1]
        if at is not None and seen[at] == start:
            found.append(at)
    return found


def line_of(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def content_line(row: Mapping[str, Any]) -> bytes:
    """What is hashed to tell whether two stores say the same."""
    return (line_of({name: row[name] for name in CONTENT}) + "\n").encode()


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _short(value: Any) -> str:
    return json.dumps(value, default=str)[:80]
