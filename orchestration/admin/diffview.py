"""A diff as a page shows it: file by file, unified or side by side, each line with its number and an
address. Every text is escaped and hidden characters are shown (`show.visible`); what is too much for
a page is counted and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from orchestration.domain.diffing import (
    ADDED,
    HEAD,
    NOTE,
    REMOVED,
    SAME,
    FileDiff,
    Line,
    Piece,
    marked,
    parsed,
    side_by_side,
)
from orchestration.show import visible

VIEWS = ("unified", "split")
LINES_MAX = 4000
LINE_CHARS_MAX = 2000
OPEN_LINES_MAX = 400  # files with more begin folded
PAIRS_MAX = 400  # lines whose changed parts are marked
SIGNS = {ADDED: "+", REMOVED: "-", SAME: " "}


@dataclass(frozen=True, slots=True)
class Shown:
    """One file. `rows` is markup; `left_out` lines of it are not on the page."""

    anchor: str
    path: SafeString
    headers: tuple[SafeString, ...]
    added: int
    removed: int
    rows: SafeString
    left_out: int
    opened: bool


@dataclass(frozen=True, slots=True)
class Review:
    files: tuple[Shown, ...]
    view: str
    added: int
    removed: int
    left_out: int


def review(text: str, view: str = "unified") -> Review:
    """`view` is one of `VIEWS`."""
    files = parsed(text)
    shown = tuple(_files(files, view))
    return Review(
        files=shown,
        view=view,
        added=sum(file.added for file in files),
        removed=sum(file.removed for file in files),
        left_out=sum(file.left_out for file in shown),
    )


def _files(files: Sequence[FileDiff], view: str) -> Iterator[Shown]:
    left = LINES_MAX
    render = _split if view == "split" else _unified
    for number, file in enumerate(files, start=1):
        taken = file.lines[: max(left, 0)]
        left -= len(taken)
        anchor = f"f{number}"
        yield Shown(
            anchor=anchor,
            path=visible(file.path or gettext("about this diff")),
            headers=tuple(visible(line) for line in file.headers[:50]),
            added=file.added,
            removed=file.removed,
            rows=render(taken, anchor),
            left_out=len(file.lines) - len(taken) + max(len(file.headers) - 50, 0),
            opened=len(taken) <= OPEN_LINES_MAX or len(files) == 1,
        )


def _unified(lines: Sequence[Line], anchor: str) -> SafeString:
    return format_html_join(
        "",
        '<tr class="as-d-{}">{}{}<td><code>{}{}</code></td></tr>',
        (
            (
                line.kind,
                _number(line.old, f"{anchor}-o"),
                _number(line.new, f"{anchor}-n"),
                SIGNS.get(line.kind, ""),
                _text(line.text),
            )
            for line in lines
        ),
    )


def _split(lines: Sequence[Line], anchor: str) -> SafeString:
    rows, marks_left = [], PAIRS_MAX
    for pair in side_by_side(lines):
        old, new = pair.old, pair.new
        if old is not None and old is new and old.kind in (HEAD, NOTE):
            rows.append(_across(old))
            continue
        left: list[Piece] | None = None
        right: list[Piece] | None = None
        if old is not None and new is not None and old is not new and marks_left > 0:
            left, right = marked(old.text, new.text)
            marks_left -= 1
        rows.append(
            format_html(
                "<tr>{}{}</tr>",
                _side(old, left, f"{anchor}-o", is_old=True),
                _side(new, right, f"{anchor}-n", is_old=False),
            )
        )
    return mark_safe("".join(rows))  # noqa: S308 - each row is escaped above


def _across(line: Line) -> SafeString:
    """A hunk's head or a note, which is of both sides."""
    cell = '<tr class="as-d-{}"><td class="as-ln"></td><td colspan="3"><code>{}</code></td></tr>'
    return format_html(cell, line.kind, _text(line.text))


def _side(
    line: Line | None, pieces: list[Piece] | None, anchor: str, *, is_old: bool
) -> SafeString:
    if line is None:
        return mark_safe('<td class="as-ln"></td><td class="as-d-none"></td>')
    return format_html(
        '{}<td class="as-d-{}"><code>{}{}</code></td>',
        _number(line.old if is_old else line.new, anchor),
        line.kind,
        SIGNS.get(line.kind, ""),
        _text(line.text) if pieces is None else _pieces(pieces),
    )


def _pieces(pieces: Sequence[Piece]) -> SafeString:
    """The parts that differ are underlined, not only coloured."""
    return format_html_join(
        "",
        "{}",
        ((format_html("<u>{}</u>", _text(text)) if differs else _text(text),)
         for differs, text in pieces),
    )  # fmt: skip


def _number(number: int | None, anchor: str) -> SafeString:
    """The cell of a line's number, which is also its address."""
    if number is None:
        return mark_safe('<td class="as-ln"></td>')
    return format_html(
        '<td class="as-ln" id="{0}{1}"><a href="#{0}{1}">{1}</a></td>', anchor, number
    )


def _text(text: str) -> SafeString:
    if len(text) <= LINE_CHARS_MAX:
        return visible(text)
    more = gettext("%(n)s more characters in this line") % {"n": len(text) - LINE_CHARS_MAX}
    return format_html("{}<strong> … {}</strong>", visible(text[:LINE_CHARS_MAX]), more)
