"""Appending to the ledger, and the lock that everything inside a goal is serialised by.

Guaranteed: whoever changes the state of a goal, task, attempt or proposal holds the goal's row
lock (`goal_locked`) and writes the change and its entry in the same transaction. So `seq` has no
gaps, the chain has one head, an unlock at a join cannot be missed by two parents that finish at
once, and there is one lock order: goal first, then its rows, never two goals.

`FOR NO KEY UPDATE` lets others insert rows that point at the goal while it is held. Time is the
database's, read after the lock was granted: a transaction's own `now()` may be older than what
the previous holder of the lock wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import NotFound
from agentsys.kernel.hashing import canonical_of_plain, plain
from agentsys.prepared import fetch
from orchestration.domain.chain import Entry, chain_problems, hash_of
from orchestration.models import Goal, LedgerEntry

_LOCK = """
SELECT id, project_id, state, priority, running_max, model, repository, branch, ledger_seq,
       ledger_head, paused_at, clock_timestamp()
FROM agentsys_orchestration_goal WHERE id = %(goal)s::bigint FOR NO KEY UPDATE
"""

# Both halves of appending, for statements that write an entry with what it is about: only `when`.
# `claimed_at` is whose turn it is among goals; it moves with the head, in the same row version.
ENTRIES_INSERT = """
INSERT INTO agentsys_orchestration_ledgerentry
    (goal_id, seq, event, actor, task_id, attempt_id, payload, at, hash)
SELECT %(goal)s::bigint, e.seq, e.event, e.actor, e.task_id, e.attempt_id, e.payload,
       %(now)s::timestamptz, e.hash
FROM jsonb_to_recordset(%(entries)s::jsonb)
    AS e(seq bigint, event text, actor text, task_id bigint, attempt_id bigint,
         payload jsonb, hash text)
WHERE {when}
"""
HEAD_UPDATE = """
UPDATE agentsys_orchestration_goal
SET ledger_seq = %(seq)s::bigint, ledger_head = %(head)s,
    claimed_at = CASE WHEN %(served)s::boolean THEN %(now)s::timestamptz ELSE claimed_at END
