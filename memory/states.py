"""The states of texts' tokens, which late interaction reads: some kilobytes for each candidate of a recall.

They never change, being made of a text that does not, by one model. So a process keeps at hand what it has
read, up to 64 MB, what was not used for long going first; a row that is gone is no candidate, and what was
held of it is dropped by the first recall after ten minutes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Lock

from django.db import connection
from psycopg import Cursor

from memory.chunks import current_embedder

HELD_BYTES = 64_000_000
HELD_SECONDS = 600.0  # the next recall after that begins anew
States = dict[int, bytes]  # by memory

_STATES = """
SELECT memory_id, tokens FROM agentsys_memory_chunk
WHERE namespace = ANY(%s) AND memory_id = ANY(%s::bigint[]) AND n = 0 AND embed_model = %s
  AND tokens IS NOT NULL
"""


class Held:
    """Bytes of one model's memories by id: when what was last used comes to half of `size`, what was not
    used meanwhile goes. No more than that for each is done: a recall asks for hundreds."""

    def __init__(self, size: int = HELD_BYTES, seconds: float = HELD_SECONDS) -> None:
        self._half, self._seconds = size / 2, seconds
        self._lock = Lock()
        self._begin("")

    def _begin(self, model: str) -> None:
        self._model, self._since = model, time.monotonic()
        self._used: States = {}
        self._before: States = {}
        self._bytes = 0  # of those used

    def take(self, model: str, ids: Sequence[int]) -> States:
        """Those of `ids` that are held."""
        with self._lock:
            if model != self._model or time.monotonic() - self._since > self._seconds:
                self._begin(model)
            used, before = self._used, self._before
            there = {one: used[one] for one in ids if one in used}
            again = {one: before[one] for one in ids if one in before and one not in used}
            self._keep(again)
        return there | again

    def keep(self, model: str, states: States) -> None:
        with self._lock:
            if model == self._model:
                self._keep(states)

    def _keep(self, states: States) -> None:
        for one, state in states.items():
            if self._bytes > self._half:
                self._used, self._before, self._bytes = {}, self._used, 0
            if one not in self._used:
                self._used[one] = state
                self._bytes += len(state)


_held = Held()


def states_of(namespaces: Sequence[str], ids: Sequence[int]) -> dict[int, bytes]:
    """The states of memories' tokens by id, without those that have none of the current model."""
    model = current_embedder().name
    there = _held.take(model, ids)
    missing = [one for one in ids if one not in there]
    if missing:
        read = _read(namespaces, missing, model)
        _held.keep(model, read)
        there |= read
    return there


def _read(namespaces: Sequence[str], ids: Sequence[int], model: str) -> dict[int, bytes]:
    """By a cursor of the driver: megabytes of bytes come as such, not as text."""
    connection.ensure_connection()
    with Cursor(connection.connection) as cursor:
        cursor.execute(_STATES, [list(namespaces), list(ids), model], binary=True)
        return dict(cursor.fetchall())
