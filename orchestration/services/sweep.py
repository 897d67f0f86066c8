"""The sweep: what makes losing any message, or any worker, cost only time.

Every worker process sweeps, one at a time under an advisory lock; beat may ask for one too. It
takes back what dead or silent workers held, sends again what is due, expires what nobody decided,
and looks again at goals where nothing moves. Everything it does may be done twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from agentsys.kernel.crashpoints import crashpoint
from orchestration.domain.canvas import Link
from orchestration.domain.lives import AttemptEvent, TaskEvent
from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Task
from orchestration.services import dispatch
from orchestration.services.advance import advance
from orchestration.services.approvals import approval_expire
from orchestration.services.budgets import reservations_release
from orchestration.services.bus import subscribers_feed
from orchestration.services.ending import task_fail, task_retry
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.leftovers import leftovers_due
from orchestration.services.moves import attempts_move
from orchestration.services.overtime import overtime, overtime_park
from orchestration.services.pausing import deadline_passed, overdue, pauses_spread
from orchestration.services.proposals import proposals_abandoned
from orchestration.services.schedules import schedule_fire, schedules_due
from orchestration.services.sessions import (
    SWEEP_LOCK,
    session_current,
    sessions_alive,
    sessions_cut,
)
from orchestration.services.settle import attempt_settle
from orchestration.services.swarm_sweep import shifts_take_back, swarms_publish
from orchestration.services.wrapup import wrap_up
from verification import services as verification

log = structlog.get_logger(__name__)

PUBLISH_MAX = 500

# Sent first, marked after: a sweep that dies in between sends once more, which harms nobody. The other
# way round, what was marked and never sent would wait for its next time.
_DUE = """
SELECT a.id, a.goal_id, a.lane, t.id, t.fence FROM agentsys_orchestration_attempt a
JOIN agentsys_orchestration_task t ON t.id = a.task_id
JOIN agentsys_orchestration_goal g ON g.id = a.goal_id
WHERE a.state = 'queued' AND a.publish_due_at <= clock_timestamp()
  AND t.state = 'ready' AND (t.due_at IS NULL OR t.due_at <= clock_timestamp())
  AND g.state = 'running' AND g.paused_at IS NULL AND t.paused_at IS NULL
ORDER BY a.publish_due_at, a.id LIMIT %(limit)s
"""

_SENT = """
UPDATE agentsys_orchestration_attempt a
SET publishes = a.publishes + 1,
    publish_due_at = clock_timestamp() + make_interval(
        secs => LEAST(%(first)s * 2 ^ LEAST(a.publishes, 10), %(most)s))
WHERE a.id = ANY(%(ids)s) AND a.state = 'queued' AND a.publish_due_at <= clock_timestamp()
"""

# A session that was not heard since the server came up has lost its lock with its connection, not
# with its life: it is given until its lease runs out.
_RUNNING = """
SELECT a.id, a.owner, a.lease_until <= clock_timestamp(), EXISTS (
    SELECT 1 FROM agentsys_orchestration_workersession s
    WHERE s.id = a.owner AND s.ended_at IS NULL AND s.seen_at < pg_postmaster_start_time())
FROM agentsys_orchestration_attempt a WHERE a.state = 'running' ORDER BY a.id
"""


def sweep() -> dict[str, int] | None:
    """One sweep; counts by kind, or None when somebody else is sweeping."""
    with _turn() as mine:
        if not mine:
            return None
        return {name: _part(name, act) for name, act in PARTS.items()}


def _part(name: str, act: Callable[[], int]) -> int:
    """A part that breaks, with the database perhaps, must not cost the others their turn."""
    try:
        return act()
    except Exception as error:  # the sweep's edge: the next one tries again
        log.warning(
            "a part of the sweep broke", part=name, error=f"{type(error).__name__}: {error}"
        )
        connection.close()
        return 0


@contextmanager
def _turn() -> Iterator[bool]:
    """True when nobody else sweeps. Whoever does waits for nobody's lock for longer than a lease."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", SWEEP_LOCK)
        (locked,) = cursor.fetchone()
        if locked:
            lease = f"{round(settings.AGENTSYS.lease_seconds * 1000)}ms"
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [lease])
    try:
        yield locked
    finally:
        if locked and connection.connection is not None:  # else the lock went with it
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", SWEEP_LOCK)


def _each(what: str, ids: list[int], act: Callable[[int], object]) -> int:
    """One row that cannot be handled must not stop the others."""
    for row_id in ids:
        try:
            act(row_id)
        except Exception:  # the sweep's edge: logged, tried again by the next one
            log.exception("sweep could not", what=what, id=row_id)
    return len(ids)


