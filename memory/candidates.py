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
SAMPLE = 1000  # rows of a scope in which common words are looked for
COMMON_SHARE = 0.2

_SCOPE = """
namespace = ANY(%(namespaces)s) AND layer = ANY(%(layers)s) AND state = 'live'
AND (%(actor)s::text IS NULL OR actor = %(actor)s)
AND (%(since)s::timestamptz IS NULL OR occurred_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s)
AND CASE WHEN %(as_of)s::timestamptz IS NULL THEN valid_to IS NULL
    ELSE valid_from <= %(as_of)s AND (valid_to IS NULL OR valid_to > %(as_of)s) END
"""

# Words come out of to_tsvector and go back as quoted lexemes, so no text of a query is ever read
# as an operator. In a large scope, words that a sample finds in more than a fifth of the rows are
# not searched for, unless there is no other: they match almost everything and weigh almost nothing.
_LEXICAL = f"""
WITH given AS (
    SELECT word, array_to_tsvector(ARRAY[word])::text::tsquery AS q  -- quotes it
    FROM (SELECT word FROM unnest(to_tsvector('english', %(query)s)) AS u(word, positions, weights)
          ORDER BY positions[1], word LIMIT %(words_max)s) AS first
), sample AS MATERIALIZED (
    SELECT tsv FROM agentsys_memory_memory WHERE {_SCOPE} LIMIT %(sample)s
), common AS (
    SELECT word FROM given JOIN sample ON sample.tsv @@ given.q GROUP BY word
    HAVING count(*) > %(sample)s * %(common_share)s
       AND (SELECT count(*) FROM sample) >= %(sample)s
), terms AS (
    SELECT word, q FROM given WHERE word NOT IN (SELECT word FROM common)
        OR NOT EXISTS (SELECT word FROM given EXCEPT SELECT word FROM common)
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
       CASE WHEN row_number() OVER () = 1 THEN (SELECT json_object_agg(word, n) FROM known) END
FROM top
"""  # noqa: S608 - the scope is text of this module; values are parameters

# Distances are worked out inside the materialized scope: narrow rows, and no index in between.
_DENSE = f"""
WITH scope AS MATERIALIZED (
    SELECT id, pinned, CASE WHEN embed_model = %(model)s AND %(vector)s::text IS NOT NULL
                            THEN embedding <=> %(vector)s::halfvec END AS distance
    FROM agentsys_memory_memory WHERE {_SCOPE}
), near AS (
    SELECT id FROM scope WHERE distance IS NOT NULL ORDER BY distance, id LIMIT %(limit)s
)
SELECT id, pinned, 1 - distance, (SELECT count(*) FROM scope)
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
    asked: dict[str, Any] = {
        "query": query,
        "words_max": WORDS_MAX,
        "sample": SAMPLE,
        "common_share": COMMON_SHARE,
        "limit": CANDIDATES_MAX,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEXICAL, {**scope.parameters(), **asked})
        rows = cursor.fetchall()
    with_word: dict[str, int] = next((row[3] for row in rows if row[3]), {})
    return {row[0]: (row[1], row[2] or {}) for row in rows}, with_word


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
