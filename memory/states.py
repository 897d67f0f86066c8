"""The states of texts' tokens, which late interaction reads: some kilobytes for each candidate of a recall.

They never change, being made of a text that does not, by one model. So a process keeps at hand what it has
read, up to 64 MB, the least recently used going first; a row that is gone is no candidate, and what was
held of it is dropped by the first recall after ten minutes.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from django.db import connection
from psycopg import Cursor

from memory.chunks import current_embedder

HELD_BYTES = 64_000_000
HELD_SECONDS = 600.0  # the next recall after that begins anew
Key = tuple[str, int]  # model, memory

_STATES = """
SELECT memory_id, tokens FROM agentsys_memory_chunk
WHERE namespace = ANY(%s) AND memory_id = ANY(%s::bigint[]) AND n = 0 AND embed_model = %s
  AND tokens IS NOT NULL
"""


class Held:
    """Bytes by key, the least recently used going first where there are more than `size`."""

    def __init__(self, size: int = HELD_BYTES, seconds: float = HELD_SECONDS) -> None:
        self._size, self._seconds = size, seconds
        self._bytes = 0
        self._since = time.monotonic()
        self._held: OrderedDict[Key, bytes] = OrderedDict()
        self._lock = Lock()

    def take(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Those of `keys` that are held."""
        with self._lock:
            if time.monotonic() - self._since > self._seconds:
                self._held.clear()
                self._bytes, self._since = 0, time.monotonic()
            there = {key: self._held[key] for key in keys if key in self._held}
            for key in there:
                self._held.move_to_end(key)
            return there

    def keep(self, states: dict[Key, bytes]) -> None:
        with self._lock:
            for key, state in states.items():
                self._bytes += len(state) - len(self._held.pop(key, b""))
                self._held[key] = state
            while self._bytes > self._size:
                self._bytes -= len(self._held.popitem(last=False)[1])


_held = Held()


def states_of(namespaces: Sequence[str], ids: Sequence[int]) -> dict[int, bytes]:
    """The states of memories' tokens by id, without those that have none of the current model."""
    model = current_embedder().name
    there = {key[1]: state for key, state in _held.take([(model, one) for one in ids]).items()}
    missing = [one for one in ids if one not in there]
    if missing:
        read = _read(namespaces, missing, model)
        _held.keep({(model, one): state for one, state in read.items()})
        there |= read
    return there


def _read(namespaces: Sequence[str], ids: Sequence[int], model: str) -> dict[int, bytes]:
    """By a cursor of the driver: megabytes of bytes come as such, not as text."""
    connection.ensure_connection()
    with Cursor(connection.connection) as cursor:
        cursor.execute(_STATES, [list(namespaces), list(ids), model], binary=True)
        return dict(cursor.fetchall())
