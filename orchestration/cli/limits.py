"""Limits and moments as people type them: `tokens=500000`, `cost_usd=none`, `90m`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rich.table import Table

from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import dollars
from orchestration.cli.output import table

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d{1,6})([smhd])")


def add_limits(parser: CommandParser, flag: str, text: str) -> None:
    parser.add_argument(flag, action="append", default=[], metavar="KIND=N", help=text)


def limits_given(pairs: Sequence[str]) -> dict[str, int | float | None]:
    """`KIND=N` texts by kind; None for `none`. BadInput for anything else."""
    found: dict[str, int | float | None] = {}
    for pair in pairs:
        kind, _, number = pair.partition("=")
        try:
            found[kind] = None if number == "none" else _number(number)
        except ValueError:
            problem = f"`{pair}` is not KIND=NUMBER, such as tokens=500000, or KIND=none"
            raise BadInput(what="budget", problems=[problem]) from None
    return found


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def moment_of(text: str) -> datetime:
    """A date and time, in the current zone (of commands UTC, of the console the reader's) unless it names
    another, or a span from now on."""
    span = _SPAN.fullmatch(text)
    if span:
        return timezone.now() + timedelta(**{UNITS[span[2]]: int(span[1])})
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        problem = (
            f"`{text}` is no moment; expected 2026-11-24T18:00, or 30s, 90m, 3h, 2d from now on"
        )
        raise BadInput(what="deadline", problems=[problem])
    moment = moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    if moment <= timezone.now():
        raise BadInput(what="deadline", problems=[f"{text} is over; name a moment to come"])
    return moment


def budget_table(view: Mapping[str, Any]) -> Table:
    rows = [
        (
            kind,
            "none" if most is None else _amount(kind, most),
            *(
                _amount(kind, of[kind]) if kind in of else ""
                for of in (view["spent"], view["reserved"])
            ),
        )
        for kind, most in view["limits"].items()
    ]
    each = (view.get("attempt") or {}).items()
    caption = ", ".join(f"{name} {_amount(name, most)}" for name, most in each)
    shown = table(("kind", "limit", "spent", "set aside"), rows)
    shown.caption = caption and f"each attempt: {caption}"
    return shown


def _amount(kind: str, number: float) -> str:
    return dollars(number) if kind.startswith("cost_usd") else f"{number:,}"
