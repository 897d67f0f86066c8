"""When calls go round in circles. Pure.

The same call three times, with nothing changed in between, is a loop; so are two or three calls in
turn, three times over, whether or not they change something: A B A B A B, A B C A B C A B C. Tests
that are run again after each edit are none, since the edit lies between and is another each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

REPEATS_MAX = 3
PERIODS = (1, 2, 3)
TRAIL_MAX = REPEATS_MAX * max(PERIODS)


def loop_in(mark: str, counted: Mapping[str, int], trail: Sequence[str]) -> str:
    """What kind of loop the call `mark` would close, or an empty string."""
    if counted.get(mark, 0) + 1 >= REPEATS_MAX:
        return f"the same call {REPEATS_MAX} times"
    marks = [*trail, mark]
    for period in PERIODS:
        tail = marks[-period * REPEATS_MAX :]
        if len(tail) == period * REPEATS_MAX and tail == tail[:period] * REPEATS_MAX:
            turns = f"{period} calls in turn, " if period > 1 else "the same call "
            return f"{turns}{REPEATS_MAX} times"
    return ""


def walked(trail: Sequence[str], mark: str) -> tuple[str, ...]:
    return (*trail, mark)[-TRAIL_MAX:]
