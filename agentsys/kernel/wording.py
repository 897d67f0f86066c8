"""Numbers and times in sentences, and names that were nearly right."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches


def counted(number: int, one: str, many: str = "") -> str:
    """`1 goal`, `2 goals`; `many` where the plural is not the word with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def closest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The known name that was meant, or an empty text."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that says that there is no `name`."""
    close = closest(name, known)
    return f"; did you mean `{close}`?" if close else ""


def decimals(amount: float) -> int:
    """Of an amount of money: two, and more where two would say nothing."""
    return 2 if amount == 0 or abs(amount) >= 0.01 else 1 - math.floor(math.log10(abs(amount)))


def dollars(amount: float) -> str:
    """$5.00, $1,500.00, and $0.00012 where two digits would say nothing."""
    return f"${amount:,.{decimals(amount)}f}"


def utc(at: datetime | str, *, seconds: bool = False) -> str:
    """2026-11-24 18:00 UTC, as every table and sentence of the commands says a time; an ISO 8601 text
    that names no zone is in UTC. With `seconds` to the second."""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{moment:%Y-%m-%d %H:%M:%S UTC}" if seconds else f"{moment:%Y-%m-%d %H:%M UTC}"