def lost_attempts() -> list[int]:
    """Running attempts whose worker's session is gone, or whose lease ran out.

    Attempts first, sessions after: a session that opens and claims in between is not taken for dead.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RUNNING)
        rows = cursor.fetchall()
    alive = sessions_alive() if rows else set()
    return [row[0] for row in rows if row[2] or not (row[1] in alive or row[3])]


def _take_back(attempt_ids: Collection[int]) -> int:
    """Goal by goal: what a dead worker held of one goal is taken back in one transaction."""
    rows = Attempt.objects.filter(pk__in=attempt_ids).order_by("pk")
    of_goal: dict[int, list[int]] = {}
    for attempt_id, goal_id in rows.values_list("pk", "goal_id"):
        of_goal.setdefault(goal_id, []).append(attempt_id)
    _each("take back", sorted(of_goal), lambda goal_id: lost_take_back(*of_goal[goal_id]))
    return len(attempt_ids)


def lost_take_back(*attempt_ids: int) -> None:
    """The worker is gone: its successor continues the journal. Three losses are a quarantine.

    The attempts are of one goal. Which task killed a worker that held many is not known: those it
    was lost with are served one by one from now on (`hotpath.claim`), so the next loss tells.
    """
    goal_id = Attempt.objects.values_list("goal_id", flat=True).get(pk=attempt_ids[0])
    after = Followups()
    with goal_locked(goal_id) as book:
        still = sorted(set(lost_attempts()) & set(attempt_ids))
        for attempt in Attempt.objects.select_related("task").filter(pk__in=still).order_by("pk"):
            _take_back_one(book, attempt, after)
    crashpoint("C19")
    after.publish(goal_id)


def _take_back_one(book: Book, attempt: Attempt, after: Followups) -> None:
    reason = f"worker {attempt.owner} was lost"
    if not attempts_move(
        book,
        [attempt.pk],
        AttemptEvent.LOST,
        actor="sweep",
        fence=attempt.fence,
        payload={"owner": attempt.owner},
        fields={"reason": reason, "lease_until": None},
    ):
        return
    losses = attempt.task.losses + 1
    Task.objects.filter(pk=attempt.task_id).update(losses=losses)
    if losses >= settings.AGENTSYS.lost_max:
        task_fail(
            book,
            attempt.task_id,
            after=after,
            actor="sweep",
            reason=f"quarantined: {losses} workers were lost while they worked on it",
        )
    else:
        task_retry(
            book,
            attempt.task_id,
            reason=reason,
            delay_seconds=0,
            after=after,
            event=TaskEvent.LOST,
            lineage=attempt.lineage,
        )
        if attempt.lease_until is not None and attempt.lease_until <= book.now:
            # Silent, not dead: its open connection to the broker may swallow the first message.
            successor = Attempt.objects.filter(task_id=attempt.task_id, state="queued")
            successor.update(publish_due_at=book.now)


def unsettled() -> list[int]:
    """Reported attempts whose verdicts are all in, but whose `settle` never came; not those that
    wait for their change to be merged."""
    merging = Proposal.objects.exclude(state__in=("stale", "withdrawn")).filter(
        attempt=OuterRef("pk")
    )
    waiting = Attempt.objects.filter(~Exists(merging), state="reported", task__state="verifying")
    ids = list(waiting.order_by("pk").values_list("pk", flat=True)[:PUBLISH_MAX])
    views = verification.verdicts_of(ids)
    return [pk for pk in ids if all(v.outcome is not None for v in views.get(pk, ()))]


def _settle(attempt_id: int) -> None:
    goal_id = Attempt.objects.values_list("goal_id", flat=True).get(pk=attempt_id)
    attempt_settle(attempt_id).publish(goal_id)


def attempts_publish() -> int:
    """Send again what was queued and not claimed in time."""
    config = settings.AGENTSYS
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"limit": PUBLISH_MAX})
        rows = cursor.fetchall()
    cheap = sum(1 for row in rows if row[2] == "cheap")
    if cheap:
        dispatch.ring(cheap)
    by_goal: dict[int, list[Link]] = {}
    for _, goal_id, lane, task_id, fence in rows:
        if lane == "agent":
            by_goal.setdefault(goal_id, []).append(Link(task_id, fence))
    for goal_id, links in by_goal.items():
        dispatch.publish_links(goal_id, links)
    values = {"first": config.republish_seconds, "most": config.republish_max_seconds}
    with connection.cursor() as cursor:
        cursor.execute(_SENT, {**values, "ids": [row[0] for row in rows]})
    return len(rows)


def verdicts_publish() -> int:
    with transaction.atomic():
        due = verification.verdicts_due(PUBLISH_MAX)
    by_attempt: dict[int, list[tuple[str, str]]] = {}
    for _, attempt_id, verifier, voter in due:
        by_attempt.setdefault(attempt_id, []).append((verifier, voter))
    for attempt_id, pairs in by_attempt.items():
        dispatch.publish_verifiers(attempt_id, pairs)
    verification.verdicts_published([row[0] for row in due])
    return len(due)


def _proposals_publish() -> int:
    due = _due(Proposal.objects.filter(state="approved"), "apply_due_at")
    due += [pk for pk in proposals_abandoned() if pk not in due]
    for proposal_id in due:
        dispatch.send("orchestration.apply", proposal_id)
    _push("agentsys_orchestration_proposal", "apply_due_at", due)
    return len(due)


def _plans_publish() -> int:
    due = _due(Goal.objects.filter(state="planning"), "publish_due_at")
    for goal_id in due:
        dispatch.send("orchestration.plan", goal_id)
    _push("agentsys_orchestration_goal", "publish_due_at", due)
    return len(due)


def _reflections_publish() -> int:
    due = _due(Goal.objects.filter(reflect_due_at__isnull=False), "reflect_due_at")
    for goal_id in due:
        dispatch.send("orchestration.reflect", goal_id)
    _push("agentsys_orchestration_goal", "reflect_due_at", due)
    return len(due)


def over() -> list[int]:
    ended = Goal.objects.filter(finished_at__isnull=False)
    return _due(ended, "publish_due_at")


def expired() -> list[int]:
    requests = ApprovalRequest.objects.filter(state="open", goal__paused_at__isnull=True)
    return _due(requests.filter(Q(task=None) | Q(task__paused_at__isnull=True)), "due_at")


def stalled() -> list[int]:
    """Running goals in which nothing is ready, running, verifying or held."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT g.id FROM agentsys_orchestration_goal g"
            " WHERE g.state = 'running' AND g.paused_at IS NULL AND NOT EXISTS ("
            "  SELECT 1 FROM agentsys_orchestration_task t WHERE t.goal_id = g.id"
            "  AND t.state IN ('ready', 'running', 'verifying', 'held'))"
            " OR g.state = 'running' AND g.paused_at IS NULL AND EXISTS ("
            "  SELECT 1 FROM agentsys_orchestration_task t WHERE t.goal_id = g.id"
            "  AND t.state = 'blocked' AND t.unmet = 0 AND t.paused_at IS NULL)"
            " ORDER BY g.id LIMIT %s",
            [PUBLISH_MAX],
        )
        return [row[0] for row in cursor.fetchall()]


