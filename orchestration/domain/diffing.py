"""A unified diff taken apart into files, hunks and numbered lines. Pure.

Nothing is dropped: a line that fits no rule is kept as a note where it stood, so that what a person
is shown is all that there is. Lines end at a line feed and nowhere else; how many belong to a hunk
is what its header says, so that a removed line such as `-- a/x` is not taken for the next file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
PAIR_CHARS_MAX = 400  # longer lines are not compared character by character
ALIKE = 0.5  # below it two lines have little in common, and marks would only confuse
SAME, ADDED, REMOVED, NOTE, HEAD = "same", "add", "del", "note", "hunk"


@dataclass(frozen=True, slots=True)
class Line:
    """`old` and `new` are its numbers there, None where it is not. `text` is without its sign."""

    kind: str
    text: str
    old: int | None = None
    new: int | None = None


@dataclass(slots=True)
class FileDiff:
    """`path` as it is afterwards, or was; `headers` are what git says about it, word for word."""

    path: str
    headers: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def added(self) -> int:
        return sum(line.kind == ADDED for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == REMOVED for line in self.lines)


def parsed(text: str) -> list[FileDiff]:
    """The files of a diff in their order; what stands before the first is a file without a path."""
    files: list[FileDiff] = []
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    at = 0
    while at < len(lines):
        line = lines[at]
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if begins := _begins(line, following, files):
            files.append(FileDiff(begins, [line]))
        elif files and (found := HUNK.match(line)):
            files[-1].lines.append(Line(HEAD, line))
            at = _hunk(files[-1], lines, at + 1, found)
            continue
        elif files and not files[-1].lines and files[-1].path:
            _header(files[-1], line)
        else:
            if not files:
                files.append(FileDiff(""))
            files[-1].lines.append(Line(NOTE, line))
        at += 1
    return files


def _begins(line: str, following: str, files: Sequence[FileDiff]) -> str:
    """The path of the file that begins here, or ""."""
    if line.startswith("diff --git "):
        return line.rpartition(" b/")[2] or line
    plain = line.startswith("--- ") and following.startswith("+++ ")
    if plain and not (files and files[-1].path and not files[-1].lines):
        return _path(following) or _path(line)
    return ""


def _header(file: FileDiff, line: str) -> None:
    file.headers.append(line)
    if line.startswith(("--- ", "+++ ")) and (path := _path(line)):
        file.path = path


def _path(line: str) -> str:
    """Of a line such as `+++ b/src/x.py`; "" for /dev/null."""
    path = line[4:].partition("\t")[0]
    return "" if path == "/dev/null" else path.removeprefix("a/").removeprefix("b/")


def _hunk(file: FileDiff, lines: Sequence[str], at: int, head: re.Match[str]) -> int:
    """Take the lines of a hunk; returns where it ends."""
    old, new = int(head[1]), int(head[3])
    old_left, new_left = int(head[2] or 1), int(head[4] or 1)
    while at < len(lines):
        sign, text = lines[at][:1], lines[at][1:]
        if sign == "\\":
            file.lines.append(Line(NOTE, lines[at]))
        elif sign == "+" and new_left > 0:
            file.lines.append(Line(ADDED, text, new=new))
            new, new_left = new + 1, new_left - 1
        elif sign == "-" and old_left > 0:
            file.lines.append(Line(REMOVED, text, old=old))
            old, old_left = old + 1, old_left - 1
        elif sign in (" ", "") and old_left > 0 and new_left > 0:
            file.lines.append(Line(SAME, text, old, new))
            old, new, old_left, new_left = old + 1, new + 1, old_left - 1, new_left - 1
        else:
            break
        at += 1
    return at


@dataclass(frozen=True, slots=True)
class Pair:
    """What stands side by side: the old line and the new one, either of which may be missing."""

    old: Line | None
    new: Line | None


def side_by_side(lines: Sequence[Line]) -> Iterator[Pair]:
    """Removed lines beside those added in their place; notes and heads stand on both sides."""
    removed: list[Line] = []
    added: list[Line] = []
    for line in [*lines, Line(HEAD, "")]:
        if line.kind == REMOVED and not added:
            removed.append(line)
            continue
        if line.kind == ADDED:
            added.append(line)
            continue
        for number in range(max(len(removed), len(added))):
            yield Pair(_at(removed, number), _at(added, number))
        removed, added = [], []
        if line.kind == REMOVED:
            removed.append(line)
        elif line.kind != HEAD or line.text:
            yield Pair(line, line)


def _at(lines: Sequence[Line], number: int) -> Line | None:
    return lines[number] if number < len(lines) else None


Piece = tuple[bool, str]  # whether it differs, and the text


def marked(old: str, new: str) -> tuple[list[Piece], list[Piece]]:
    """Both lines in pieces that are the same in both, or differ."""
    if len(old) > PAIR_CHARS_MAX or len(new) > PAIR_CHARS_MAX:
        return [(False, old)], [(False, new)]
    seen = SequenceMatcher(None, old, new, autojunk=False)
    if seen.real_quick_ratio() < ALIKE or seen.quick_ratio() < ALIKE or seen.ratio() < ALIKE:
        return [(False, old)], [(False, new)]
    left: list[Piece] = []
    right: list[Piece] = []
    for kind, a, b, c, d in seen.get_opcodes():
        left.append((kind != "equal", old[a:b]))
        right.append((kind != "equal", new[c:d]))
    return [piece for piece in left if piece[1]], [piece for piece in right if piece[1]]
