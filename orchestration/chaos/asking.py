"""Asking a database that is being hurt: again, on a new connection, for as long as it is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

T = TypeVar("T")
AWAY_SECONDS = 90.0


def ask(question: Callable[[], T], *, seconds: float = AWAY_SECONDS) -> T:
    """The answer; the database's own error when it stays away for `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return question()
        except (OperationalError, InterfaceError):
            connections.close_all()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