def _subscribers() -> int:
    """What subscribers are to be told; sent by a message, since the other side may be slow."""
    due = subscribers_feed()
    if due:
        dispatch.send("orchestration.deliver")
    return int(due)


def _due(rows, field: str) -> list[int]:  # type: ignore[no-untyped-def]
    """Ids of `rows` whose `field` has passed by the database's clock."""
    from django.db.models.functions import Now

    due = rows.filter(**{f"{field}__lte": Now()}).order_by(field)
    return list(due.values_list("pk", flat=True)[:PUBLISH_MAX])


def _push(table: str, field: str, ids: list[int]) -> None:
    """Due again later: a message is on its way."""
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {field} = clock_timestamp() + make_interval(secs => %s)"  # noqa: S608
                f" WHERE id = ANY(%s) AND {field} IS NOT NULL",
                [settings.AGENTSYS.republish_max_seconds, ids],
            )


PARTS: Mapping[str, Callable[[], int]] = {
    "taken_back": lambda: _take_back(lost_attempts()),
    "shifts": lambda: shifts_take_back(),
    "settled": lambda: _each("settle", unsettled(), _settle),
    "published": lambda: attempts_publish(),
    "swarms": lambda: swarms_publish(),
    "verdicts": lambda: verdicts_publish(),
    "proposals": _proposals_publish,
    "planned": _plans_publish,
    "wrapped": lambda: _each("wrap up", over(), wrap_up),
    "reflected": _reflections_publish,
    "reservations": lambda: reservations_release(),
    "expired": lambda: _each("expire", expired(), approval_expire),
    "overtime": lambda: _each("park", overtime(), overtime_park),
    "scheduled": lambda: _each("submit", schedules_due(), schedule_fire),
    "overdue": lambda: _each("park", overdue(), deadline_passed),
    "pauses": lambda: pauses_spread(),
    "advanced": lambda: _each("advance", stalled(), lambda pk: advance(pk)),
    "leftovers": lambda: leftovers_due(),
    "subscribers": lambda: _subscribers(),
}


class Sweeper:
    """Sweeps every `sweep_seconds` in a daemon thread of a worker's main process. Another thread cuts
    silent workers off: the sweep may be waiting for a lock that one of them holds.

    After a long sleep of its own, as of a machine that was suspended, it lets everybody be heard
    first: all leases have run out, and nobody has died.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        acts = {"agentsys-sweep": sweep, "agentsys-cut": sessions_cut}
        self._threads = [
            threading.Thread(target=self._live, args=(act,), name=name, daemon=True)
            for name, act in acts.items()
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def _live(self, act: Callable[[], object]) -> None:
        while not self._stopped_after(settings.AGENTSYS.sweep_seconds):
            try:
                session_current()
                act()
            except Exception as error:  # the edge of a thread: the next round tries again
                log.warning("sweep failed", error=f"{type(error).__name__}: {error}")
                connection.close()
        connection.close()

    def _stopped_after(self, seconds: float) -> bool:
        began, beats = _uptime(), 2 * settings.AGENTSYS.heartbeat_seconds
        stopped = self._stop.wait(seconds)
        if not stopped and _uptime() - began > seconds + beats:
            stopped = self._stop.wait(beats)
        return stopped


def _uptime() -> float:
    """Seconds since the machine came up; those that it was suspended for count too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
