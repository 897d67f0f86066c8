"""Threads that pass one baton: exactly one runs at any time, so a history is a matter of the seed.

An actor is one process of the deployment: a worker, a sweeper, the web server. It has a thread, and
so a database connection, of its own. It runs until it reaches a place where it may be interrupted
(`reach`), and there the stage says whether it goes on, pauses or dies. Pauses happen only outside
of transactions: what holds a row's lock must not wait for others.

To die is to lose the connection with what was not committed and every advisory lock, as when a
process is killed; `Crash` then unwinds the thread. It derives from BaseException, and nothing can
be written on the way out, since the connection is closed and a new one is refused.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from django.db import OperationalError, connection

STUCK_SECONDS = 60.0
CUT = "the connection was cut (by the simulation)"
LOST = (CUT, "connection is closed", "connection is lost", "terminating connection")


class Crash(BaseException):
    """The process is dead."""


class Stuck(AssertionError):
    """An actor neither ended nor paused: it waits for something that only another could give."""


class Stage(Protocol):
    def choose(self, actor: Actor, point: str, *, may_pause: bool) -> str:
        """What happens to `actor` at `point`: "on", "pause", "crash", or "cut" off from the
        database, which the product finds out as an OperationalError."""


_here = threading.local()


def actor_here() -> Actor | None:
    """The actor whose thread this is."""
    return getattr(_here, "actor", None)


def reach(point: str) -> None:
    """For `crashpoints.arm`. Threads that are no actors pass."""
    actor = actor_here()
    if actor is not None:
        actor.reach(point)


class Actor:
    """One simulated process. Its public methods, but for `reach`, are the main thread's."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.name = name
        self.stage = stage
        self.at: str | None = None  # the point where it pauses; None while it is idle
        self.doing = ""
        self.label = ""  # `application_name` of its connections
        self.dead = False
        self.error: Exception | None = None  # what its last act raised
        self._act: Callable[[], object] | None = None
        self._command = ""
        self._aside: Callable[[], object] | None = None
        self._stuck = False
        self._wake, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, name=f"sim-{name}", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        return self.at is None

    @property
    def sound(self) -> bool:
        """False for one that is stuck: it will never do anything again."""
        return not self._stuck

    def begin(self, what: str, act: Callable[[], object]) -> None:
        """Run `act` until it ends, pauses or dies."""
        assert self.idle, f"{self.name} is busy"
        self.doing, self._act = what, act
        self.error, self.dead = None, False
        self._pass_baton()

    def resume(self, command: str = "on") -> None:
        """Let a paused actor go "on", or "crash"."""
        assert not self.idle, f"{self.name} does not pause"
        self._command = command
        self._pass_baton()

    def aside(self, act: Callable[[], object]) -> None:
        """Let a paused actor do something else, without a pause in it, and pause again: what
        another thread of its process would do."""
        self._aside = act
        self.resume("aside")

    def close(self) -> None:
        """End the thread; a paused act dies."""
        if self._stuck:
            return
        if not self.idle:
            self.resume("crash")
        self._act = None
        self._wake.release()
        self._thread.join(timeout=STUCK_SECONDS)

    def reach(self, point: str) -> None:
        """In the actor's own thread: maybe pause, maybe die."""
        if self.dead:
            raise Crash
        may_pause = not connection.in_atomic_block and self._aside is None
        match self.stage.choose(self, point, may_pause=may_pause):
            case "pause" if may_pause:
                self._pause(point)
            case "crash":
                self.die()
            case "cut":
                connection_kill()
                raise OperationalError(CUT)

    def die(self) -> None:
        self.dead = True
        connection_kill()
        raise Crash

    def _pause(self, point: str) -> None:
        while True:
            self.at = point
            self._back.release()
            self._wake.acquire()
            self.at = None
            match self._command:
                case "aside":
                    self._do_aside()
                case "crash":
                    self.die()
                case _:
                    return

    def _do_aside(self) -> None:
        assert self._aside is not None
        try:
            self._aside()
        except OperationalError:  # the edge of a thread, as in the product
            connection.close()
        finally:
            self._aside = None

    def _pass_baton(self) -> None:
        self._wake.release()
        if not self._back.acquire(timeout=STUCK_SECONDS):
            self._stuck = True
            frame = sys._current_frames().get(self._thread.ident or 0)
            where = "".join(traceback.format_stack(frame)) if frame else ""
            raise Stuck(f"{self.name} is stuck in {self.doing}:\n{where}")

    def _live(self) -> None:
        _here.actor = self
        while True:
            self._wake.acquire()
            if self._act is None:
                break
            try:
                self._act()
            except Crash:
                pass
            except Exception as error:  # the edge of a thread; a dying one may raise anything
                self.error = None if self.dead else error
                if was_cut(error):
                    connection.close()
            if self.dead:
                connection.close()
            self.at = None
            self._back.release()
        connection.close()


def was_cut(error: BaseException | None) -> bool:
    """Whether `error` is, or comes from, a connection that the simulation has cut, or a session
    that was taken for dead."""
    while error is not None:
        if any(words in str(error) for words in LOST):
            return True
        error = error.__cause__ or error.__context__
    return False


def connection_kill() -> None:
    """What PostgreSQL does when a client is gone, but at once: rolled back, locks dropped."""
    raw = connection.connection
    if raw is not None and not raw.closed:
        with suppress(Exception):
            raw.rollback()
            raw.execute("SELECT pg_advisory_unlock_all()")
            raw.commit()
        raw.close()


def refuse_the_dead(**_: object) -> None:
    """For the signal `connection_created`: who is dead gets no new connection."""
    actor = actor_here()
    if actor is not None and actor.dead:
        raise Crash


def bear_the_label(**event: object) -> None:
    """For the signal `connection_created`: a worker's connections have its session's name."""
    actor = actor_here()
    if actor is not None and actor.label:
        label_set(actor.label)


def label_set(label: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('application_name', %s, false)", [label])


def wait_for_the_end(labels: list[str]) -> None:
    """Until no connection with one of these names is left: a server takes a moment to end them.
    Of this database:
    tests that run beside this one have sessions of the same names. No moment of a history: it asks past
    Django, so that nobody is interrupted here."""
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = ANY(%s)"
        " AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    while connection.connection.execute(left, [labels]).fetchone() != (0,):
        pass
