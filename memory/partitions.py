"""Where the pieces of a namespace lie: the plan of a statement that names the partition is small, and kept.

Of the whole table a plan for all values has all 64 partitions in it, and is slow to make and to start; one
for the values at hand has what it needs, and is made each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from django.db import connection

TABLE = "agentsys_memory_chunk"
PARTITIONS = 64

_PARTITION = """
SELECT part FROM generate_series(0, %(parts)s - 1) AS part
WHERE satisfies_hash_partition(%(table)s::regclass, %(parts)s, part, %(namespace)s::varchar)
"""


def chunks_of(namespaces: Sequence[str]) -> str:
    """What to read in a FROM: the partition of a namespace that is asked alone, else the table."""
    return _partition(namespaces[0]) if len(namespaces) == 1 else TABLE


@lru_cache(maxsize=4096)
def _partition(namespace: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_PARTITION, {"parts": PARTITIONS, "table": TABLE, "namespace": namespace})
        (part,) = cursor.fetchone()
    return f"{TABLE}_{part}"
