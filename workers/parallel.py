"""Calls that may run side by side: in a few threads, with their outcomes in the order asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import connections

THREADS_MAX = 4
T = TypeVar("T")


def side_by_side(calls: Sequence[Callable[[], T]], threads_max: int = THREADS_MAX) -> list[T]:
    """What each returned, in order. When some raise, all end first, then the first of them is
    raised: a call that was begun is never left behind. One call needs no thread."""
    if len(calls) <= 1:
        return [call() for call in calls]
    outcomes: dict[int, T] = {}
    errors: dict[int, BaseException] = {}
    waiting = iter(enumerate(calls))
    lock = threading.Lock()

    def work() -> None:
        try:
            while not errors:
                with lock:
                    number, call = next(waiting, (-1, None))
                if call is None:
                    return
                try:
                    outcomes[number] = call()
                except BaseException as error:
                    errors[number] = error
        finally:
            connections.close_all()  # those of this thread

    threads = [threading.Thread(target=work, name="agent-tool") for _ in calls[:threads_max]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [outcomes[number] for number in range(len(calls))]
