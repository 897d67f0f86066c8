"""Numbers in sentences."""

from __future__ import annotations

import math


def counted(number: int, one: str, many: str = "") -> str:
    """`1 goal`, `2 goals`; `many` where the plural is not the word with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def dollars(amount: float) -> str:
    """$5.00, and $0.00012 where two digits would say nothing."""
    digits = 2 if amount == 0 or abs(amount) >= 0.01 else 1 - math.floor(math.log10(abs(amount)))
    return f"${amount:.{digits}f}"
