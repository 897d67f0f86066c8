"""Other people's code: which plugins are left out, and why, and what it may be blamed for."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

REASON_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry point that is not on offer. `package` is "" where nobody knows whose it is."""

    group: str
    name: str
    value: str
    package: str
    reason: str

    def __str__(self) -> str:
        whose = f" of {self.package}" if self.package else ""
        return f"{self.group} `{self.name}`{whose} ({self.value}): {self.reason}"


_known: dict[tuple[str, str, str], LeftOut] = {}


def is_its_own(error: BaseException) -> bool:
    """Whether code that raised it ended itself, or was ended: signals reach only the main thread."""
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return threading.current_thread() is not threading.main_thread()
    return isinstance(error, Exception)


def leave_out(group: str, point: Any, reason: object) -> None:
    """Remember that the entry point is left out; the log is told once of each reason."""
    if isinstance(reason, BaseException):
        reason = f"{type(reason).__name__}: {reason}"
    said = " ".join(str(reason).split())[:REASON_CHARS_MAX]
    package = getattr(getattr(point, "dist", None), "name", "") or ""
    found = LeftOut(group, point.name, str(point.value), package, said)
    key = (group, found.name, found.value)
    if _known.get(key) != found:
        log.warning("plugin is left out: %s", found)
    _known[key] = found


def taken_in(group: str, point: Any) -> None:
    """It is on offer after all."""
    _known.pop((group, point.name, str(point.value)), None)


def left_out(group: str = "", name: str = "") -> list[LeftOut]:
    """What this process has left out so far, of a group, or of a name in it."""
    found = [one for one in _known.values() if group in ("", one.group)]
    return sorted((one for one in found if name in ("", one.name)), key=str)


def why_left_out(group: str, name: str) -> str:
    """For the end of a message that says that there is no such name; "" when none was left out."""
    return "".join(f"; a plugin was left out: {one}" for one in left_out(group, name))
