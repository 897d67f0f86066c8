"""What subscribers are sent, how it is signed, and when it is tried again."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from agentsys.kernel.hashing import canonical
from orchestration.domain.payloads import version_of

VERSION = 1  # of the form of an event around its payload, to which keys may be added
PYTHON = "python:"
MAIL = "mailto:"
TRIES_MAX = 14
BACKOFF_SECONDS, BACKOFF_MAX_SECONDS = 5.0, 4 * 3600.0
EVENTS_MAX = 50
_ADDRESS = re.compile(r"[^@\s,;:<>\"?&%]{1,64}@[A-Za-z0-9.-]{1,253}")
_EVENT = re.compile(r"[a-z*][a-z_*]*(\.[a-z_*]+)?")


def event_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger entry as subscribers see it. `id` is the same for every delivery of it."""
    return {
        "version": VERSION,
        "id": f"goal-{entry['goal_id']}/{entry['seq']}",
        "event": entry["event"],
        "goal": entry["goal_id"],
        "seq": entry["seq"],
        "at": entry["at"].isoformat(),
        "actor": entry["actor"],
        "task": entry["task_id"],
        "attempt": entry["attempt_id"],
        "payload": entry["payload"],
        "payload_version": version_of(entry["payload"]),
    }


def mail_of(event: Mapping[str, Any], console: str) -> tuple[str, str]:
    """Subject and text: facts of the system first, and what others wrote only as JSON at the end."""
    lines = [
        f"{event['event']} of goal-{event['goal']}, entry {event['seq']}, by {event['actor']}, {event['at']}"
    ]
    if console:
        lines.append(
            f"{console.rstrip('/')}/admin/agentsys_orchestration/goal/{event['goal']}/change/"
        )
    lines += ["", canonical(event["payload"])]
    return f"agentsys: {event['event']}, goal-{event['goal']}", "\n".join(lines) + "\n"


def body_of(event: Mapping[str, Any]) -> bytes:
    return canonical(event).encode()


def signature(secret: str, at: int, body: bytes) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 over the seconds, a dot and the body. The receiver computes
    the same, compares in constant time and refuses what is minutes old."""
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"


def wants(patterns: Sequence[str], event: str) -> bool:
    return any(fnmatchcase(event, pattern) for pattern in patterns)


def retry_seconds(tries: int) -> float | None:
    """After so many tries; None when it is given up. In all about a day."""
    if tries >= TRIES_MAX:
        return None
    return float(min(BACKOFF_SECONDS * 3 ** (tries - 1), BACKOFF_MAX_SECONDS))


def subscription_problems(
    target: str, events: Any, secret: str, known: Collection[str]
) -> dict[str, str]:
    """Field → what is wrong with it."""
    problems = {}
    if target.startswith(PYTHON):
        name = target.removeprefix(PYTHON)
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            problems["target"] = f"no package offers the subscriber `{name}`; there are: {there}"
    elif target.startswith(MAIL):
        if not _ADDRESS.fullmatch(target.removeprefix(MAIL)):
            problems["target"] = "expected mailto:NAME@HOST, one address and nothing else"
    else:
        if not _is_url(target):
            problems["target"] = (
                "expected https://HOST/… or http://HOST/…, mailto:ADDRESS or python:NAME"
            )
        if len(secret) < 16:
            told = "at least 16 characters: deliveries to a URL are signed with it"
            problems["secret"] = told
    if not _are_patterns(events):
        problems["events"] = f'expected a list of 1 to {EVENTS_MAX} names, such as ["goal.*"]'
    return problems


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _are_patterns(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= EVENTS_MAX
        and all(isinstance(one, str) and _EVENT.fullmatch(one) for one in value)
    )
