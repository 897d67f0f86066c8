"""Whether what was found still holds: the links of memories, and which of several answers is out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connection

from memory.domain.disagreement import WORDS_MAX
from memory.domain.versions import Hit, bears_on, kinds_asked, outdated
from memory.domain.wording import plain
from memory.models import TRUST, Memory

ANSWERS_MAX = 20  # hits, of the best, among which answers are compared

LINKS = """
SELECT l.kind, l.older_id, l.newer_id, l.reason,
       CASE WHEN l.kind = 'updates' AND %(asked)s THEN o.text END,
       concat_ws(' ', l.older_quote, l.newer_quote, l.reason)
FROM agentsys_memory_link AS l
JOIN agentsys_memory_memory AS o ON o.id = l.older_id
JOIN agentsys_memory_memory AS n ON n.id = l.newer_id
WHERE (l.older_id = ANY(%(ids)s) OR l.newer_id = ANY(%(ids)s))
  AND o.state IN ('live', 'cold') AND n.state IN ('live', 'cold') AND o.namespace = n.namespace
ORDER BY l.id
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a memory stands to others: the newer one that overtook it (0: none, it is current), those
    that it updates itself, those that say the contrary; `reasons` by the other's id."""

    outdated_by: int = 0
    updates: tuple[int, ...] = ()
    conflicts_with: tuple[int, ...] = ()
    reasons: Mapping[int, str] = field(default_factory=dict)


def links_for(ids: Sequence[int], *, query: str = "") -> dict[int, Standing]:
    """For each of `ids`, which were found for `query`, how it stands. What rules found when they were
    written comes first, unless it is of another part of the text than was asked about; then what only
    the question shows: two answers to it that differ."""
    with connection.cursor() as cursor:
        cursor.execute(LINKS, {"ids": list(ids), "asked": bool(query)})
        return standings(ids, query, cursor.fetchall())


def standings(
    ids: Sequence[int], query: str, links: Iterable[tuple[Any, ...]]
) -> dict[int, Standing]:
    """As `links_for`, from what `LINKS` returned for them."""
    found = {one: Standing() for one in ids}
    for kind, older, newer, reason, text, quotes in links:
        if text is None or bears_on(query, text, quotes):
            _note(found, kind, older, newer, reason)
    if query and len(ids) > 1 and kinds_asked(query):
        for kind, older, newer, reason in _answers(ids[:ANSWERS_MAX], query):
            _note(found, kind, older, newer, reason)
    return found


def _note(found: dict[int, Standing], kind: str, older: int, newer: int, reason: str) -> None:
    for here, other in ((older, newer), (newer, older)):
        known = found.get(here)
        if known is None:
            continue
        if kind == "contradicts":
            known = replace(known, conflicts_with=_with(known.conflicts_with, other))
        elif here == older:
            known = replace(known, outdated_by=known.outdated_by or newer)
        else:
            known = replace(known, updates=_with(known.updates, older))
        found[here] = replace(known, reasons={other: reason, **known.reasons})


def _with(ids: tuple[int, ...], other: int) -> tuple[int, ...]:
    return ids if other in ids else (*ids, other)


def _answers(ids: Sequence[int], query: str) -> Iterable[tuple[str, int, int, str]]:
    """Kind, older, newer and why, of two answers that differ: what is trusted less does not update."""
    rows = (
        Memory.objects.filter(pk__in=list(ids), state="live", level=0)
        .order_by("occurred_at", "seq", "pk")
        .values_list("pk", "namespace", "actor", "text", "trust")
    )
    hits = [
        Hit(pk, f"{namespace}\n{actor}", text)
        for pk, namespace, actor, text, _ in rows
        if len(text.split()) <= WORDS_MAX or len(plain(text).split()) <= WORDS_MAX
    ]
    trust = {row[0]: TRUST.index(row[-1]) for row in rows}
    for older, mark in outdated(query, hits).items():
        kind = "contradicts" if trust[mark.by] > trust[older] else "updates"
        yield kind, older, mark.by, mark.reason
