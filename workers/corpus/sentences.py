"""Where sentences begin and end in a text, hard-wrapped or not.

Blocks first: headings, tables, code, rules and front matter are no sentences; a list item is a
block of its own; other lines run together until an empty one. Then sentences within each block.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

CHARS_MIN, CHARS_MAX = 30, 400
FRONT_MATTER_LINES_MAX = 100
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦–]|\d{1,3}[.)]|\([a-z\d]{1,3}\))[ \t]+")
_QUOTED = re.compile(r"[ \t]*(?:>[ \t]?)+")
_RULE = re.compile(r"[ \t]*([-=*_~^+#`.:'\"])(?:[ \t]*\1){2,}[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_SKIPPED = re.compile(
    r"[ \t]*(?:#{1,6}(?:\s|$)|\||\[[^\]]{1,99}\]:\s|\.\.\s|<!--.*-->\s*$|@startuml)"
)
_END = re.compile(r"[.!?…]{1,8}[\"'”’»)\]*_`]{0,4}(?=\s|$)|[。！？]{1,8}[”’」』）]{0,2}")
_LAST_WORD = re.compile(r"(?:^|[\s(\[\"'“‘])([\w.]{1,12})$")
_ABBREVIATIONS = frozenset(
    (
        "approx art ca capt cf co corp dr ed eds e.g eg et al etc fig figs gen gov i.e ie inc jan feb"
        " mar apr jun jul aug sep sept oct nov dec jr lt ltd max mr mrs ms min no nos nr op p pp prof"
        " ref rev sec sen sgt sr st u.k u.s u.s.a viz vol vs z.b bzw ggf"
    ).split()
)
_OPENING = "\"'“‘«([*_`"
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is a sentence; `complete` when it ends as one."""

    start: int
    end: int
    complete: bool


def spans(text: str) -> Iterator[Span]:
    """Sentences of a length worth quoting, in order."""
    for start, end in _blocks(text):
        for at, until in _sentences(text, start, end):
            found = text[at:until]
            if len(found) + 2 * len(_CJK.findall(found)) >= CHARS_MIN and until - at <= CHARS_MAX:
                yield Span(at, until, found.rstrip("\"'”’»)]*_`」』）")[-1:] in ".!?…。！？")


def one_line(text: str) -> str:
    """A sentence as a claim says it: on one line, without the marks of a quote or of Markdown."""
    text = re.sub(r"\n[ \t]*(?:>[ \t]?)+", "\n", text)
    text = re.sub(r"(?<=[^\W\d_])-\n[ \t]*(?=[^\W\d_])", "-", text)
    text = re.sub(r"!?\[([^\]\[]{1,200})\]\([^()\s]{1,500}\)", r"\1", text)
    text = re.sub(r"\*\*|__|`", "", text)
    return " ".join(text.split())


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each run of lines that may hold sentences."""
    block: list[tuple[int, int]] = []
    for start, end, line in _prose(text):
        if line is None or not line.strip() or _SKIPPED.match(line):
            yield from _parts(text, block)
            block = []
        elif _RULE.match(line):
            if len(block) > 1:  # with one line above, that line is a heading
                yield from _parts(text, block)
            block = []
        elif item := _ITEM.match(line):
            yield from _parts(text, block)
            block = [(start + item.end(), end)]
        else:
            quoted = _QUOTED.match(line)
            block.append((start + (quoted.end() if quoted and not block else 0), end))
    yield from _parts(text, block)


def _prose(text: str) -> Iterator[tuple[int, int, str | None]]:
    """Lines with their place, without their end; None in place of what is code or front matter."""
    at, fenced = 0, False
    front = _front_matter(text)
    for raw in text.splitlines(keepends=True):
        line = raw.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
        is_fence = bool(_FENCE.match(line))
        code = fenced or is_fence or at < front
        fenced = fenced != is_fence
        yield at, at + len(line), None if code else line
        at += len(raw)


def _front_matter(text: str) -> int:
    """Where the text proper begins: after a block of metadata between lines of `---`."""
    if not text.startswith("---\n"):
        return 0
    at = 4
    for line in text[4:].splitlines(keepends=True)[:FRONT_MATTER_LINES_MAX]:
        at += len(line)
        if line.rstrip() in ("---", "..."):
            return at
    return 0


def _parts(text: str, lines: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """A block, cut after lines that look like a heading: short, no stop, and a capital follows."""
    if not lines:
        return
    width = max(end - start for start, end in lines)
    first = lines[0][0]
    for (start, end), (after, _) in itertools.pairwise(lines):
        line, head = text[start:end].rstrip(), text[after : after + 80].lstrip()[:1]
        is_short = end - start < 0.6 * width and line[-1:] not in ".!?…,;:-–—"
        if is_short and (head.isupper() or head.isdigit()):
            yield first, end
            first = after
    yield first, lines[-1][1]


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    at = start
    for mark in _END.finditer(text, start, end):
        if _ends(text, at, mark, end):
            yield from _trimmed(text, at, mark.end())
            at = mark.end()
    yield from _trimmed(text, at, end)


def _ends(text: str, at: int, mark: re.Match[str], end: int) -> bool:
    """Whether a full stop ends a sentence here, and not an abbreviation or an initial."""
    rest = text[mark.end() : min(end, mark.end() + 80)].lstrip()
    if not rest or mark[0][0] in "。！？":
        return True
    if rest[0].islower() or (mark[0] == "…" and not rest[0].isupper()):
        return False
    if mark[0] != "." or rest[0] in _OPENING:
        return True
    word = _LAST_WORD.search(text, max(at, mark.start() - 14), mark.start())
    if word is None:
        return True
    initial = len(word[1]) == 1 and word[1].isupper()
    return not initial and word[1].lower() not in _ABBREVIATIONS


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
