"""The worker's loop: claim, run, settle and claim again in one transaction, while work is ready.

A doorbell (`serve`) brings in cheap deterministic tasks in batches sized by how long they take;
`task_serve` runs one agent task. Both end in `settle.finish`, so there is one truth. Nothing is
held open while an agent runs: no transaction, no lock, only the lease.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import AgentsysError, LeaseLost
from orchestration.domain.settling import failed
from orchestration.models import Attempt, Task
from orchestration.services import dispatch
from orchestration.services.advance import advance
from orchestration.services.draining import attempts_release
from orchestration.services.ending import look_for_the_end
from orchestration.services.executing import Ran, attempt_do, blobs_store, briefs_of, broken
from orchestration.services.followups import Followups
from orchestration.services.hotpath import Claimed, claim, goal_next
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.ports import AttemptPorts
from orchestration.services.reuse import reuse_look
from orchestration.services.scopes import scopes_take
from orchestration.services.sessions import Session, session_current
from orchestration.services.settle import Finished, finish, finish_alone
from workers.contracts import Brief, FailureKind

log = structlog.get_logger(__name__)

SCOPE_SECONDS = 1.0  # a task whose scopes are held is tried again after this
T = TypeVar("T")
COMMIT_PATIENCE = (0.1, 0.5, 2.0)  # seconds before a transaction that broke is tried again
BATCH_TARGET_SECONDS = 0.25  # a batch of cheap tasks should take about this long
AHEAD = 16  # are claimed at once, also where each is settled by itself
LONG_SECONDS = 1.0  # what was claimed with a task that takes longer is given back


def serve() -> int:
    """Answer a doorbell: cheap tasks in batches until none is ready; returns how many were run."""
    crashpoint("C03")
    session, config = session_current(), settings.AGENTSYS
    deadline = time.monotonic() + config.slice_seconds
    served, size = 0, min(10, config.batch_max)
    while not session.idle and time.monotonic() < deadline:
        goal_id = goal_next("cheap")
        if goal_id is None:
            break
        count, size = _serve_goal(goal_id, session, size, deadline)
        served += count
        if count == 0:
            break
    return served


def _serve_goal(goal_id: int, session: Session, size: int, deadline: float) -> tuple[int, int]:
    """Claim from one goal and go on, settling and claiming in one transaction, for its turn.

    What is done is settled when it is a batch or has taken as long as one should, and when nothing
    is left that was claimed with it.
    """
    config = settings.AGENTSYS
    served, ahead, limited = 0, _Ahead(session, goal_id), False

    def take(book: Book) -> tuple[list[Claimed], list[Brief | AgentsysError]]:
        nonlocal limited
        limited = book.running_max is not None
        claimed = _claim_cheap(book, session, max(size, AHEAD))
        return claimed, briefs_of(book, claimed)

    claims, briefs = _surely(goal_id, session, take)
    turn_ends = min(deadline, time.monotonic() + 2.0)  # other goals get their turn
    while claims:
        crashpoint("C04")
        started, count = time.monotonic(), len(claims)
        with session.hold(c.attempt_id for c in claims), ahead.of(claims, briefs):
            while batch := ahead.run(config.batch_max):
                blobs_store(batch)
                served += len(batch)
                claims, briefs, limit = [], [], 0
                if last := not ahead.waiting:
                    size = _next_size(size, time.monotonic() - started, count, config.batch_max)
                    goes_on = not session.idle and time.monotonic() < turn_ends
                    limit = max(size, AHEAD) if goes_on else 0
                after, claims, briefs = _settle_cheap(goal_id, session, batch, limit, last=last)
                if claims:
                    # this worker goes on with the cheap ones itself
                    mine = after.unlocked
                    after.unlocked = type(mine)(mine.agents, mine.cheap[size:], mine.expandable)
                looks = not claims and after.take_look()
                after.publish(goal_id)
                if looks:
                    advance(goal_id)  # at once: a message would come after this worker's turn
    if limited and served:
        dispatch.publish_next(
            goal_id, min(served, dispatch.PUBLISHED_NEXT)
        )  # there is room for others
    return served, size


class _Ahead:
    """Tasks that were claimed together and run one after the other.

    Those behind one that takes long are given back by the heart, for others to take.
    """

    def __init__(self, session: Session, goal_id: int) -> None:
        self._session = session
        self._goal_id = goal_id
        self._claims: deque[tuple[Claimed, Brief | AgentsysError]] = deque()
        self._lock = threading.Lock()
        self._begun = 0.0

    @contextmanager
    def of(
        self, claims: Sequence[Claimed], briefs: Sequence[Brief | AgentsysError]
    ) -> Iterator[None]:
        self._claims = deque(zip(claims, briefs, strict=True))
        self._session.on_beat = self._ease
        try:
            yield
        finally:
            self._session.on_beat = None

    @property
    def waiting(self) -> bool:
        return bool(self._claims)

    def run(self, most: int) -> list[Ran]:
        """What of it is run now: up to `most`, and no longer than a batch should take."""
        done: list[Ran] = []
        ends = time.monotonic() + BATCH_TARGET_SECONDS
        while len(done) < most and (not done or time.monotonic() < ends):
            taken = self._next()
            if taken is None:
                break
            done.append(attempt_do(*taken, None))
        return done

    def _next(self) -> tuple[Claimed, Brief | AgentsysError] | None:
        with self._lock:
            self._begun = time.monotonic()
            return self._claims.popleft() if self._claims else None

    def _ease(self) -> None:
        """In the heart's thread, after each beat."""
        with self._lock:
            if not self._claims or time.monotonic() - self._begun < LONG_SECONDS:
                return
            behind = {claimed.attempt_id for claimed, _ in self._claims}
            self._claims.clear()
        keep = self._session.held - behind
        count = attempts_release(self._session.id, goal_id=self._goal_id, keep=keep)
        log.info("gave back what waited behind a long task", goal=self._goal_id, attempts=count)


