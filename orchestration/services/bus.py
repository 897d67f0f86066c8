"""Telling subscribers what the ledger says: read on, deliver, try again, give up.

A subscription reads every ledger of its project in order, by a cursor a goal that moves in the
transaction that makes the deliveries: none is skipped and none is made twice, whatever commits in
between. A delivery is sent outside of any transaction and is tried until the other side took it; it
may come twice, and out of order, which is why each event carries its id and its seq.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import entry_points
from smtplib import SMTPException
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from orchestration.domain.bus import (
    MAIL,
    PYTHON,
    body_of,
    event_of,
    mail_of,
    retry_seconds,
    signature,
    wants,
)
from orchestration.models import Delivery, LedgerEntry, Subscription

log = structlog.get_logger(__name__)
GROUP = "agentsys.subscribers"
FEED_MAX = 2_000  # entries that one look reads for one subscription
BATCH = 20  # deliveries of one message
TIMEOUT_SECONDS = 10.0
BUSY_SECONDS = 60.0  # a delivery that was taken and not settled is tried again after this
KEPT_DAYS = 30

_BEHIND = """
SELECT g.id, COALESCE(c.seq, 0)
FROM agentsys_orchestration_goal g
LEFT JOIN agentsys_orchestration_cursor c ON c.goal_id = g.id AND c.subscription_id = %(sub)s
WHERE g.project_id = %(project)s AND g.ledger_seq > COALESCE(c.seq, 0)
  AND (c.id IS NOT NULL OR g.created_at >= %(since)s)
ORDER BY g.id
LIMIT 200
"""
_READ = """
SELECT seq, event FROM agentsys_orchestration_ledgerentry
WHERE goal_id = %s AND seq > %s ORDER BY seq LIMIT %s
"""
_MOVE = """
INSERT INTO agentsys_orchestration_cursor (subscription_id, goal_id, seq) VALUES (%s, %s, %s)
ON CONFLICT (subscription_id, goal_id) DO UPDATE SET seq = EXCLUDED.seq
"""
_MAKE = """
INSERT INTO agentsys_orchestration_delivery
    (subscription_id, goal_id, seq, event, state, tries, said)
SELECT %s, %s, x.seq, x.event, 'due', 0, '' FROM unnest(%s::bigint[], %s::text[]) AS x(seq, event)
ON CONFLICT DO NOTHING
"""
_BEGIN = """
INSERT INTO agentsys_orchestration_cursor (subscription_id, goal_id, seq)
SELECT %(sub)s, g.id, g.ledger_seq FROM agentsys_orchestration_goal g
WHERE g.project_id = %(project)s AND g.finished_at IS NULL
ON CONFLICT DO NOTHING
"""
_TAKE = """
UPDATE agentsys_orchestration_delivery d
SET tries = d.tries + 1, due_at = clock_timestamp() + make_interval(secs => %(busy)s)
FROM (
    SELECT x.id FROM agentsys_orchestration_delivery x
    JOIN agentsys_orchestration_subscription s ON s.id = x.subscription_id AND s.enabled
    WHERE x.state = 'due' AND x.due_at <= clock_timestamp()
    ORDER BY x.due_at, x.id LIMIT %(most)s FOR UPDATE OF x SKIP LOCKED
) taken, agentsys_orchestration_subscription s
WHERE d.id = taken.id AND s.id = d.subscription_id
RETURNING d.id, d.tries, d.goal_id, d.seq, s.target, s.secret
"""
_TOOK = """
UPDATE agentsys_orchestration_delivery
SET state = 'delivered', due_at = NULL, finished_at = clock_timestamp(), status = %s, said = %s
WHERE id = %s AND state = 'due'
"""
_AGAIN = """
UPDATE agentsys_orchestration_delivery
SET due_at = clock_timestamp() + make_interval(secs => %s), status = %s, said = %s
WHERE id = %s AND state = 'due'
"""
_GIVE_UP = """
UPDATE agentsys_orchestration_delivery
SET state = 'given_up', due_at = NULL, finished_at = clock_timestamp(), status = %s, said = %s
WHERE id = %s AND state = 'due'
"""
_DUE = """
SELECT EXISTS (
    SELECT 1 FROM agentsys_orchestration_delivery d
    JOIN agentsys_orchestration_subscription s ON s.id = d.subscription_id AND s.enabled
    WHERE d.state = 'due' AND d.due_at <= clock_timestamp())
"""
_FORGET = """
DELETE FROM agentsys_orchestration_delivery WHERE id IN (
    SELECT id FROM agentsys_orchestration_delivery
    WHERE finished_at < clock_timestamp() - make_interval(days => %s) LIMIT 1000)
"""


@dataclass(frozen=True, slots=True)
class Taken:
    id: int
    tries: int
    goal_id: int
    seq: int
    target: str
    secret: str


def subscription_begin(subscription: Subscription) -> None:
    """What goals under way have behind them is not told; everything from now on is. In the
    transaction that makes the subscription."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, {"sub": subscription.pk, "project": subscription.project_id})


