"""The rows that a recall ranks: by words, by meaning, and the pinned ones, of one scope.

Both legs are exact over the scope's rows. A filter behind an approximate vector index finds almost
nothing in a small scope, and Django's default text query, which ANDs the words, finds almost
nothing for a question: here they are ORed, and BM25 weighs the rare ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from memory.domain.ranking import Candidate, Corpus
from memory.models import LAYERS
from memory.store import current_embedder, literals

CANDIDATES_MAX = 200  # of each leg
WORDS_MAX = 32  # of the query, the first ones
QUERY_CHARS_MAX = 4000

_SCOPE = """
namespace = ANY(%(namespaces)s) AND layer = ANY(%(layers)s) AND state = 'live'
AND (%(actor)s::text IS NULL OR actor = %(actor)s)
AND (%(since)s::timestamptz IS NULL OR occurred_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s)
AND CASE WHEN %(as_of)s::timestamptz IS NULL THEN valid_to IS NULL
    ELSE valid_from <= %(as_of)s AND (valid_to IS NULL OR valid_to > %(as_of)s) END
"""

# Words come out of to_tsvector and go back as quoted lexemes, so no text of a query is ever read
# as an operator.
_LEXICAL = f"""
WITH terms AS (
    SELECT word, ('''' || replace(replace(word, '\\', '\\\\'), '''', '''''') || '''')::tsquery AS q
    FROM (SELECT word FROM unnest(to_tsvector('english', %(query)s)) AS u(word, positions, weights)
          ORDER BY positions[1], word LIMIT %(words_max)s) AS first
), asked AS (
    SELECT string_agg(q::text, ' | ')::tsquery AS q FROM terms
), hits AS MATERIALIZED (
    SELECT id, tsv FROM agentsys_memory_memory
    WHERE tsv @@ (SELECT q FROM asked) AND {_SCOPE}
), known AS (
    SELECT word, count(*) AS n FROM terms JOIN hits ON hits.tsv @@ terms.q GROUP BY word
), top AS (
    SELECT id, tsv FROM hits ORDER BY ts_rank(tsv, (SELECT q FROM asked)) DESC, id
    LIMIT %(limit)s
)
SELECT top.id, length(top.tsv),
       (SELECT json_object_agg(lexeme, COALESCE(cardinality(positions), 1))
        FROM unnest(top.tsv) WHERE lexeme IN (SELECT word FROM known)),
       (SELECT json_object_agg(word, n) FROM known)
FROM top
"""  # noqa: S608 - the scope is text of this module; values are parameters

_DENSE = f"""
WITH scope AS MATERIALIZED (
    SELECT id, pinned, CASE WHEN embed_model = %(model)s THEN embedding END AS embedding
    FROM agentsys_memory_memory WHERE {_SCOPE}
), near AS (
    SELECT id, 1 - (embedding <=> %(vector)s::halfvec) AS cosine FROM scope
    WHERE embedding IS NOT NULL AND %(vector)s::text IS NOT NULL
    ORDER BY embedding <=> %(vector)s::halfvec, id LIMIT %(limit)s
)
SELECT scope.id, scope.pinned,
       CASE WHEN embedding IS NOT NULL AND %(vector)s::text IS NOT NULL
            THEN 1 - (embedding <=> %(vector)s::halfvec) END,
       (SELECT count(*) FROM scope)
FROM scope WHERE pinned OR id = ANY(%(found)s) OR id IN (SELECT id FROM near)
"""  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look. `as_of` asks for what held then; otherwise what holds now."""

    namespaces: Sequence[str]
    layers: Sequence[str] | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    as_of: datetime | None = None

    def parameters(self) -> dict[str, Any]:
        return {
            "namespaces": list(self.namespaces),
            "layers": list(self.layers or LAYERS),
            "actor": self.actor,
            "since": self.since,
            "until": self.until,
            "as_of": self.as_of,
        }


def candidates(scope: Scope, query: str) -> tuple[list[Candidate], Corpus]:
    """What may answer `query`, with what is needed to rank it."""
    text = " ".join(query.replace("\x00", " ").split())[:QUERY_CHARS_MAX]
    text = text.encode("utf-8", "replace").decode()
    words, with_word = _by_words(scope, text)
    rows, pool = _by_meaning(scope, text, list(words))
    found = [
        Candidate(
            id=row_id,
            counts=words[row_id][1] if row_id in words else {},
            length=words[row_id][0] if row_id in words else 0,
            cosine=cosine,
            pinned=pinned,
        )
        for row_id, pinned, cosine in rows
    ]
    return found, Corpus(rows=pool, with_word=with_word)


def _by_words(
    scope: Scope, query: str
) -> tuple[dict[int, tuple[int, dict[str, int]]], dict[str, int]]:
    """(distinct words, how often each of the query's is in it) by id; rows with each word."""
    asked: dict[str, Any] = {"query": query, "words_max": WORDS_MAX, "limit": CANDIDATES_MAX}
    with connection.cursor() as cursor:
        cursor.execute(_LEXICAL, {**scope.parameters(), **asked})
        rows = cursor.fetchall()
    return {row[0]: (row[1], row[2] or {}) for row in rows}, rows[0][3] if rows else {}


def _by_meaning(
    scope: Scope, query: str, found: list[int]
) -> tuple[list[tuple[int, bool, float | None]], int]:
    """(id, pinned, cosine) of the nearest, the pinned and `found`; rows in the scope."""
    model = current_embedder()
    asked: dict[str, Any] = {
        "vector": literals(model.embed_query(query)[None, :])[0],
        "model": model.name,
        "found": found,
        "limit": CANDIDATES_MAX,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DENSE, {**scope.parameters(), **asked})
        rows = cursor.fetchall()
    return [(row[0], row[1], row[2]) for row in rows], rows[0][3] if rows else 0