def _settle_cheap(
    goal_id: int, session: Session, batch: Sequence[Ran], limit: int, *, last: bool
) -> tuple[Followups, list[Claimed], list[Brief | AgentsysError]]:
    """Settle the batch and claim up to `limit` more in the same transaction. The `last` of what was
    claimed looks whether anything is left that could go on; one that is neither has the short way.

    When there is one among them whose report PostgreSQL refuses, each is settled by itself and
    nothing more is claimed: one bad report must not cost the others their attempt.
    """

    def settle(book: Book) -> tuple[Followups, list[Claimed], list[Brief | AgentsysError]]:
        after = finish(book, [item.finished for item in batch])
        claims = _claim_cheap(book, session, limit) if limit else []
        if last and not claims:
            look_for_the_end(book, after)
        return after, claims, briefs_of(book, claims)

    if len(batch) == 1 and not last and (after := _settle_shortly(goal_id, batch[0].finished)):
        return after, [], []
    try:
        return _surely(goal_id, session, settle)
    except (DataError, IntegrityError) as error:
        log.warning("a batch cannot be settled at once", goal=goal_id, error=str(error))
    after = Followups()
    for item in batch:
        after += _settle_alone(goal_id, session, item.finished)
    return after, [], []


def _settle_shortly(goal_id: int, finished: Finished) -> Followups | None:
    """None when it must be tried the long way: that finds out what an error means, and whether what
    was written before the connection broke."""
    try:
        return finish_alone(goal_id, finished)
    except (OperationalError, InterfaceError) as error:
        log.warning("a commit is in doubt", goal=goal_id, error=str(error).strip())
        connection.close()
    except (DataError, IntegrityError) as error:
        log.warning("a report cannot be stored as it is", goal=goal_id, error=str(error))
    return None


def _settle_alone(goal_id: int, session: Session, finished: Finished) -> Followups:
    def settle(book: Book, one: Finished = finished) -> Followups:
        after = finish(book, [one])
        look_for_the_end(book, after)
        return after

    try:
        return _surely(goal_id, session, settle)
    except (DataError, IntegrityError) as error:
        facts = failed(FailureKind.BAD_OUTPUT, f"its report cannot be stored: {error}"[:500])
        refused = broken(finished.claim, facts)
        return _surely(goal_id, session, lambda book: settle(book, refused))


