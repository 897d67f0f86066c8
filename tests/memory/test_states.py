"""What a process keeps at hand of the tokens' states."""

from __future__ import annotations

from memory.states import Held


def held(**given: float) -> Held:
    made = Held(**given)  # type: ignore[arg-type]
    made.take("m", [])
    return made


def test_what_was_not_used_for_long_goes_where_there_is_too_much() -> None:
    kept = held(size=40)
    kept.keep("m", {1: b"a" * 10, 2: b"b" * 10, 3: b"c" * 10})
    kept.keep("m", {4: b"d" * 10})  # the first three are from before now
    kept.take("m", [1])
    kept.keep("m", {5: b"e" * 10, 6: b"f" * 10})
    assert set(kept.take("m", range(1, 7))) == {1, 4, 5, 6}


def test_no_more_is_held_than_there_is_room_for() -> None:
    kept = held(size=1000)
    for n in range(500):
        kept.keep("m", {n: b"x" * 10})
        kept.take("m", range(n))
        assert sum(map(len, (kept._used | kept._before).values())) <= 1000 + 20


def test_what_is_kept_again_counts_once() -> None:
    kept = held(size=50)
    for _ in range(5):
        kept.keep("m", {1: b"a" * 10, 2: b"b" * 10})
    assert set(kept.take("m", [1, 2])) == {1, 2}


def test_nothing_is_held_for_longer_than_its_time() -> None:
    kept = held(seconds=0.0)
    kept.keep("m", {1: b"a"})
    assert kept.take("m", [1]) == {}


def test_states_of_one_model_are_not_those_of_another() -> None:
    kept = held()
    kept.keep("m", {1: b"a"})
    assert kept.take("other", [1]) == {}
    kept.keep("m", {2: b"b"})  # read before the model changed
    assert kept.take("other", [2]) == {}
