"""Older memories that a new one is compared with: a bounded look-up of one namespace, by its rarest words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from memory.domain.disagreement import Reading, Said
from memory.domain.wording import surfaces
from memory.facts import DENIED

COMPARED = 20  # older memories that one text is compared with
DENIALS_MAX = 5  # older denials that one text is held against
LOOKED_UP = 12  # words, the most telling ones
SEARCHED = 4  # of them, the rarest ones
HITS_MAX = 300  # rows that share one of these, of which the best are taken
SAMPLE = 300  # the latest rows of a scope, which tell what is rare there
ROWS_MIN = 50  # in a scope of a few rows, a word in two of them is not common

_HASHED = """
SELECT word, (agentsys_memory_terms(%s, word)).terms FROM unnest(%s::text[]) AS word
"""

_SAMPLE = """
SELECT terms FROM agentsys_memory_chunk
WHERE namespace = %s AND n = 0 AND (%s::text IS NULL OR actor = %s)
ORDER BY memory_id DESC LIMIT %s
"""

_HITS = """
SELECT memory_id, terms FROM agentsys_memory_chunk
WHERE namespace = %s AND (%s::text IS NULL OR actor = %s) AND terms && %s::integer[]
  AND memory_id <> %s LIMIT %s
"""

_TEXTS = """
SELECT id, actor, text, occurred_at, seq FROM agentsys_memory_memory
WHERE id = ANY(%s) AND state = 'live' AND layer IN ('semantic', 'episodic') AND level = 0
ORDER BY id DESC
"""

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
Rarity = tuple[int, Mapping[int, int]]  # rows of a sample, and in how many each term is


class Nearby:
    """Look-ups while one batch is read: what is rare in a scope is worked out once."""

    def __init__(self) -> None:
        self._rarity: dict[tuple[str, str | None], Rarity] = {}
        self._read: dict[int, Reading] = {}

    def reading(self, near: Near) -> Reading:
        """Of one memory, once: a batch is compared with the same ones again and again."""
        if near.id not in self._read:
            self._read[near.id] = Reading(Said(near.text, near.at))
        return self._read[near.id]

    def sharing_words(
        self, namespace: str, actor: str | None, memory_id: int, words: Weights, text: str
    ) -> tuple[list[Near], Weights]:
        """Live memories with the rarest of `words`, which are stems of `text`, and how much each word
        weighs there. `actor` None: anybody's."""
        forms = {stem: form for stem, form in surfaces(text).items() if stem in words}
        telling = sorted(forms, key=lambda stem: (-words[stem], -len(stem), stem))[:LOOKED_UP]
        hashed = _hashed(namespace, {stem: forms[stem] for stem in telling})
        terms = {
            term: self._weight(namespace, actor, term) for ones in hashed.values() for term in ones
        }
        weights = {stem: max(terms[term] for term in ones) for stem, ones in hashed.items()}
        rarest = sorted(terms, key=lambda term: (-terms[term], term))[:SEARCHED]
        return _near(namespace, actor, memory_id, rarest, terms) if terms else [], weights

    def weights_of(self, namespace: str, actor: str | None, texts: Sequence[str]) -> Weights:
        forms = {stem: form for text in texts for stem, form in surfaces(text).items()}
        return {
            stem: max(self._weight(namespace, actor, term) for term in ones)
            for stem, ones in _hashed(namespace, forms).items()
        }

    def _weight(self, namespace: str, actor: str | None, term: int) -> float:
        key = (namespace, actor)
        if key not in self._rarity:
            self._rarity[key] = _sampled(*key)
        rows, known = self._rarity[key]
        return math.log(1 + max(rows, ROWS_MIN) / (1 + known.get(term, 0)))


def _sampled(namespace: str, actor: str | None) -> Rarity:
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLE, [namespace, actor, actor, SAMPLE])
        rows = cursor.fetchall()
    return len(rows), Counter(term for (terms,) in rows for term in terms)


def _hashed(namespace: str, forms: Mapping[str, str]) -> dict[str, list[int]]:
    if not forms:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_HASHED, [namespace, list(set(forms.values()))])
        hashed = {word: terms for word, terms in cursor.fetchall() if terms}
    return {stem: hashed[form] for stem, form in forms.items() if form in hashed}


def _near(
    namespace: str, actor: str | None, memory_id: int, rarest: list[int], terms: Mapping[int, float]
) -> list[Near]:
    with connection.cursor() as cursor:
        cursor.execute(_HITS, [namespace, actor, actor, rarest, memory_id, HITS_MAX])
        scores: dict[int, float] = {}
        for hit, held in cursor.fetchall():
            score = sum(terms[term] for term in terms.keys() & set(held))
            scores[hit] = max(score, scores.get(hit, 0.0))
        best = sorted(scores, key=lambda one: (-scores[one], -one))[:COMPARED]
        cursor.execute(_TEXTS, [best])
        return [Near(*row) for row in cursor.fetchall()]


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
