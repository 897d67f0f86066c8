"""A worker at a swarm: settle what is done and lease what there is room for, in one transaction.

A bell (`swarm_serve`) begins a shift, which lasts a slice, until nothing is left to lease, or until
the swarm waits. Nothing is held open while items run: no transaction, no lock, only the shift's
lease, which the session's heart renews.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import DataError, InterfaceError, OperationalError, connection, transaction

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.plugins import is_its_own
from orchestration.models import Swarm, SwarmItem, Task
from orchestration.services.budgets import BudgetExceeded
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.parking import budget_ask
from orchestration.services.sessions import Session, session_current
from orchestration.services.swarm_budgets import Share, Used, shares_reserve, shares_settle
from orchestration.services.swarm_crew import Crew
from orchestration.services.swarm_ending import swarm_conclude, swarm_fail
from orchestration.services.swarms import (
    Leased,
    Settled,
    Standing,
    items_claim,
    items_give_back,
    items_settle,
    next_in,
    shift_begin,
    shift_end,
    standing_of,
)
from workers.micro import Bound, Item, MicroAgent, micro_agent
from workers.services import model_calls_record

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5  # a shift that has nothing to settle looks whether it may go on
HOLD_SECONDS = 2.0  # who has waited that long for an item leaves: a bell comes when it is time
NAP_SECONDS = 0.1
COMMIT_PATIENCE = (0.1, 0.5, 2.0)
T = TypeVar("T")
_here: set[tuple[int, int]] = set()  # (session, task) of the shifts of this process
_guard = threading.Lock()


@dataclass(slots=True)
class _Shift:
    """What this worker knows of its shift. `doubt`: a COMMIT was not answered, so that items may be
    leased, or settled, that it knows nothing of."""

    id: int
    goal_id: int
    task_id: int
    micro: MicroAgent
    seen: Standing
    shares: dict[int, Share] = field(default_factory=dict)
    doubt: bool = False
    over: bool = False
    next_in: float | None = None  # seconds until there may be something to lease again


def swarm_serve(task_id: int) -> int:
    """Answer a bell of a swarm; returns how many items this worker settled."""
    crashpoint("C03")
    goal_id = Task.objects.filter(pk=task_id).values_list("goal_id", flat=True).first()
    session = session_current()
    if goal_id is None or session.idle:
        return 0
    total = 0
    while not session.idle:
        count = _work(goal_id, task_id, session)
        total += count
        if not swarm_conclude(goal_id, task_id):
            break
    return total


def _work(goal_id: int, task_id: int, session: Session) -> int:
    """One shift. A process has one at a time at a swarm: all its slots are in that."""
    with _guard:
        if (session.id, task_id) in _here:
            return 0
        _here.add((session.id, task_id))
    try:
        return _work_alone(goal_id, task_id, session)
    finally:
        with _guard:
            _here.discard((session.id, task_id))


def _work_alone(goal_id: int, task_id: int, session: Session) -> int:
    seen = standing_of(task_id)
    if seen is None or not seen.moves or seen.waits or not _is_open(task_id):
        return 0
    micro = micro_agent(seen.terms.micro)
    if lack := micro.lacks(seen.settings):
        swarm_fail(goal_id, task_id, lack)
        return 0
    with goal_locked(goal_id) as book:
        pk = shift_begin(book, task_id, session.id)
    if pk is None:
        return 0
    shift = _Shift(pk, goal_id, task_id, micro, seen)
    slots = min(settings.AGENTSYS.swarm_slots, seen.terms.concurrency)
    crew = Crew(micro, seen.settings, slots=slots, seconds_max=seen.terms.seconds_max)
    with session.hold_shift(pk), crew:
        return _run(shift, crew, slots, session)


def _is_open(task_id: int) -> bool:
    return SwarmItem.objects.filter(task_id=task_id, state="open").exists()


def _run(shift: _Shift, crew: Crew, slots: int, session: Session) -> int:
    deadline = time.monotonic() + settings.AGENTSYS.slice_seconds
    drain_by = None
    idle_since: float | None = None
    done: list[Settled] = []
    served = 0
    while not session.failing:
        stops = session.draining or time.monotonic() > deadline
        if session.draining and drain_by is None:
            drain_by = time.monotonic() + settings.AGENTSYS.drain_seconds
        room = 0 if stops else slots - len(crew.under_way)
        leased = _turn(shift, crew, done, room)
        served += len(done)
        crashpoint("C04")
        crew.start(leased)
        out_of_time = drain_by is not None and time.monotonic() > drain_by
        if shift.over or out_of_time:
            break
        if not crew.under_way:
            idle_since = idle_since or time.monotonic()
            waited = time.monotonic() - idle_since
            if stops or shift.next_in is None or waited + shift.next_in > HOLD_SECONDS:
                break
            time.sleep(max(shift.next_in, NAP_SECONDS))
        else:
            idle_since = None
        done = crew.collect(0.0 if leased and len(leased) < room else LOOK_SECONDS)
    if not session.failing:
        _surely(shift, lambda book: _leave(book, shift))
    return served


def _leave(book: Book, shift: _Shift) -> None:
    """The shift is over; whoever is rung for next comes when there is something to lease."""
    shift_end(book, shift.task_id, shift.id)
    wait = shift.next_in or settings.AGENTSYS.republish_seconds
    due = book.now + timedelta(seconds=wait)
    Swarm.objects.filter(pk=shift.task_id, state="mapping").update(publish_due_at=due, publishes=0)


def _turn(shift: _Shift, crew: Crew, done: Sequence[Settled], room: int) -> list[Leased]:
    def act(book: Book) -> list[Leased]:
        seen = standing_of(shift.task_id)
        if seen is None or not seen.moves or book.goal_state != "running":
            shift.over = True  # cancelled, replaced or over: nothing of it counts any more
            _book(shift, done, already=frozenset())
            return []
        already = _settled_before(shift, done) if shift.doubt else frozenset()
        if shift.doubt:
            keep = {*crew.under_way, *(item.id for item in done)}
            items_give_back(book, shift.task_id, shift.id, keep=keep)
        items_settle(book, shift.task_id, shift.id, seen, done)
        _book(shift, done, already=already)
        if room <= 0 or seen.waits:
            return []
        leased = _claim(book, shift, seen, room, len(crew.under_way))
        shift.next_in = None if leased else next_in(book, shift.task_id, seen)
        return leased

    if not done and crew.under_way and (room <= 0 or not _is_open(shift.task_id)):
        seen = standing_of(shift.task_id)
        shift.over = seen is None or not seen.moves
        return []
    try:
        leased = _surely(shift, act)
    except DataError as error:  # an output that PostgreSQL refuses: each by itself, it alone fails
        log.warning("a batch cannot be settled at once", task=shift.task_id, error=str(error))
        leased = []
        for one in done:
            _settle_alone(shift, one)
    for item in done:
        shift.shares.pop(item.id, None)
    return leased


def _settle_alone(shift: _Shift, one: Settled) -> None:
    def act(item: Settled) -> Callable[[Book], None]:
        def settle(book: Book) -> None:
            seen = standing_of(shift.task_id)
            if seen is not None:
                items_settle(book, shift.task_id, shift.id, seen, [item])
                _book(shift, [item], already=frozenset())

        return settle

    try:
        _surely(shift, act(one))
    except DataError as error:
        said = f"its output cannot be stored: {error}"
        none = replace(one, ok=False, output=None, spawn=(), reason=said, final=True)
        _surely(shift, act(none))


def _settled_before(shift: _Shift, done: Sequence[Settled]) -> frozenset[int]:
    """What a COMMIT in doubt did settle: it is this shift's still, and not leased any more."""
    ids = [item.id for item in done]
    rows = SwarmItem.objects.filter(pk__in=ids, shift_id=shift.id).exclude(state="leased")
    return frozenset(rows.values_list("pk", flat=True))


