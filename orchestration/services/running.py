"""The worker's loop: claim, run, settle and claim again in one transaction, while work is ready.

A doorbell (`serve`) brings in cheap deterministic tasks in batches sized by how long they take;
`task_serve` runs one agent task. Both end in `settle.finish`, so there is one truth. Nothing is
held open while an agent runs: no transaction, no lock, only the lease.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

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
from agentsys.kernel.hashing import plain
from orchestration.domain.settling import dispose_report, failed
from orchestration.models import Attempt, Directive, Task
from orchestration.services.advance import advance
from orchestration.services.briefs import brief_build, briefs_build
from orchestration.services.budgets import budget_reserve, budget_settle
from orchestration.services.draining import attempts_release
from orchestration.services.ending import look_for_the_end
from orchestration.services.followups import Followups
from orchestration.services.hotpath import Claimed, claim, goal_next
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.scopes import scopes_take
from orchestration.services.sessions import Session, session_current
from orchestration.services.settle import Finished, finish, finish_alone
from verification import services as verification
from verification.contracts import Case, Ruling, RulingOutcome
from workers.contracts import Brief, FailureKind, Outcome, Report, Usage, artifact_hash
from workers.services import agent_output_schema, attempt_run, blob_get, blobs_put
from workers.workspaces import folder_remove

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
    served, ahead = 0, _Ahead(session, goal_id)

    def take(book: Book) -> tuple[list[Claimed], list[Brief | AgentsysError]]:
        claimed = _claim_cheap(book, session, max(size, AHEAD))
        return claimed, _briefs(book, claimed)

    claims, briefs = _surely(goal_id, session, take)
    turn_ends = min(deadline, time.monotonic() + 2.0)  # other goals get their turn
    while claims:
        crashpoint("C04")
        started, count = time.monotonic(), len(claims)
        with session.hold(c.attempt_id for c in claims), ahead.of(claims, briefs):
            while batch := ahead.run(config.batch_max):
                _store_blobs(batch)
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
                looks = not claims and after.looks()
                after.publish(goal_id)
                if looks:
                    advance(goal_id)  # at once: a message would come after this worker's turn
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

    def run(self, most: int) -> list[_Run]:
        """What of it is run now: up to `most`, and no longer than a batch should take."""
        done: list[_Run] = []
        ends = time.monotonic() + BATCH_TARGET_SECONDS
        while len(done) < most and (not done or time.monotonic() < ends):
            taken = self._next()
            if taken is None:
                break
            done.append(_run(*taken, None))
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
    goal_id: int, session: Session, batch: Sequence[_Run], limit: int, *, last: bool
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
        return after, claims, _briefs(book, claims)

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
        broken = _broken(finished.claim, facts)
        return _surely(goal_id, session, lambda book: settle(book, broken))


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
    row = Task.objects.filter(pk=task_id).values("goal_id", "scoped", "lane").first()
    if row is None:
        return "unknown"
    session = session_current()
    if session.idle:
        return "draining" if session.draining else "cut off"

    def take(book: Book) -> tuple[Claimed | None, list[Brief | AgentsysError]]:
        claimed = _claim_one(book, session, task_id, fence, scoped=row["scoped"])
        return claimed, _briefs(book, [claimed] if claimed else [])

    taken, briefs = _surely(row["goal_id"], session, take)
    if taken is None:
        return "not claimable"
    crashpoint("C04")
    ports = AttemptPorts(taken, row["goal_id"], session)
    try:
        with session.hold([taken.attempt_id]):
            item = _run(taken, briefs[0], ports)
            _store_blobs([item])
            after = _settle_alone(row["goal_id"], session, item.finished)
    except LeaseLost as lost:
        log.warning("lease lost", task=task_id, reason=str(lost))
        return "lease lost"
    finally:
        ports.clean_up()
    after.publish(row["goal_id"], coming=coming)
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
    served, written = book.served, len(book.entries)
    with transaction.atomic():  # a savepoint: without its scopes the claim has never been
        taken = take()
        if taken is None:
            return None
        blocked = scopes_take(book, task_id, taken.definition.get("scopes") or ())
        transaction.set_rollback(bool(blocked))
    if not blocked:
        return taken
    book.served = served
    book.forget(len(book.entries) - written)
    _wait_for_scopes(book, task_id, blocked)
    return None


def _wait_for_scopes(book: Book, task_id: int, reason: str) -> None:
    """Ready still, with the reason why it waits; its message comes again soon."""
    Task.objects.filter(pk=task_id, state="ready").update(reason=reason)
    soon = book.now + timedelta(seconds=SCOPE_SECONDS)
    Attempt.objects.filter(task_id=task_id, state="queued").update(publish_due_at=soon)


def _briefs(book: Book, claims: Sequence[Claimed]) -> list[Brief | AgentsysError]:
    """A brief for each claim, or the reason why it cannot have one."""
    if not claims:
        return []
    try:
        return list(briefs_build(book, claims))
    except AgentsysError:
        return [_brief(book, c) for c in claims]


def _brief(book: Book, taken: Claimed) -> Brief | AgentsysError:
    try:
        return brief_build(book, taken)
    except AgentsysError as error:
        return error


class _Run:
    """A finished attempt with the artifact bytes that are still to be stored."""

    __slots__ = ("blobs", "finished")

    def __init__(self, finished: Finished, blobs: list[tuple[bytes, str]]) -> None:
        self.finished = finished
        self.blobs = blobs


def _run(taken: Claimed, brief: Brief | AgentsysError, ports: AttemptPorts | None) -> _Run:
    if isinstance(brief, AgentsysError):
        return _Run(_broken(taken, failed(FailureKind.BAD_INPUT, str(brief))), [])
    report = attempt_run(brief, ports or _NO_PORTS)
    blobs = [(a.content, a.media_type) for a in report.artifacts]
    try:
        facts = report.to_json()
        if report.outcome is not Outcome.DONE:
            return _Run(_broken(taken, facts, report), blobs)
        return _Run(_judged(taken, brief, report, facts), blobs)
    except (TypeError, ValueError) as error:  # what an agent handed in may be anything
        what = f"its report has no JSON form: {error}"[:500]
        return _Run(_broken(taken, failed(FailureKind.BAD_OUTPUT, what)), [])


def _broken(taken: Claimed, facts: dict[str, Any], report: Report | None = None) -> Finished:
    return Finished(
        claim=taken,
        report=facts,
        artifact_hash=artifact_hash(facts) if report else "",
        verdicts=(),
        disposition=dispose_report(facts, None, ()),
    )


def _judged(taken: Claimed, brief: Brief, report: Report, facts: dict[str, Any]) -> Finished:
    """The verdicts that cost nothing, and what follows from them."""
    case = case_of(taken, brief, report, facts)
    definition = case.definition
    policy = verification.policy_for(definition)
    spoken = verification.inline_verdicts(case, policy)
    costly = verification.costly(case, policy, spoken)
    views = [verification.VerdictView.of(draft) for draft in spoken]
    ruling = (
        Ruling(RulingOutcome.PENDING)
        if costly
        else verification.decide(policy, views, unproven=definition.get("unproven") or "ask")
    )
    return Finished(
        claim=taken,
        report={**facts, "inputs": plain(_small(brief.inputs))},
        artifact_hash=case.artifact_hash,
        verdicts=tuple(
            verification.verdict_rows(
                case, spoken, costly, publish_due_seconds=settings.AGENTSYS.republish_seconds
            )
        ),
        disposition=dispose_report(facts, ruling, costly),
    )


def _small(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolved inputs, kept beside the report for verifiers that run later."""
    return {k: v for k, v in inputs.items() if k != "outcomes"}


