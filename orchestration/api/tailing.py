"""One look for all who follow: a thread of this process sees which followed goals have moved on.

A stream that looked for itself would take a connection, and two statements every half second. Here one
statement asks for all that are followed, whoever follows a goal that moved is woken, and what is drawn of
it is drawn once for everybody. Nobody follows: no thread, no connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import structlog
from django.db import Error, InterfaceError, OperationalError, connection

from orchestration.models import Goal

LOOK_SECONDS = 0.15
REST = 4  # times as long as a drawing took, a goal is not drawn again
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown of a goal, where its ledger stood (-1: not drawn yet), and whether it is the last."""

    text: str = ""
    over: bool = False
    seq: int = -1


Wake = Callable[[], None]
Draw = Callable[[int], Picture]


@dataclass(slots=True)
class _Followed:
    """`seq` is where the ledger stood when it was last seen."""

    wakes: list[Wake] = field(default_factory=list)
    seq: int = -1
    draw: Draw | None = None
    picture: Picture = Picture()
    rests_until: float = 0.0


class Tail:
    """Goals that are followed in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._goals: dict[int, _Followed] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def follow(self, goal_id: int, wake: Wake, draw: Draw | None = None) -> Iterator[None]:
        """`wake` is called from another thread, soon after the goal's ledger grew, and once in the
        beginning. `draw`, given a goal's id, makes the picture that `picture` returns."""
        with self._lock:
            followed = self._goals.setdefault(goal_id, _Followed())
            followed.wakes.append(wake)
            followed.draw = followed.draw or draw
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tail", daemon=True)
                self._thread.start()
        if followed.seq >= 0:
            wake()
        try:
            yield
        finally:
            with self._lock:
                followed.wakes.remove(wake)
                if not followed.wakes:
                    self._goals.pop(goal_id, None)

    def picture(self, goal_id: int) -> Picture:
        """What was last drawn of a goal that is followed."""
        with self._lock:
            followed = self._goals.get(goal_id)
            return followed.picture if followed else Picture()

    def _run(self) -> None:
        try:
            while not self._left():
                self._looked()
                time.sleep(LOOK_SECONDS)
        finally:
            connection.close()

    def _left(self) -> bool:
        """Whether nobody follows anything any more; the thread is then at its end."""
        with self._lock:
            if not self._goals:
                self._thread = None
            return not self._goals

    def _looked(self) -> None:
        with self._lock:
            goals = dict(self._goals)
        try:
            rows = Goal.objects.filter(pk__in=list(goals)).values_list("pk", "ledger_seq")
            for goal_id, seq in rows:
                self._seen(goal_id, goals.pop(goal_id), seq)
            for followed in goals.values():
                self._gone(followed)
        except (
            Error,
            RuntimeError,
        ) as error:  # RuntimeError: the loop of whoever follows is closed
            connection.close()  # a new one at the next look
            log.warning("events.not_looked", reason=" ".join(str(error).split())[:200])

    def _seen(self, goal_id: int, followed: _Followed, seq: int) -> None:
        moved = seq != followed.seq
        followed.seq = seq
        stale = seq != followed.picture.seq
        if followed.draw and stale and time.monotonic() >= followed.rests_until:
            self._draw(goal_id, followed, followed.draw)
            moved = True
        with self._lock:
            wakes = list(followed.wakes) if moved else []
        for wake in wakes:
            wake()

    def _gone(self, followed: _Followed) -> None:
        """A goal that is there no more has nothing more to tell."""
        if followed.picture.over:
            return
        with self._lock:
            followed.picture = Picture(over=True)
            wakes = list(followed.wakes)
        for wake in wakes:
            wake()

    def _draw(self, goal_id: int, followed: _Followed, draw: Draw) -> None:
        """What changes while it is drawn is drawn again: `seq` was read before."""
        began = time.monotonic()
        picture = followed.picture
        try:
            picture = draw(goal_id)
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # a goal that cannot be drawn stops nobody else's stream
            log.exception("events.not_drawn", goal=goal_id)
        ended = time.monotonic()
        with self._lock:
            followed.picture = replace(picture, seq=followed.seq)
            followed.rests_until = ended + REST * (ended - began)


TAIL = Tail()
