"""When a schedule is due: five fields of cron, in a time zone of its own.

Hours that a clock change skips or repeats are met as Debian's cron meets them: once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError


def cron_problems(cron: str, zone: str) -> dict[str, str]:
    """What is wrong with each of `cron` and `time_zone`; empty where nothing is."""
    problems = {}
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems["time_zone"] = f"`{zone}` is no time zone; use a name such as UTC or Europe/Berlin"
    if len(cron.split()) != 5:
        problems["cron"] = (
            f"`{cron}`: expected minute, hour, day, month, weekday, as in `0 7 * * 1-5`"
        )
        return problems
    try:
        if not problems and next_time(cron, zone, datetime(2026, 1, 1, tzinfo=UTC)) is None:
            problems["cron"] = f"`{cron}` never comes"
    except CronSimError as error:
        problems["cron"] = f"`{cron}`: {error}; expected five fields, as in `0 7 * * 1-5`"
    return problems


def next_time(cron: str, zone: str, after: datetime) -> datetime | None:
    """The first time after `after`, in UTC; None where there is none in fifty years."""
    found = next(CronSim(cron, after.astimezone(ZoneInfo(zone))), None)
    return None if found is None else found.astimezone(UTC)


def explained(cron: str) -> str:
    """In words, such as "At 07:00, Monday through Friday"; "" for what is no cron."""
    try:
        return str(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)).explain())
    except CronSimError:
        return ""
