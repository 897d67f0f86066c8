"""A namespace as lines of JSON: what it says, since when, from where, and what replaced what.

Tombstones stay where they are: what was forgotten is not carried elsewhere. Memories come in the
order of their ids, links as places in the file, so that a store that was filled by an import gives
the same lines again, and the same content hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from agentsys.kernel.errors import NoSuchName
from memory.domain.carried import renumbered
from memory.domain.transfer import FORMAT, VERSION, content_line, line_of
from memory.models import Memory

COLUMNS = (
    "pk", "text", "layer", "kind", "actor", "trust", "state", "level", "importance", "pinned",
    "session", "seq", "batch", "occurred_at", "valid_from", "valid_to", "supersedes_id", "parent_id",
    "provenance",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exported:
    """`content` is the hash of what is said; `sha256` of all lines after the header."""

    namespace: str
    memories: int
    sha256: str
    content: str


def memories_export(namespace: str, write: Callable[[str], object]) -> Exported:
    """Write the lines of a namespace, the header first. NoSuchName for one that holds nothing.

    It is read twice, in one snapshot: the header says what follows.
    """
    with transaction.atomic():
        _one_snapshot()
        places = _places(namespace)
        if not places:
            raise NoSuchName(kind="namespace", name=namespace, names=_namespaces())
        found = _summed(namespace, places)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "namespace": namespace,
            "memories": found.memories,
            "sha256": found.sha256,
            "content": found.content,
            "exported_at": datetime.now(UTC).isoformat(),
        }
        write(line_of(header) + "\n")
        for row in _rows(namespace, places):
            write(line_of(row) + "\n")
    return found


def content_hash(namespace: str) -> str:
    """The same for two namespaces that say the same, in the same order, with the same validity."""
    with transaction.atomic():
        _one_snapshot()
        return _summed(namespace, _places(namespace)).content


def _one_snapshot() -> None:
    """Both readings see the same; where a transaction runs already, it decides what is seen."""
    if len(connection.savepoint_ids) == 0:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _summed(namespace: str, places: dict[int, int]) -> Exported:
    lines, content = hashlib.sha256(), hashlib.sha256()
    for row in _rows(namespace, places):
        lines.update((line_of(row) + "\n").encode())
        content.update(content_line(row))
    return Exported(namespace, len(places), lines.hexdigest(), content.hexdigest())


def _places(namespace: str) -> dict[int, int]:
    rows = Memory.objects.filter(namespace=namespace).exclude(state="gone").order_by("pk")
    return {pk: n for n, pk in enumerate(rows.values_list("pk", flat=True), 1)}


def _rows(namespace: str, places: dict[int, int]) -> Iterator[dict[str, Any]]:
    rows = Memory.objects.filter(namespace=namespace).exclude(state="gone").order_by("pk")
    beyond: dict[int, int] = {}  # quoted, and not in the file: it was pruned

    def place(pk: int) -> int:
        return places.get(pk) or beyond.setdefault(pk, len(places) + len(beyond) + 1)

    for row in rows.values(*COLUMNS).iterator(chunk_size=2000):
        row.pop("pk")
        if row["level"]:
            row["text"], row["provenance"] = renumbered(row["text"], row["provenance"], place)
        links = {name: places.get(row.pop(f"{name}_id")) for name in ("supersedes", "parent")}
        times = {name: row[name] and row[name].astimezone(UTC).isoformat() for name in _TIMES}
        yield {**row, **times, **links}


_TIMES = ("occurred_at", "valid_from", "valid_to")


def _namespaces() -> list[str]:
    rows = Memory.objects.exclude(state="gone").values_list("namespace", flat=True).distinct()
    return sorted(rows)[:11]
