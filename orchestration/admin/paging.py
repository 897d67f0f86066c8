"""One page of many rows, by a plain link: `?p=2`, with whatever else was asked kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

PAGES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Paged:
    """`before` and `after` are query strings, empty where there is no such page."""

    rows: Sequence[Any]
    first: int  # the number of the first row, from 1; 0 where there is none
    last: int
    total: int
    before: str
    after: str

    @property
    def left_out(self) -> int:
        return self.total - len(self.rows)


def paged(rows: Any, asked: Mapping[str, str], size: int) -> Paged:
    """The page that `asked` names of `rows`, a query set or a sequence; one that is not there is the
    last that is."""
    total = rows.count() if hasattr(rows, "filter") else len(rows)
    pages = max(-(-total // size), 1)
    number = min(_number(asked.get("p", "")), pages)
    found = list(rows[(number - 1) * size : number * size])
    first = (number - 1) * size
    return Paged(
        rows=found,
        first=first + 1 if found else 0,
        last=first + len(found),
        total=total,
        before=link(asked, p=number - 1) if number > 1 else "",
        after=link(asked, p=number + 1) if number < pages else "",
    )


def link(asked: Mapping[str, str], **changed: Any) -> str:
    """The query string of the page that was asked for, with these changed; "" and None go."""
    kept = {name: value for name, value in asked.items() if name not in changed}
    whole = {**kept, **changed}
    return "?" + urlencode([(n, v) for n, v in whole.items() if v not in ("", None)])


def _number(text: str) -> int:
    plain = text.isascii() and text.isdigit() and len(text) < 8
    return min(max(int(text), 1), PAGES_MAX) if plain else 1