def case_of(taken: Claimed, brief: Brief, report: Report, facts: Mapping[str, Any]) -> Case:
    contents = {
        a["sha256"]: d.content for a, d in zip(facts["artifacts"], report.artifacts, strict=True)
    }
    return Case(
        goal_id=brief.goal_id,
        task_id=brief.task_id,
        attempt_id=brief.attempt_id,
        fence=brief.fence,
        definition={**taken.definition, "agent": taken.agent},
        spec_hash=taken.definition_hash,
        artifact_hash=artifact_hash(facts),
        report=facts,
        inputs=brief.inputs,
        blob=lambda sha: contents[sha] if sha in contents else blob_get(sha),
        agent_schema=agent_output_schema(taken.agent),
        repository=asdict(brief.repository) if brief.repository else None,
    )


def _store_blobs(batch: Sequence[_Run]) -> None:
    """Bytes first, rows that point at them after: a crash in between leaves only an orphan."""
    blobs = [blob for item in batch for blob in item.blobs]
    if blobs:
        blobs_put(blobs)
        crashpoint("C16")


class AttemptPorts:
    """What a running agent task may ask of the orchestrator (`workers.contracts.Ports`)."""

    def __init__(self, taken: Claimed, goal_id: int, session: Session) -> None:
        self._taken = taken
        self._goal_id = goal_id
        self._session = session
        self._payer = {"task_id": taken.task_id, "attempt_id": taken.attempt_id}
        self._folder: Path | None = None
        self._noted = 0.0
        self._lock = threading.Lock()

    def guard(self) -> None:
        if self._session.failing:
            raise self._lost("its lease could not be renewed")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT a.state, a.fence, a.owner, g.state, g.paused_at IS NOT NULL"
                " FROM agentsys_orchestration_attempt a"
                " JOIN agentsys_orchestration_goal g ON g.id = a.goal_id WHERE a.id = %s",
                [self._taken.attempt_id],
            )
            row = cursor.fetchone()
        if row is None or tuple(row[:3]) != ("running", self._taken.fence, self._session.id):
            raise self._lost("it was taken back")
        if row[3] != "running":
            raise self._lost(f"its goal is {row[3]}")

    def progress(self, note: str, fraction: float | None = None) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._noted < 1.0 and fraction != 1.0:
                return
            self._noted = now
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE agentsys_orchestration_attempt SET note = %s, progress = %s"
                " WHERE id = %s AND fence = %s AND state = 'running'",
                [note[:300], fraction, self._taken.attempt_id, self._taken.fence],
            )

    def directives(self) -> tuple[str, ...]:
        rows = Directive.objects.filter(goal_id=self._goal_id).order_by("pk")
        return tuple(rows.values_list("text", flat=True))

    def reserve(self, *, tokens: int, cost_usd: float) -> None:
        budget_reserve(self._goal_id, tokens=tokens, cost_usd=cost_usd, **self._payer)

    def settle(self, *, reserved_tokens: int, reserved_cost_usd: float, usage: Usage) -> None:
        budget_settle(
            self._goal_id,
            tokens=reserved_tokens,
            cost_usd=reserved_cost_usd,
            usage=usage,
            **self._payer,
        )

    def workspace(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = (
                    settings.AGENTSYS.home
                    / "work"
                    / f"goal-{self._goal_id}"
                    / f"attempt-{self._taken.attempt_id}-{self._taken.fence}"
                )
                self._folder.mkdir(parents=True, exist_ok=True)
            return self._folder

    def clean_up(self) -> None:
        if self._folder is not None:
            folder_remove(self._folder)

    def _lost(self, reason: str) -> LeaseLost:
        return LeaseLost(attempt_id=self._taken.attempt_id, fence=self._taken.fence, reason=reason)


class _NoPorts:
    """For cheap tasks: pure functions of their brief, with nothing to ask for."""

    def guard(self) -> None: ...

    def progress(self, note: str, fraction: float | None = None) -> None: ...

    def directives(self) -> tuple[str, ...]:
        return ()

    def reserve(self, *, tokens: int, cost_usd: float) -> None:
        raise AssertionError("a cheap task makes no model calls")

    def settle(self, *, reserved_tokens: int, reserved_cost_usd: float, usage: Usage) -> None:
        raise AssertionError("a cheap task makes no model calls")

    def workspace(self) -> Path:
        raise AssertionError("a cheap task has no workspace")


_NO_PORTS = _NoPorts()
