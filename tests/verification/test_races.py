"""Two workers at one verdict, on two connections: one of them wins and the other does nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from tests.verification.test_rows import row
from verification import services
from verification.contracts import Kind, VerdictDraft, VerdictOutcome

pytestmark = pytest.mark.django_db(transaction=True)
SIDES = 4


def at_once(act: Callable[[int], Any]) -> list[Any]:
    """Call `act` in as many threads, each with its own connection, all starting together."""
    barrier = Barrier(SIDES)

    def side(number: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(10)
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(SIDES) as pool:
        return list(pool.map(side, range(SIDES)))


def test_one_claim_wins() -> None:
    services.verdicts_insert([row(1, None)])
    won = at_once(lambda _: services.verdict_claim(1, "execution", "", 60))
    assert sorted(won) == [False] * (SIDES - 1) + [True]


def test_one_record_stands() -> None:
    services.verdicts_insert([row(1, None)])

    def record(number: int) -> bool:
        draft = VerdictDraft(
            "execution", Kind.EXECUTION, VerdictOutcome.PASS, evidence={"side": number}
        )
        return services.verdict_record(1, draft)

    won = at_once(record)
    (view,) = services.verdicts_of([1])[1]
    assert won.count(True) == 1
    assert view.evidence["side"] == won.index(True)


def test_two_sweepers_publish_different_verdicts() -> None:
    services.verdicts_insert([row(n, None) for n in range(SIDES * 5)])
    taken = Barrier(SIDES)

    def sweep(_: int) -> list[int]:
        with transaction.atomic():
            ids = [due[0] for due in services.verdicts_due(5)]
            taken.wait(10)  # all hold their rows before anybody lets go
            services.verdicts_published(ids)
        return ids

    found = [verdict_id for ids in at_once(sweep) for verdict_id in ids]
    assert len(found) == len(set(found)) == SIDES * 5


def test_inserts_of_one_settlement_do_not_double() -> None:
    inserted = at_once(lambda _: services.verdicts_insert([row(1), row(1, None)]))
    assert sum(inserted) == 2
