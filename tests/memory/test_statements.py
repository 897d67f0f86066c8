"""Statements that are on the way: what they give, and what is left when one of them fails."""

from __future__ import annotations

import pytest
from django.db import DataError, connection, transaction

from agentsys.prepared import fetch, on_the_way, send

pytestmark = pytest.mark.django_db(transaction=True)

TWICE = "SELECT %(n)s::integer * 2"
DIVIDED = "SELECT 1 / %(n)s::integer"


def works() -> bool:
    return fetch(TWICE, {"n": 21}) == [(42,)]


def test_rows_come_in_any_order_and_after_all_are_through() -> None:
    with transaction.atomic(), on_the_way():
        first, second = (send(TWICE, {"n": n}) for n in (1, 2))
        assert second() == [(4,)]
        assert fetch(TWICE, {"n": 3}) == [(6,)]
    assert first() == [(2,)]


def test_postgresql_works_while_something_else_is_done_here() -> None:
    """The statement is under way before anybody asks for its rows: another connection sees it."""
    watcher = connection.copy()
    seen = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%' AND state = 'active'"
    with transaction.atomic(), on_the_way():
        slept = send("SELECT pg_sleep(0.2), %(n)s::integer", {"n": 7})
        with watcher.cursor() as cursor:
            counts = []
            while not counts or (not counts[-1] and len(counts) < 1000):
                cursor.execute(seen)
                counts.append(cursor.fetchone()[0])
        assert counts[-1] == 1
    watcher.close()
    assert slept()[0][1] == 7


def fail(asked: bool) -> None:
    with transaction.atomic(), on_the_way():
        send(TWICE, {"n": 1})
        failing = send(DIVIDED, {"n": 0})
        send(TWICE, {"n": 2})
        if asked:
            failing()


@pytest.mark.parametrize("asked", [True, False], ids=["rows are asked for", "nobody asks"])
def test_one_that_fails_fails_the_transaction_and_no_more(asked: bool) -> None:
    with pytest.raises(DataError, match="division by zero"):
        fail(asked)
    assert works()


def fail_here() -> None:
    with transaction.atomic(), on_the_way():
        send(TWICE, {"n": 1})
        raise KeyError("elsewhere")


def test_what_fails_here_leaves_the_connection_as_it_was() -> None:
    with pytest.raises(KeyError):
        fail_here()
    assert works()
    assert not connection.in_atomic_block
