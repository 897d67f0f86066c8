"""Vector indexes of large namespaces: one HNSW index each, made and dropped by maintenance.

Up to 20,000 memories a namespace is read exactly, in less time than a filtered index takes and with
nothing missed. Beyond, the namespace gets an index that holds its rows alone, of the current model, so
that no other namespace's rows stand in the way; filters by layer, actor or time are met by reading on
(pgvector's iterative scan, 0.8). With an older pgvector there are no such indexes, and all is exact.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from typing import Any

from django.db import connection

from agentsys.gateway.embedding import Embedder
from memory.chunks import current_embedder

LARGE = 20_000  # live memories of a namespace
PREFIX = "agentsys_near_"
BUILDING = 0x6E656172  # the advisory lock of whoever makes or drops indexes: "near"
KNOWN_SECONDS = 60.0  # that an index, or that there is none, is taken to last
VERSION_MIN = (0, 8)  # of pgvector: the first with iterative scans
# Of the rows that the index has nearest, those that pass the filter are kept; then it reads on.
PATIENCE = {
    "hnsw.ef_search": "400",
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.max_scan_tuples": "40000",
    "enable_sort": "on",
}

_SIZES = """
SELECT namespace, count(*), min(tableoid::regclass::text) FROM agentsys_memory_chunk
WHERE n = 0 AND embed_model = %s GROUP BY namespace HAVING count(*) > %s ORDER BY namespace
"""
_THERE = """
SELECT c.relname FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE c.relname = ANY(%s) AND i.indisvalid
"""
_ALL = "SELECT relname FROM pg_class WHERE relkind = 'i' AND relname LIKE %s ORDER BY relname"


def indexed(namespaces: Sequence[str]) -> set[str]:
    """Those of `namespaces` that have an index of the current model, as this process knew within the last
    minute: what is found is the same either way."""
    names = {_name(namespace): namespace for namespace in namespaces}
    there = _valid(tuple(names), int(time.monotonic() / KNOWN_SECONDS))
    return {names[name] for name in there}


@lru_cache(maxsize=256)
def _valid(names: tuple[str, ...], _period: int) -> frozenset[str]:
    with connection.cursor() as cursor:
        cursor.execute(_THERE, [list(names)])
        return frozenset(row[0] for row in cursor.fetchall())


def index_large(rows: int = LARGE) -> dict[str, int]:
    """Make the indexes that are missing for namespaces of more than `rows` memories and drop those that
    nobody needs; returns how many of each: none inside a transaction, and none while another process
    is at it.

    Writers are not kept waiting while an index is built, so a build has transactions of its own.
    """
    nothing = {"made": 0, "dropped": 0}
    if connection.in_atomic_block:
        return nothing
    with connection.cursor() as cursor:
        if not _iterative(cursor):
            return nothing
        with _alone(cursor) as alone:
            done = _in_step(cursor, current_embedder(), rows) if alone else nothing
    _valid.cache_clear()
    return done


@contextmanager
def _alone(cursor: Any) -> Iterator[bool]:
    """Whether nobody else builds. Two builds at once wait for each other for ever, or take an index
    that is being built for one whose build broke off."""
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [BUILDING])
    (alone,) = cursor.fetchone()
    try:
        yield alone
    finally:
        if alone:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [BUILDING])


def _in_step(cursor: Any, model: Embedder, rows: int) -> dict[str, int]:
    cursor.execute(_SIZES, [model.name, rows])
    wanted = {_name(row[0]): row for row in cursor.fetchall()}
    cursor.execute(_ALL, [PREFIX + "%"])
    there = {row[0] for row in cursor.fetchall()}
    cursor.execute(_THERE, [sorted(there)])
    valid = {row[0] for row in cursor.fetchall()}
    gone = sorted((there - set(wanted)) | (there - valid))
    for name in gone:
        cursor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
    missing = sorted(set(wanted) - valid)
    for name in missing:
        namespace, _, partition = wanted[name]
        cursor.execute("SET max_parallel_maintenance_workers = 0")
        cursor.execute(
            f'CREATE INDEX CONCURRENTLY "{name}" ON {partition} USING hnsw'
            f" ((embedding::halfvec({model.dim})) halfvec_cosine_ops)"
            " WHERE n = 0 AND namespace = %s AND embed_model = %s",
            [namespace, model.name],
        )
    return {"made": len(missing), "dropped": len(gone)}


def _name(namespace: str) -> str:
    told = f"{namespace}\x1f{current_embedder().name}"
    return PREFIX + sha256(told.encode()).hexdigest()[:40]


def _iterative(cursor: Any) -> bool:
    cursor.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    found = cursor.fetchone()
    return bool(found) and tuple(int(part) for part in found[0].split(".")[:2]) >= VERSION_MIN
