"""What the database ends because two wait for each other is done again.

Writers take rows in one order each, but not all in the same one: who adds goes by what texts say, who rolls
back or forgets by ids. PostgreSQL ends one of two that wait for each other; nothing of it was written, so
it is simply tried once more. Two that say the same at once may fall out at a unique key in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import IntegrityError, OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")

TRIES = 5
ENDED = ("40P01", "23505")  # deadlock_detected, unique_violation


def tried_again(act: Callable[P, R]) -> Callable[P, R]:
    """`act`, a transaction of its own, up to TRIES times; once where a transaction runs already, since
    that is over by then."""

    @wraps(act)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(TRIES - 1):
            try:
                return act(*args, **kwargs)
            except (IntegrityError, OperationalError) as error:
                state = getattr(error.__cause__, "sqlstate", None)
                if connection.in_atomic_block or state not in ENDED:
                    raise
        return act(*args, **kwargs)

    return run
