"""What a process keeps at hand of the tokens' states."""

from __future__ import annotations

from memory.states import Held


def test_the_least_recently_used_goes_first_where_there_is_too_much() -> None:
    held = Held(size=30)
    held.keep({("m", 1): b"a" * 10, ("m", 2): b"b" * 10, ("m", 3): b"c" * 10})
    held.take([("m", 1)])
    held.keep({("m", 4): b"d" * 10})
    assert set(held.take([("m", n) for n in (1, 2, 3, 4)])) == {("m", 1), ("m", 3), ("m", 4)}


def test_what_is_kept_again_counts_once() -> None:
    held = Held(size=25)
    for _ in range(5):
        held.keep({("m", 1): b"a" * 10, ("m", 2): b"b" * 10})
    assert set(held.take([("m", 1), ("m", 2)])) == {("m", 1), ("m", 2)}


def test_nothing_is_held_for_longer_than_its_time() -> None:
    held = Held(seconds=0.0)
    held.keep({("m", 1): b"a"})
    assert held.take([("m", 1)]) == {}


def test_states_of_one_model_are_not_those_of_another() -> None:
    held = Held()
    held.keep({("m", 1): b"a"})
    assert held.take([("other", 1)]) == {}
