"""A clock that stands still until it is told to move, in the database and in Python.

The schema `sim` has functions named as PostgreSQL's clocks. Every connection puts it in front of
its search path, so that the product's SQL asks them without knowing. The time is the last value of
a sequence: it is outside of transactions, so whoever asks sees it at once.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import connection

# No commit waits for the disk: this database does not crash, its clients do.
SEARCH_PATH = "SET search_path = sim, pg_catalog, public; SET synchronous_commit = off"

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS sim;
CREATE SEQUENCE IF NOT EXISTS sim.microseconds;
CREATE OR REPLACE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT timestamptz 'epoch' + last_value * interval '1 microsecond' FROM sim.microseconds $$;
CREATE OR REPLACE FUNCTION sim.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT timestamptz 'epoch' + last_value * interval '1 microsecond' FROM sim.microseconds $$;
CREATE OR REPLACE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT timestamptz 'epoch' + last_value * interval '1 microsecond' FROM sim.microseconds $$;
"""


class SteppedTime:
    """The one clock of a simulation. Stands in for the `time` module where the product has one."""

    def __init__(self) -> None:
        self.seconds = 0.0  # since the simulation began
        self._start = int(time.time() * 1_000_000)

    def install(self) -> None:
        """Put the schema in; begin after whatever an earlier simulation left in this database."""
        with connection.cursor() as cursor:
            cursor.execute(_SCHEMA)
            cursor.execute("SELECT last_value FROM sim.microseconds")
            self._start = max(self._start, cursor.fetchone()[0])
        self.step(1.0)

    @property
    def stamp(self) -> int:
        """Microseconds since the epoch; never twice the same in one database."""
        return self._start + int(self.seconds * 1_000_000)

    def step(self, seconds: float) -> None:
        self.seconds += seconds
        with connection.cursor() as cursor:
            cursor.execute("SELECT setval('sim.microseconds', %s)", [self.stamp])

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Who waits makes the time pass for all."""
        self.step(seconds)


def use_stepped_clock(**event: Any) -> None:
    """For the signal `connection_created`."""
    with event["connection"].cursor() as cursor:
        cursor.execute(SEARCH_PATH)
