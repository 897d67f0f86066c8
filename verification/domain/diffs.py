"""Reads a unified diff: which lines it adds to which file, and which files become links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NEW_MODE = re.compile(r"^(?:new file mode|new mode) (\d{6})")
LINK_MODES = {"120000": "a symbolic link", "160000": "a submodule"}


@dataclass(frozen=True, slots=True)
class Added:
    path: str
    line: int  # in the new file
    text: str


def added_lines(diff: str) -> Iterator[Added]:
    """Counts hunk lengths, so that an added line that looks like a header is not taken for one."""
    path, old_left, new_left, line = "", 0, 0, 0
    for raw in diff.splitlines():
        if old_left <= 0 and new_left <= 0:
            if raw.startswith("+++ "):
                path = _path(raw[4:])
            elif hunk := _HUNK.match(raw):
                old_left, line, new_left = int(hunk[1] or 1), int(hunk[2]), int(hunk[3] or 1)
            continue
        if raw.startswith("+"):
            yield Added(path, line, raw[1:])
        if not raw.startswith(("-", "\\")):
            line, new_left = line + 1, new_left - 1
        if not raw.startswith(("+", "\\")):
            old_left -= 1


def links(diff: str) -> list[str]:
    """What the diff makes of files that are not plain: `a symbolic link: docs/x`."""
    found, path = [], ""
    for raw in diff.splitlines():
        if raw.startswith("diff --git "):
            path = _path(raw.split(" ")[-1])
        elif (mode := _NEW_MODE.match(raw)) and mode[1] in LINK_MODES:
            found.append(f"{LINK_MODES[mode[1]]}: {path}")
    return found


def _path(name: str) -> str:
    name = name.split("\t")[0].strip('"')
    return name[2:] if name.startswith(("a/", "b/")) else name
