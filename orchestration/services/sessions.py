"""A worker process as the database sees it: its session lock, its leases, its heart.

A process that claims work has one `WorkerSession` row and holds the advisory lock of that row's
id on a connection of its own. When the process dies, PostgreSQL drops the connection and with it
the lock, and any sweep takes the attempts back at once. The lease is the fallback for a process
that is alive but cut off: one thread renews the leases of what the process is working on (`hold`);
when it could not for 0.7 of a lease, the process counts itself as having lost them
(`Session.failing`). A lease whose work broke off in the middle is not renewed, so it runs out.

A process that was stopped is silent but keeps its connections, and every lock it holds or has asked
for. The connections of a worker bear its name, so that the sweep can end those of one that has been
silent for a lease (`sessions_cut`). Should it come back, it finds them broken and its fences passed.

Time is the database's, except for `failing`, which measures silence on the monotonic clock.

`Session` is what one worker may do with its row and its lock, on the connection of whoever calls;
`Heart` is the thread that does it for a real process. A simulation calls `Session` itself and
makes it current with `session_use`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from django.conf import settings
from django.db import connection

from agentsys.kernel.crashpoints import crashpoint
from orchestration.models import WorkerSession

log = structlog.get_logger(__name__)

LOCK_CLASS = 0x6167  # advisory locks (class, session id)
SWEEP_LOCK = (LOCK_CLASS + 1, 1)
NAME = "agentsys worker "  # then the session's id: `application_name` of a worker's connections

# Heard is who beats or claims: what holds a lease that has not run out is not silent. After a restart of
# the server, sessions are given the time to be heard again.
_CUT = """
SELECT s.id, pg_terminate_backend(a.pid)
FROM pg_stat_activity a
JOIN agentsys_orchestration_workersession s ON a.application_name = %(name)s || s.id
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND GREATEST(s.seen_at, pg_postmaster_start_time())
      <= clock_timestamp() - make_interval(secs => %(lease)s)
  AND NOT EXISTS (SELECT 1 FROM agentsys_orchestration_attempt t
                  WHERE t.owner = s.id AND t.state = 'running' AND t.lease_until > clock_timestamp())
