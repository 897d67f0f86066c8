"""What a person is told in the console: what waits for them, and what became of goals that concern them.

One rule says which goals those are: the ones that they submitted, and every goal of the projects that
they decide in (`deciders`), whoever handed it in, on the command line under whatever name.

Nothing is stored but how far they have read: the ledger is the list. An entry that commits in the same
moment behind one of a greater id can be passed over as read; it stands on the list all the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.utils.translation import gettext

from orchestration.domain.telling import told, tone_of
from orchestration.models import ApprovalRequest, Reader
from orchestration.models.ledger import NOTABLE
from orchestration.services.deciders import decidable_by, projects_decided

DAYS = 30
GOALS_MAX = 500  # the newest that the reader submitted, and as many that they decide in
SHOWN_MAX = 100
COUNTED_MAX = 100
DRIFT_ROWS = 5000  # the newest checkpoints that are looked through

# From the goals that concern the reader to their entries, by small indexes: what other goals have does
# not matter. A request tells of itself where it waits for the reader; of others they hear only of money.
_MINE = f"""
FROM (
    (SELECT g.id, g.objective FROM agentsys_orchestration_goal g
     WHERE g.created_by = %(name)s
       AND (%(projects)s::bigint[] IS NULL OR g.project_id = ANY(%(projects)s))
     ORDER BY g.id DESC LIMIT {GOALS_MAX})
    UNION
    (SELECT g.id, g.objective FROM agentsys_orchestration_goal g
     WHERE %(decided)s::bigint[] IS NULL OR g.project_id = ANY(%(decided)s)
     ORDER BY g.id DESC LIMIT {GOALS_MAX})
) g CROSS JOIN LATERAL (
    SELECT * FROM agentsys_orchestration_ledgerentry e
    WHERE e.goal_id = g.id AND e.id > {{after}}
      AND e.event IN ({", ".join(f"'{name}'" for name in NOTABLE)})
      AND e.at > clock_timestamp() - make_interval(days => %(days)s)
      AND e.actor <> %(name)s
      AND (e.event <> 'approval.requested' OR e.payload->>'kind' = 'budget')
    ORDER BY e.id DESC LIMIT %(limit)s
) e
"""  # noqa: S608 - put together from names of our own
_DRIFTED = """
FROM agentsys_workers_driftscore d
JOIN agentsys_orchestration_attempt a ON a.id = d.attempt_id
JOIN agentsys_orchestration_task t ON t.id = a.task_id
JOIN agentsys_orchestration_goal g ON g.id = a.goal_id
WHERE d.id > (SELECT max(id) FROM agentsys_workers_driftscore) - %(drift_rows)s
  AND d.outcome = 'drifted'
  AND (g.created_by = %(name)s OR %(decided)s::bigint[] IS NULL OR g.project_id = ANY(%(decided)s))
  AND d.created_at > clock_timestamp() - make_interval(days => %(days)s)
  AND (%(projects)s::bigint[] IS NULL OR g.project_id = ANY(%(projects)s))
"""
_LIST = f"""
SELECT e.id, e.goal_id, g.objective, e.event, e.payload, e.actor, e.at {_MINE.format(after="0")}
ORDER BY e.id DESC LIMIT %(limit)s
"""
_DRIFTS = f"""
SELECT a.goal_id, g.objective, a.id, t.key, d.step, d.created_at {_DRIFTED}
ORDER BY d.id DESC LIMIT %(limit)s
"""
_UNREAD = f"""
WITH me AS (
    SELECT COALESCE(max(ledger_seen), 0) AS seen, max(seen_at) AS at
    FROM agentsys_orchestration_reader WHERE user_id = %(user)s
)
SELECT (SELECT count(*) FROM (
            SELECT 1 {_MINE.format(after="(SELECT seen FROM me)")} LIMIT %(limit)s) x),
       (SELECT count(*) FROM (
            SELECT 1 {_DRIFTED} AND d.created_at > COALESCE((SELECT at FROM me), '-infinity')
            LIMIT %(limit)s) y)
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Notice:
    """`said` and `tone` are as in the goal's log; `attempt_id` where an attempt is what it is about."""

    goal_id: int
    objective: str
    said: str
    tone: str
    actor: str
    at: datetime
    is_new: bool
    entry_id: int = 0
    attempt_id: int | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """Counts up to `COUNTED_MAX`: requests that the reader may decide, and what is new."""

    waiting: int
    new: int

    @property
    def total(self) -> int:
        return self.waiting + self.new


def unread_of(user: User, projects: Sequence[int] | None) -> Unread:
    """For the bell; `projects` are those that `user` may look into (None: all)."""
    with connection.cursor() as cursor:
        cursor.execute(_UNREAD, {**_asked(user, projects, COUNTED_MAX), "user": user.pk})
        entries, drifts = cursor.fetchone()
    waiting = ApprovalRequest.objects.filter(decidable_by(user))[:COUNTED_MAX].count()
    return Unread(waiting, int(entries) + int(drifts))


def notices_of(user: User, projects: Sequence[int] | None) -> list[Notice]:
    """What became of goals that concern the reader in the last `DAYS`: the newest `SHOWN_MAX`."""
    reader = Reader.objects.filter(pk=user.pk).first() or Reader(user=user)
    asked = _asked(user, projects, SHOWN_MAX)
    with connection.cursor() as cursor:
        cursor.execute(_LIST, asked)
        found = [_entry(row, reader) for row in cursor.fetchall()]
        cursor.execute(_DRIFTS, asked)
        found += [_drift(row, reader) for row in cursor.fetchall()]
    return sorted(found, key=lambda notice: notice.at, reverse=True)[:SHOWN_MAX]


def notices_read(user: User, up_to: int, at: datetime) -> None:
    """Mark what stands on a page that was made at `at`, with entries up to the id `up_to`, as read.
    A cursor never goes back."""
    reader, _ = Reader.objects.get_or_create(pk=user.pk)
    reader.ledger_seen = max(reader.ledger_seen, up_to)
    reader.seen_at = max(reader.seen_at or at, at)
    reader.save(update_fields=["ledger_seen", "seen_at"])


def _asked(user: User, projects: Sequence[int] | None, limit: int) -> dict[str, Any]:
    return {
        "name": user.get_username(),
        "projects": None if projects is None else list(projects),
        "decided": projects_decided(user),
        "limit": limit,
        "days": DAYS,
        "drift_rows": DRIFT_ROWS,
    }


def _entry(row: tuple[Any, ...], reader: Reader) -> Notice:
    pk, goal_id, objective, event, text, actor, at = row
    payload = json.loads(text)  # Django leaves jsonb of its cursors as text
    return Notice(
        goal_id,
        objective,
        told(event, payload, gettext),
        tone_of(event, payload),
        actor,
        at,
        is_new=pk > reader.ledger_seen,
        entry_id=pk,
    )


def _drift(row: tuple[Any, ...], reader: Reader) -> Notice:
    goal_id, objective, attempt_id, key, step, at = row
    is_new = reader.seen_at is None or at > reader.seen_at
    said = gettext("%(key)s has left its task, at step %(step)s") % {"key": key, "step": step}
    return Notice(goal_id, objective, said, "wait", "checkpoint", at, is_new, attempt_id=attempt_id)
