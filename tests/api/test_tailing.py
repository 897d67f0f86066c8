"""One look for all who follow a goal: all are woken, what is drawn is drawn once, nothing stays behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from orchestration.api.tailing import Picture, Tail
from tests.api.people import entries, goal

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 20.0


@pytest.fixture
def tail() -> Iterator[Tail]:
    """One of its own, whose thread, and connection, are gone at the end."""
    tail = Tail()
    yield tail
    thread = tail._thread
    if thread is not None:
        thread.join(SECONDS)
        assert not thread.is_alive()


def waited(event: threading.Event) -> None:
    assert event.wait(SECONDS)
    event.clear()


def test_whoever_follows_is_woken_when_the_ledger_grows_and_others_are_not(tail: Tail) -> None:
    mine, other = goal(), goal()
    woken, idle = threading.Event(), threading.Event()
    with tail.follow(mine.pk, woken.set), tail.follow(other.pk, idle.set):
        waited(woken)  # in the beginning
        waited(idle)
        entries(mine, 1)
        waited(woken)
        assert not idle.is_set()


def test_a_goal_is_drawn_once_for_all_who_look_at_it(tail: Tail) -> None:
    row = goal()
    drawn: list[int] = []

    def draw(goal_id: int) -> Picture:
        drawn.append(goal_id)
        return Picture(f"picture {len(drawn)}")

    events = [threading.Event() for _ in range(20)]
    with ExitStack() as stack:
        for event in events:
            stack.enter_context(tail.follow(row.pk, event.set, draw))
        for event in events:
            waited(event)
        assert {tail.picture(row.pk).text for _ in events} == {"picture 1"}
        entries(row, 1)
        for event in events:
            while tail.picture(row.pk).text != "picture 2":
                waited(event)
        assert len(drawn) == 2


def test_a_goal_that_cannot_be_drawn_stops_nobody_elses_stream(tail: Tail) -> None:
    bad, good = goal(), goal()
    woken = threading.Event()

    def broken(goal_id: int) -> Picture:
        raise ValueError(goal_id)

    with tail.follow(bad.pk, threading.Event().set, broken), tail.follow(good.pk, woken.set):
        waited(woken)
        entries(good, 1)
        waited(woken)


def test_nobody_follows_no_thread_stays(tail: Tail) -> None:
    woken = threading.Event()
    with tail.follow(goal().pk, woken.set):
        waited(woken)
        thread = tail._thread
        assert thread is not None
    thread.join(SECONDS)
    assert not thread.is_alive()
    with tail.follow(goal().pk, woken.set):  # and it comes back
        waited(woken)


def test_who_follows_a_goal_that_is_gone_is_told_that_it_is_over(tail: Tail) -> None:
    woken = threading.Event()
    with tail.follow(-1, woken.set, lambda _goal: Picture("never")):
        waited(woken)
        assert tail.picture(-1) == Picture(over=True)


def test_a_look_that_goes_wrong_is_not_the_last(tail: Tail) -> None:
    row = goal()
    tried, woken = threading.Event(), threading.Event()

    def gone() -> None:
        tried.set()
        raise RuntimeError("the loop is closed")

    with tail.follow(row.pk, gone):
        waited(tried)
        with tail.follow(row.pk, woken.set):
            waited(woken)
            entries(row, 1)
            waited(tried)
    with tail.follow(row.pk, woken.set):
        waited(woken)
