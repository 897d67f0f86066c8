"""Older memories that a new one is compared with: a bounded look-up of one namespace, by its rarest words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from memory.domain.wording import surfaces
from memory.facts import DENIED

COMPARED = 20  # older memories that one text is compared with
DENIALS_MAX = 5  # older denials that one text is held against
LOOKED_UP = 12  # words, the most telling ones
HITS_MAX = 3_000  # rows that share a word, of which the best are taken
COUNTED_MIN = 50  # in a scope of a few rows, a word in two of them is not common
COUNTED_MAX = 2_000  # rows of a scope that are counted, to know what is rare

_HASHED = """
SELECT word, (agentsys_memory_terms(%s, word)).terms FROM unnest(%s::text[]) AS word
"""

_SCOPE = """
namespace = %(namespace)s AND (%(actor)s::text IS NULL OR actor = %(actor)s)
"""

_NEAR = f"""
WITH hits AS MATERIALIZED (
    SELECT memory_id, terms FROM agentsys_memory_chunk
    WHERE {_SCOPE} AND terms && %(terms)s::integer[] LIMIT {HITS_MAX}
), matched AS MATERIALIZED (
    SELECT DISTINCT memory_id, term FROM hits, unnest(%(terms)s::integer[]) AS term
    WHERE term = ANY(hits.terms)
), known AS MATERIALIZED (
    SELECT term, ln(1 + greatest(counted.n, {COUNTED_MIN}) / (1.0 + count(*)))::float8 AS weight
    FROM matched, (
        SELECT count(*) AS n FROM (
            SELECT 1 FROM agentsys_memory_chunk WHERE {_SCOPE} AND n = 0 LIMIT {COUNTED_MAX}) AS first
    ) AS counted GROUP BY term, counted.n
), near AS (
    SELECT memory_id, sum(weight) AS score FROM matched JOIN known USING (term)
    WHERE memory_id <> %(id)s GROUP BY memory_id ORDER BY score DESC, memory_id DESC LIMIT {COMPARED}
)
SELECT (SELECT json_object_agg(term, weight) FROM known), m.id, m.actor, m.text, m.occurred_at, m.seq
FROM (SELECT 1) AS always LEFT JOIN (near JOIN agentsys_memory_memory AS m
     ON m.id = near.memory_id AND m.state = 'live' AND m.layer IN ('semantic', 'episodic')
     AND m.level = 0) ON true
"""  # noqa: S608 - figures of this module; values are parameters

_AGAINST = f"""
SELECT given.id, m.id, m.actor, m.text, m.occurred_at, m.seq, against.value
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS given(id, namespace, text)
CROSS JOIN LATERAL agentsys_memory_terms(given.namespace, given.text) AS said
CROSS JOIN LATERAL (
    SELECT f.evidence_id, f.value, (SELECT count(*) FROM unnest(f.terms) AS term
           WHERE term = ANY(said.terms))::float8 / cardinality(f.terms) AS share
    FROM agentsys_memory_fact AS f
    WHERE f.namespace = given.namespace AND NOT f.functional AND f.attribute = '{DENIED}'
      AND f.retracted_at IS NULL AND f.terms && said.terms AND f.evidence_id <> given.id
    ORDER BY share DESC, f.id DESC LIMIT {DENIALS_MAX}
) AS against
JOIN agentsys_memory_memory AS m ON m.id = against.evidence_id
WHERE share >= 0.5 AND m.state = 'live' AND m.valid_to IS NULL
"""  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Near:
    id: int
    actor: str
    text: str
    at: datetime
    seq: int
    quote: str = ""


Weights = Mapping[str, float]


def sharing_words(
    namespace: str, actor: str | None, memory_id: int, words: Weights, text: str
) -> tuple[list[Near], Weights]:
    """Live memories of the namespace with the rarest of `words`, which are stems of `text`, and how
    much each word weighs there. `actor` None: anybody's."""
    forms = {stem: form for stem, form in surfaces(text).items() if stem in words}
    telling = sorted(forms, key=lambda stem: (-words[stem], -len(stem), stem))[:LOOKED_UP]
    rows, weights = _look_up(namespace, actor, memory_id, {s: forms[s] for s in telling})
    return [Near(*row) for row in rows], weights


def weights_of(namespace: str, actor: str | None, texts: Sequence[str]) -> Weights:
    forms = {stem: form for text in texts for stem, form in surfaces(text).items()}
    return _look_up(namespace, actor, 0, forms)[1]


def denials_about(texts: Sequence[tuple[int, str, str]]) -> dict[int, list[Near]]:
    """For each (id, namespace, text), memories that deny or negate something of whose words it has
    at least half."""
    found: dict[int, list[Near]] = {}
    if not texts:
        return found
    with connection.cursor() as cursor:
        cursor.execute(_AGAINST, [list(column) for column in zip(*texts, strict=True)])
        for new, *row in cursor.fetchall():
            found.setdefault(new, []).append(Near(*row))
    return found


def _look_up(
    namespace: str, actor: str | None, memory_id: int, forms: Mapping[str, str]
) -> tuple[list[Any], Weights]:
    with connection.cursor() as cursor:
        cursor.execute(_HASHED, [namespace, list(forms.values())])
        hashed = {word: terms for word, terms in cursor.fetchall() if terms}
        every = sorted({term for terms in hashed.values() for term in terms})
        if not every:
            return [], {}
        asked = {"namespace": namespace, "actor": actor, "terms": every, "id": memory_id}
        cursor.execute(_NEAR, asked)
        rows = cursor.fetchall()
    known = {int(term): weight for term, weight in (rows[0][0] or {}).items()}
    unseen = math.log(1 + COUNTED_MAX)
    weights = {
        stem: max(known.get(term, unseen) for term in hashed[form])
        for stem, form in forms.items()
        if form in hashed
    }
    return [row[1:] for row in rows if row[1] is not None], weights