def subscribers_feed() -> bool:
    """Make deliveries of what was written since; is any delivery due?"""
    for subscription in Subscription.objects.filter(enabled=True).order_by("pk"):
        _feed(subscription)
    with connection.cursor() as cursor:
        cursor.execute(_DUE)
        (due,) = cursor.fetchone()
    return bool(due)


def _feed(subscription: Subscription) -> None:
    of: dict[str, Any] = {
        "sub": subscription.pk,
        "project": subscription.project_id,
        "since": subscription.created_at,
    }
    left = FEED_MAX
    with transaction.atomic(), connection.cursor() as cursor:
        # Two that feed at once would read from the same place.
        Subscription.objects.select_for_update().get(pk=subscription.pk)
        cursor.execute(_BEHIND, of)
        for goal_id, at in cursor.fetchall():
            cursor.execute(_READ, [goal_id, at, left])
            rows = cursor.fetchall()
            if not rows:
                continue
            asked = [(seq, event) for seq, event in rows if wants(subscription.events, event)]
            if asked:
                seqs, events = map(list, zip(*asked, strict=True))
                cursor.execute(_MAKE, [subscription.pk, goal_id, seqs, events])
            cursor.execute(_MOVE, [subscription.pk, goal_id, rows[-1][0]])
            left -= len(rows)
            if left <= 0:
                return


def deliveries_again(rows: QuerySet[Delivery]) -> int:
    """Those of `rows` that are over are due as if for the first time; how many those are."""
    over = rows.exclude(state="due")
    return over.update(state="due", due_at=Now(), finished_at=None, tries=0)


def deliver() -> int:
    """Send what is due, a batch of it; returns how many were taken by their subscribers."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"busy": BUSY_SECONDS + BATCH * TIMEOUT_SECONDS, "most": BATCH})
        batch = [Taken(*row) for row in cursor.fetchall()]
        cursor.execute(_FORGET, [KEPT_DAYS])
    return sum(_deliver(one) for one in sorted(batch, key=lambda one: one.id))


def _deliver(one: Taken) -> bool:
    entry = LedgerEntry.objects.filter(goal_id=one.goal_id, seq=one.seq).values().get()
    status, said, took = _send(one, event_of(entry))
    with connection.cursor() as cursor:
        if took:
            cursor.execute(_TOOK, [status, said, one.id])
        elif (wait := retry_seconds(one.tries)) is not None:
            cursor.execute(_AGAIN, [wait, status, said, one.id])
        else:
            log.warning("a delivery is given up", delivery=one.id, target=one.target, said=said)
            cursor.execute(_GIVE_UP, [status, said, one.id])
    return took


def _send(one: Taken, event: Mapping[str, Any]) -> tuple[int | None, str, bool]:
    """Status, what was said, and whether it was taken. Never raises."""
    if one.target.startswith(PYTHON):
        return _call(one.target.removeprefix(PYTHON), event)
    if one.target.startswith(MAIL):
        return _mail(one.target.removeprefix(MAIL), event)
    try:
        status = _post(one.target, one.secret, body_of(event))
    except (OSError, HTTPException, ValueError) as error:
        return None, f"{type(error).__name__}: {error}"[:300], False
    return status, f"answered {status}", 200 <= status < 300


def _mail(address: str, event: Mapping[str, Any]) -> tuple[int | None, str, bool]:
    if not settings.EMAIL_HOST:
        return None, "no mail server: set EMAIL_URL", False
    subject, text = mail_of(event, settings.AGENTSYS.url)
    try:
        EmailMessage(subject, text, to=[address]).send()
    except (OSError, SMTPException, ValueError) as error:
        return None, f"{type(error).__name__}: {error}"[:300], False
    return None, f"taken by {settings.EMAIL_HOST}", True


def _post(url: str, secret: str, body: bytes) -> int:
    """A redirect is no answer: what was signed for one place goes to no other."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "agentsys",
        "Agentsys-Signature": signature(secret, int(time.time()), body),
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with closing(kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)) as other:
        other.request("POST", path, body, headers)
        return other.getresponse().status


def _call(name: str, event: Mapping[str, Any]) -> tuple[int | None, str, bool]:
    found = python_subscribers().get(name)
    if found is None:
        return None, f"no package offers the subscriber `{name}`", False
    try:
        found(dict(event))
    except Exception as error:  # the edge around foreign code
        log.warning("a subscriber broke", subscriber=name, exc_info=True)
        return None, f"{type(error).__name__}: {error}"[:300], False
    return None, "called", True


@cache
def python_subscribers() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """Functions of an event in the entry points `agentsys.subscribers`, by name. One that cannot be
    loaded is left out with a warning."""
    found: dict[str, Callable[[dict[str, Any]], Any]] = {}
    for point in entry_points(group=GROUP):
        try:
            found[point.name] = point.load()
        except Exception:
            log.warning("subscriber cannot be loaded", subscriber=point.name, exc_info=True)
    return found
