"""Two that wait for each other: the database ends one, and its work is done all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from django.db import OperationalError, connection, transaction

from memory import services as memory
from memory.models import Memory
from memory.store import prepare

pytestmark = pytest.mark.django_db(transaction=True)
HERE = "project-1"
TEXTS = ("The pump is in Basel", "The valve is in Zurich")

_WAITS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def drafts() -> list[memory.MemoryDraft]:
    return [memory.MemoryDraft(HERE, "semantic", text) for text in TEXTS]


@contextmanager
def crossing() -> Iterator[None]:
    """Somebody who takes the two rows in the other order, and is not the one who is ended."""
    hashes = sorted(prepare(draft).key[2] for draft in drafts())
    first, last = (Memory.objects.get(text_hash=one).pk for one in hashes)
    held = Event()
    done: list[bool] = []

    def other() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '1min'")
                Memory.objects.filter(pk=last).update(kind="held")
                held.set()
                while not _somebody_waits():
                    pass
                Memory.objects.filter(pk=first).update(kind="held")
            done.append(True)
        finally:
            held.set()
            connection.close()

    thread = Thread(target=other)
    thread.start()
    held.wait()
    try:
        yield
    finally:
        thread.join()
    assert done


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_WAITS)
        return bool(cursor.fetchone()[0])


def test_who_is_ended_for_a_deadlock_tries_again_and_nothing_is_lost() -> None:
    before = memory.remember_many(drafts())
    with crossing():
        assert memory.remember_many(drafts()) == before
    counts = Memory.objects.values_list("access_count", "kind")
    assert list(counts) == [(1, "held")] * 2


def test_within_a_transaction_it_is_for_the_caller_to_try_again() -> None:
    memory.remember_many(drafts())
    with crossing(), pytest.raises(OperationalError, match="deadlock"), transaction.atomic():
        memory.remember_many(drafts())
    assert set(Memory.objects.values_list("access_count", flat=True)) == {0}