"""


class Session:
    """A worker's row, its lock and the leases of what it holds."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.id = 0
        self._beat = time.monotonic()
        self._locked = False
        self.draining = False  # told to stop: nothing more is claimed
        self.quiet = threading.Event()  # draining, and nothing is held any more
        self.on_beat: Callable[[], None] | None = None  # done after each beat, by whoever beats
        self._held: set[int] = set()
        self._shifts: set[int] = set()
        self._held_lock = threading.Lock()

    def enter(self) -> None:
        row = WorkerSession.objects.create(host=socket.gethostname(), pid=self.pid)
        self.id = row.pk
        self._lock()

    @contextmanager
    def hold(self, attempt_ids: Iterable[int]) -> Iterator[None]:
        """Renew the leases of these attempts for as long as the context lasts."""
        ids = set(attempt_ids)
        with self._held_lock:
            self._held |= ids
        try:
            yield
        finally:
            with self._held_lock:
                self._held -= ids
                if self.draining and not self._held:
                    self.quiet.set()

    @contextmanager
    def hold_shift(self, shift_id: int) -> Iterator[None]:
        """Renew the lease of this shift at a swarm for as long as the context lasts."""
        with self._held_lock:
            self._shifts.add(shift_id)
        try:
            yield
        finally:
            with self._held_lock:
                self._shifts.discard(shift_id)

    @property
    def held(self) -> frozenset[int]:
        """The attempts that this process is working on."""
        with self._held_lock:
            return frozenset(self._held)

    @property
    def idle(self) -> bool:
        """True when nothing more may be claimed."""
        return self.draining or self.failing

    @property
    def failing(self) -> bool:
        """True when leases could not be renewed for 0.7 of their length: stop acting."""
        silence = time.monotonic() - self._beat
        return silence > 0.7 * settings.AGENTSYS.lease_seconds

    def renew(self) -> None:
        """Renew the leases of all that is held, and the lock when its connection was lost."""
        crashpoint("C20")
        if connection.connection is None or connection.connection.closed:
            self._locked = False
        if not self._locked:
            self._lock()
        with self._held_lock:
            held, shifts = sorted(self._held), sorted(self._shifts)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE agentsys_orchestration_attempt SET lease_until ="
                " clock_timestamp() + make_interval(secs => %s)"
                " WHERE owner = %s AND state = 'running' AND id = ANY(%s)",
                [settings.AGENTSYS.lease_seconds, self.id, held],
            )
            if shifts:
                cursor.execute(
                    "UPDATE agentsys_orchestration_swarmshift SET lease_until ="
                    " clock_timestamp() + make_interval(secs => %s)"
                    " WHERE owner = %s AND ended_at IS NULL AND id = ANY(%s)",
                    [settings.AGENTSYS.lease_seconds, self.id, shifts],
                )
            cursor.execute(
                "UPDATE agentsys_orchestration_workersession SET seen_at = clock_timestamp()"
                " WHERE id = %s",
                [self.id],
            )
        self._beat = time.monotonic()
        if (act := self.on_beat) is not None:
            act()

    def leave(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE agentsys_orchestration_workersession SET ended_at = clock_timestamp()"
                    " WHERE id = %s",
                    [self.id],
                )
        except Exception as error:  # leaving: the lock goes with the connection anyway
            log.warning("session not marked as ended", session=self.id, error=str(error))
        finally:
            connection.close()

    def _lock(self) -> None:
        """Refused while a connection that broke is not yet gone at the other end: tried again."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, self.id])
            self._locked = bool(cursor.fetchone()[0])


class Heart:
    """The daemon thread that opens this process's session and keeps it until `stop`."""

    def __init__(self) -> None:
        self.session = Session()
        self._stop = threading.Event()
        self._opened = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._live, name="agentsys-heart", daemon=True)

    def start(self) -> Heart:
        self._thread.start()
        self._opened.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _live(self) -> None:
        try:
            self.session.enter()
            connection.settings_dict["OPTIONS"]["application_name"] = f"{NAME}{self.session.id}"
        except Exception as error:  # handed to whoever opened the session
            self._error = error
            return
        finally:
            self._opened.set()
        while not self._stop.wait(settings.AGENTSYS.heartbeat_seconds):
            try:
                self.session.renew()
            except Exception as error:  # the edge of a thread: keep beating, the lease decides
                log.warning("lease renewal failed", session=self.session.id, error=str(error))
                connection.close()
        self.session.leave()


_heart: Heart | None = None
_guard = threading.Lock()
_used: ContextVar[Session | None] = ContextVar("agentsys_session", default=None)


def session_current() -> Session:
    """This process's session, opened at first use; a forked child opens its own."""
    global _heart
    used = _used.get()
    if used is not None:
        return used
    with _guard:
        if _heart is None or _heart.session.pid != os.getpid():
            _heart = Heart().start()
        return _heart.session


@contextmanager
def session_use(session: Session) -> Iterator[Session]:
    """Let `session` be the current one of this thread."""
    token = _used.set(session)
    try:
        yield session
    finally:
        _used.reset(token)


def session_close() -> None:
    global _heart
    with _guard:
        if _heart is not None and _heart.session.pid == os.getpid():
            _heart.stop()
        _heart = None


def sessions_alive() -> set[int]:
    """Ids of the sessions whose advisory lock is held right now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"
            " AND granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())",
            [LOCK_CLASS],
        )
        return {row[0] for row in cursor.fetchall()}


def sessions_cut() -> set[int]:
    """End the connections of workers that were silent for a lease; the ids of their sessions.

    With a connection go its locks, and its place in the queues for others. Only the connections that
    a worker opened after its session are known by name: the session's own, which holds no other lock,
    is left to it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CUT, {"name": NAME, "lease": settings.AGENTSYS.lease_seconds})
        cut = {row[0] for row in cursor.fetchall()}
    if cut:
        log.warning("connections of silent workers ended", sessions=sorted(cut))
    return cut