def _book(shift: _Shift, done: Sequence[Settled], *, already: frozenset[int]) -> None:
    """What was used is paid, whether or not it still counted; once."""
    none = Share(None)
    fresh = [item for item in done if item.id not in already]
    ended = [
        (shift.shares.get(item.id, none), Used(item.tokens, item.cost_usd, item.calls))
        for item in fresh
    ]
    shares_settle(shift.goal_id, shift.task_id, ended)
    model_calls_record([call for item in fresh for call in item.made], goal_id=shift.goal_id)


def _claim(book: Book, shift: _Shift, seen: Standing, room: int, holds: int) -> list[Leased]:
    """Lease as many as every budget above has room for; ask for more when there is none at all."""
    short: BudgetExceeded | None = None
    while room > 0:
        mark = book.mark()
        try:
            with transaction.atomic():  # a savepoint: without its budget the lease has never been
                leased = items_claim(book, shift.task_id, shift.id, seen, room=room, holds=holds)
                return _reserve(book, shift, seen, leased)
        except BudgetExceeded as error:
            short = error
            count = len(leased)
            book.back_to(mark)
            room = count // 2
    if short is not None and not holds and not _leased_by_others(shift):
        task = Task.objects.get(pk=shift.task_id)
        budget_ask(book, task, None, str(short), short.context)
    return []


def _reserve(book: Book, shift: _Shift, seen: Standing, leased: Sequence[Leased]) -> list[Leased]:
    """Set aside what the items may use. One whose bound its micro-agent cannot tell has failed."""
    fine: list[tuple[Leased, Bound | None]] = []
    refused: list[Settled] = []
    for one in leased:
        try:
            item = Item(one.input, seen.settings, one.attempt, one.reason)
            fine.append((one, shift.micro.bound(item)))
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # the edge: other people's code
            if not is_its_own(error):
                raise
            said = f"what it may use cannot be told: {type(error).__name__}: {error}"[:1000]
            refused.append(Settled(one.id, one.path, False, reason=said, final=True))
    items_settle(book, shift.task_id, shift.id, seen, refused)
    wanted = [(b.tokens, b.cost_usd, b.calls) for _, b in fine if b is not None]
    if wanted:
        shares = iter(shares_reserve(shift.goal_id, shift.task_id, shift.id, wanted))
        shift.shares |= {one.id: next(shares) for one, bound in fine if bound is not None}
    return [one for one, _ in fine]


def _leased_by_others(shift: _Shift) -> bool:
    leased = SwarmItem.objects.filter(task_id=shift.task_id, state="leased")
    return leased.exclude(shift_id=shift.id).exists()


def _surely(shift: _Shift, act: Callable[[Book], T]) -> T:
    """`act` in the goal's transaction, again when the connection broke in it: what it settles is
    guarded by the shift, and what it may have leased, unknown to us, is given back in the next."""
    for patience in COMMIT_PATIENCE:
        try:
            with goal_locked(shift.goal_id) as book:
                found = act(book)
            shift.doubt = False
            return found
        except (OperationalError, InterfaceError) as error:
            log.warning("a commit is in doubt", goal=shift.goal_id, error=str(error).strip())
            shift.doubt = True
            connection.close()
            time.sleep(patience)
    with goal_locked(shift.goal_id) as book:
        return act(book)
