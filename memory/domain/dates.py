"""Times as people type them: `2026-11-28`, `2026-11-28T19:20`, with or without a zone, or `7d`. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EXPECTED = (
    "a date or a time such as 2026-11-28, 2026-11-28T19:20+01:00, or 36h or 7d for so long ago"
)
_AGO = re.compile(r"(\d{1,5})([hd])")


def when(text: str, now: datetime) -> datetime | None:
    """The moment meant; UTC where no zone is named, the day's beginning where no time is; None for
    what is none."""
    said = text.strip()
    if ago := _AGO.fullmatch(said):
        hours = int(ago[1]) * (24 if ago[2] == "d" else 1)
        return now - timedelta(hours=hours)
    try:
        at = datetime.fromisoformat(said)
        return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter: its zone puts it before the year 1
        return None


def span_problems(
    since: datetime | None, until: datetime | None, as_of: datetime | None, now: datetime
) -> list[str]:
    """Why nothing can be within."""
    problems = []
    if since and until and since >= until:
        problems.append(f"since {since.isoformat()} is not before until {until.isoformat()}")
    if as_of and as_of > now:
        problems.append(f"as of {as_of.isoformat()} is in the future; nobody knows what will hold")
    return problems