WHERE id = %(goal)s::bigint AND {when}
"""
# `domain.chain.hash_of` in SQL, for statements that write the entry `told` in one go with taking the
# goal's lock, and so learn seq, head and time themselves. `told.payload` is canonical JSON.
ENTRY_HASH = """
encode(sha256(convert_to(
    '["' || {before} || '",' || %(goal)s::bigint || ',' || (book.seq + told.n)
    || ',' || to_json(told.event)::text || ',' || to_json(told.actor)::text
    || ',"' || to_char(book.now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || '+00:00",'
    || coalesce(told.task_id::text, 'null') || ',' || coalesce(told.attempt_id::text, 'null')
    || ',' || told.payload || ']', 'UTF8')), 'hex') AS hash
"""
_APPEND = (
    f"WITH appended AS ({ENTRIES_INSERT.format(when='true')}) {HEAD_UPDATE.format(when='true')}"
)


class Mark(NamedTuple):
    """Where a book stood, to go back to."""

    seq: int
    head: str
    served: bool
    entries: tuple[Entry, ...]


@dataclass(slots=True)
class Book:
    """A goal whose row is locked, and the entries to append when the transaction ends."""

    goal_id: int
    project_id: int
    goal_state: str
    priority: int
    running_max: int | None
    model: str
    repository: str
    branch: str
    seq: int
    head: str
    paused_at: datetime | None
    now: datetime
    served: bool = False  # something of this goal was claimed: others have the next turn
    entries: list[Entry] = field(default_factory=list)

    @property
    def clock(self) -> datetime:
        """The goal's own time. It stands still while the goal is paused, so that what waits from now
        on is due as long after the resumption (which moves it by the whole pause)."""
        return self.paused_at or self.now

    def record(
        self,
        event: str,
        *,
        actor: str,
        payload: Mapping[str, Any] | None = None,
        task_id: int | None = None,
        attempt_id: int | None = None,
    ) -> int:
        """Append `event` when the transaction commits; returns its seq."""
        self.seq += 1
        facts = plain(payload or {})
        self.entries.append(
            Entry(self.goal_id, self.seq, event, plain(actor), self.now, facts, task_id, attempt_id)
        )
        return self.seq

    def flush(self) -> None:
        if self.entries:
            values = self.to_append()
            fetch(_APPEND, values)
            self.appended(seq=values["seq"], head=values["head"])

    def to_append(self) -> dict[str, Any]:
        """The values that `ENTRIES_INSERT` and `HEAD_UPDATE` ask for."""
        head, rows = self.head, []
        for entry in self.entries:
            payload = canonical_of_plain(entry.payload)
            head = hash_of(head, entry, payload)
            rows.append(_row(entry, payload, head))
        return {
            "goal": self.goal_id,
            "now": self.now,
            "entries": f"[{','.join(rows)}]",
            "seq": self.seq,
            "head": head,
            "served": self.served,
        }

    def appended(self, *, seq: int, head: str) -> None:
        """What `to_append` gave is written, and the ledger ends there."""
        self.seq, self.head, self.entries, self.served = seq, head, [], False

    def mark(self) -> Mark:
        return Mark(self.seq, self.head, self.served, tuple(self.entries))

    def back_to(self, mark: Mark) -> None:
        """What was recorded since, and what a savepoint took back, has never been."""
        self.seq, self.head, self.served = mark.seq, mark.head, mark.served
        self.entries = list(mark.entries)


def _row(entry: Entry, payload: str, hashed: str) -> str:
    facts = {"seq": entry.seq, "event": entry.event, "actor": entry.actor, "hash": hashed}
    if entry.task_id is not None:
        facts["task_id"] = entry.task_id
    if entry.attempt_id is not None:
        facts["attempt_id"] = entry.attempt_id
    return f'{canonical_of_plain(facts)[:-1]},"payload":{payload}}}'


@contextmanager
def goal_locked(goal_id: int) -> Iterator[Book]:
    """A transaction that holds the goal's lock. Not to be nested for one goal."""
    with transaction.atomic():
        book = book_open(goal_id)
        yield book
        book.flush()
        crashpoint("C10")
    crashpoint("C11")


def book_open(goal_id: int) -> Book:
    """Lock the goal inside the caller's transaction; the caller flushes."""
    rows = fetch(_LOCK, {"goal": goal_id})
    if not rows:
        raise NotFound(kind="goal", id=goal_id, listing="goals list")
    return Book(*rows[0])


def ledger_verify(goal_id: int) -> list[str]:
    """Problems of the goal's ledger: any edit, deletion, insertion, reorder or truncation."""
    with transaction.atomic():
        goal = Goal.objects.filter(pk=goal_id).values("ledger_seq", "ledger_head").first()
        if goal is None:
            raise NotFound(kind="goal", id=goal_id, listing="goals list")
        rows = LedgerEntry.objects.filter(goal_id=goal_id, seq__lte=goal["ledger_seq"])
        extra = LedgerEntry.objects.filter(goal_id=goal_id, seq__gt=goal["ledger_seq"]).count()
        pairs = (
            (
                Entry(r.goal_id, r.seq, r.event, r.actor, r.at, r.payload, r.task_id, r.attempt_id),
                r.hash,
            )
            for r in rows.order_by("seq").iterator(2000)
        )
        problems = chain_problems(pairs, head=goal["ledger_head"], length=goal["ledger_seq"])
    if extra and (still := _still_extra(goal_id)):
        problems.append(f"{still} entries stand beyond the end that the goal remembers")
    return problems


def _still_extra(goal_id: int) -> int:
    """Entries past the goal's head, seen in one statement so that a commit in between is no alarm."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM agentsys_orchestration_ledgerentry e"
            " JOIN agentsys_orchestration_goal g ON g.id = e.goal_id"
            " WHERE g.id = %s AND e.seq > g.ledger_seq",
            [goal_id],
        )
        (count,) = cursor.fetchone()
    return int(count)