def _surely(goal_id: int, session: Session, act: Callable[[Book], T]) -> T:
    """`act` in the goal's transaction, again when the connection broke in it.

    A COMMIT whose answer never came may have been carried out; what `act` settles is guarded by
    fences, so that a second time moves nothing. What it may have claimed, unknown to us, goes back
    to the queue at once.
    """
    for patience in COMMIT_PATIENCE:
        try:
            with goal_locked(goal_id) as book:
                return act(book)
        except (OperationalError, InterfaceError) as error:
            log.warning("a commit is in doubt", goal=goal_id, error=str(error).strip())
            connection.close()
            if session.failing:
                break
            time.sleep(patience)
            with suppress(OperationalError, InterfaceError):
                attempts_release(session.id, goal_id=goal_id, keep=session.held)
    with goal_locked(goal_id) as book:
        return act(book)


def _claim_cheap(book: Book, session: Session, size: int) -> list[Claimed]:
    return claim(
        book,
        owner=session.id,
        lease_seconds=settings.AGENTSYS.lease_seconds,
        lane="cheap",
        limit=size,
    )


def _next_size(size: int, seconds: float, count: int, maximum: int) -> int:
    if count < size:
        return size
    return max(1, min(maximum, size * 2 if seconds < BATCH_TARGET_SECONDS else size // 2))


def task_serve(task_id: int, fence: int, *, coming: int | None = None) -> str:
    """Claim and run one agent task; returns what became of the message, in a word."""
    crashpoint("C03")
    known = ("goal_id", "scoped", "lane", "goal__running_max")
    row = Task.objects.filter(pk=task_id).values(*known).first()
    if row is None:
        return "unknown"
    session = session_current()
    if session.idle:
        return "draining" if session.draining else "cut off"

    def take(
        book: Book,
    ) -> tuple[Claimed | None, list[Brief | AgentsysError], Finished | None]:
        claimed = _claim_one(book, session, task_id, fence, scoped=row["scoped"])
        if claimed is None:
            return None, [], None
        found = briefs_of(book, [claimed])
        (brief,) = found
        return (
            claimed,
            found,
            reuse_look(book, claimed, brief) if isinstance(brief, Brief) else None,
        )

    taken, briefs, made_before = _surely(row["goal_id"], session, take)
    if taken is None:
        return "not claimable"
    crashpoint("C04")
    ports = AttemptPorts(taken, row["goal_id"], session)
    try:
        with session.hold([taken.attempt_id]):
            item = Ran(made_before, []) if made_before else attempt_do(taken, briefs[0], ports)
            blobs_store([item])
            after = _settle_alone(row["goal_id"], session, item.finished)
    except LeaseLost as lost:
        log.warning("lease lost", task=task_id, reason=str(lost))
        return "lease lost"
    finally:
        ports.clean_up()
    after.publish(row["goal_id"], coming=coming)
    if row["goal__running_max"] is not None:
        dispatch.publish_next(row["goal_id"], 1)  # there is room for another
    return str(item.finished.report["outcome"])


def _claim_one(
    book: Book, session: Session, task_id: int, fence: int, *, scoped: bool
) -> Claimed | None:
    """Claim the task named; a scoped one only together with all its scopes."""

    def take() -> Claimed | None:
        claims = claim(
            book,
            owner=session.id,
            lease_seconds=settings.AGENTSYS.lease_seconds,
            task_id=task_id,
            fence=fence,
        )
        return claims[0] if claims else None

    if not scoped:
        return take()
    mark = book.mark()
    with transaction.atomic():  # a savepoint: without its scopes the claim has never been
        taken = take()
        if taken is None:
            return None
        blocked = scopes_take(book, task_id, taken.definition.get("scopes") or ())
        transaction.set_rollback(bool(blocked))
    if not blocked:
        return taken
    book.back_to(mark)
    _wait_for_scopes(book, task_id, blocked)
    return None


def _wait_for_scopes(book: Book, task_id: int, reason: str) -> None:
    """Ready still, with the reason why it waits; its message comes again soon."""
    Task.objects.filter(pk=task_id, state="ready").update(reason=reason)
    soon = book.now + timedelta(seconds=SCOPE_SECONDS)
    Attempt.objects.filter(task_id=task_id, state="queued").update(publish_due_at=soon)
