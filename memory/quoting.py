"""Digests quote memories: what is forgotten or taken back goes from them, too.

What pruning removes stays quoted, for that is what a digest is for. A text that a model wrote cannot be cut
by the line: it is put back to the quotes that it was made from, without those. Whoever writes a digest and
whoever removes a text take one lock, so that no digest is written from what has just been removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection

from memory.chunks import index_memories
from memory.domain.digests import lines_of, without
from memory.models import Memory

_QUOTING = """
SELECT DISTINCT d.id FROM agentsys_memory_memory AS d
WHERE d.level > 0 AND d.state <> 'gone' AND d.provenance->'quotes' ?| %(names)s::text[]
  AND d.namespace IN (SELECT namespace FROM agentsys_memory_memory WHERE id = ANY(%(ids)s))
"""

# One pass of pruning, one digest or one removal at a time in a namespace.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('memory keeping ' || %s, 0))"


def keeping_lock(*namespaces: str) -> None:
    """Until the end of the transaction; before anything is read that the removal or the digest rests on."""
    with connection.cursor() as cursor:
        for namespace in sorted(set(namespaces)):
            cursor.execute(_LOCK, [namespace])


def digests_quoting(ids: Sequence[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_QUOTING, {"ids": list(ids), "names": [str(row_id) for row_id in ids]})
        return [row[0] for row in cursor.fetchall()]


def drop_quotes(
    digests: Sequence[int],
    gone: Sequence[int],
    names: Callable[[str], bool] | None = None,
) -> None:
    """Take the lines of `gone` out of `digests`, and those for which `names` holds."""
    for row in Memory.objects.filter(pk__in=digests).exclude(state="gone"):
        facts: dict[str, Any] = dict(row.provenance)
        text = facts.pop("extract", None) or row.text
        naming = {n for n, line in lines_of(text).items() if names and names(line)}
        row.text = without(text, {*gone, *naming})
        kept = lines_of(row.text)
        facts["quotes"] = {n: v for n, v in facts.get("quotes", {}).items() if int(n) in kept}
        facts["method"] = "extractive"
        row.provenance = facts
        row.save(update_fields=["text", "provenance"])
        if row.state == "live":
            index_memories([row.pk])
