"""The memories that a recall ranks: by words, by meaning, the pinned ones, and what stands beside them.

All of a scope is read, exactly: a filter behind an approximate vector index finds almost nothing in
a small scope. A namespace of more than 20,000 has an index of its own (`memory.near`), which is read
until enough rows pass the filter, and only what is found is looked at. The words of a query are ORed
and weighed by BM25 over pieces of texts, the best piece speaking for its memory; words come out of
PostgreSQL's own parser and go back as numbers, so no text of a query is ever read as an operator.
What was said just before and after a candidate comes with it: its scores say something about the
candidate's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from agentsys.gateway.embedding import Query
from memory import near
from memory.chunks import current_embedder, literals
from memory.domain.ranking import BESIDE_MAX, Candidate, Usual
from memory.models import LAYERS

CANDIDATES_MAX = 200  # of each leg
PINNED_MAX = 50
WORDS_MAX = 24  # of the query, the first ones
QUERY_CHARS_MAX = 4000
SAMPLE = 1000  # rows of a scope that tell how people write there
K1, B = 0.9, 0.4  # BM25 for short texts

_SCOPE = """
namespace = ANY(%(namespaces)s) AND n = 0 AND layer = ANY(%(layers)s)
AND (%(actor)s::text IS NULL OR actor = %(actor)s)
AND (%(since)s::timestamptz IS NULL OR occurred_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s)
AND CASE WHEN %(as_of)s::timestamptz IS NULL THEN valid_to IS NULL
    ELSE valid_from <= %(as_of)s AND (valid_to IS NULL OR valid_to > %(as_of)s) END
"""

_TERMS = """
SELECT ns, array_agg(hashtext(ns || E'\\x1f' || word) ORDER BY place, word)
FROM (SELECT lexeme AS word, COALESCE(positions[1], 0) AS place
      FROM unnest(to_tsvector('english', %s)) ORDER BY 2, 1 LIMIT %s) AS given,
     unnest(%s::text[]) AS ns
GROUP BY ns
"""

# Okapi BM25 (Robertson and Zaragoza 2009), one column a word of the query.
_LEXICAL = """
, asked AS (
    SELECT * FROM unnest(%(asked)s::text[], {terms}) AS a(namespace, {t})
), hits AS MATERIALIZED (
    SELECT c.memory_id, c.length, {counts}
    FROM agentsys_memory_chunk AS c JOIN asked AS a USING (namespace)
    WHERE c.namespace = ANY(%(namespaces)s) AND c.terms && %(all_terms)s::integer[]
      {within}
), total AS MATERIALIZED (
    SELECT {total} AS texts
), known AS MATERIALIZED (
    SELECT avg(length)::float8 AS usual, {known} FROM hits, total GROUP BY texts
), scored AS MATERIALIZED (
    SELECT memory_id, max({score}) AS bm25 FROM hits, known GROUP BY memory_id
)
"""
_NO_WORDS = ", scored AS (SELECT NULL::bigint AS memory_id, NULL::float8 AS bm25 WHERE false)"

_FEATURES = """
memory_id, namespace, session, seq, actor, importance, pinned, words, kind,
CASE WHEN embed_model = %(model)s AND %(vector)s::text IS NOT NULL
     THEN 1 - (embedding <=> %(vector)s::halfvec) END AS cosine
"""

_EXACT = f"""
WITH scope AS MATERIALIZED (
    SELECT {_FEATURES} FROM agentsys_memory_chunk WHERE {_SCOPE}
)
{{lexical}}
, found AS (
    (SELECT memory_id FROM scored ORDER BY bm25 DESC, memory_id LIMIT %(limit)s)
    UNION
    (SELECT memory_id FROM scope WHERE cosine IS NOT NULL ORDER BY cosine DESC, memory_id LIMIT %(limit)s)
    UNION
    (SELECT memory_id FROM scope WHERE pinned ORDER BY memory_id DESC LIMIT %(pinned_max)s)
), places AS MATERIALIZED (
    SELECT f.memory_id, f.namespace, f.session, f.seq + side * away AS seq, side, away
    FROM found JOIN scope AS f USING (memory_id)
    CROSS JOIN (VALUES (-1), (1)) AS sides(side) CROSS JOIN generate_series(1, %(beside)s) AS away
    WHERE f.session <> ''
), beside AS (
    -- The nearest on each side: what stood between may be cold by now.
    SELECT DISTINCT ON (p.memory_id, side) near.memory_id
    FROM places AS p JOIN scope AS near USING (namespace, session, seq)
    ORDER BY p.memory_id, side, away
)
SELECT memory_id, bm25, cosine, pinned, importance, actor, namespace || session, seq, words,
       kind, memory_id IN (SELECT memory_id FROM found)
FROM scope LEFT JOIN scored USING (memory_id)
WHERE memory_id IN (SELECT memory_id FROM found UNION SELECT memory_id FROM beside)
"""  # noqa: S608 - the scope is text of this module; values are parameters

# The best by words are looked up one by one until enough of them pass the filter.
_LARGE = f"""
WITH nothing AS (SELECT 1)
{{lexical}}
, worded AS (
    SELECT s.memory_id, c.namespace, c.session, c.seq FROM scored AS s
    CROSS JOIN LATERAL (
        SELECT namespace, session, seq FROM agentsys_memory_chunk
        WHERE {_SCOPE} AND memory_id = s.memory_id) AS c
    ORDER BY s.bm25 DESC, s.memory_id LIMIT %(limit)s
), found AS (
    SELECT * FROM worded
    UNION
    (SELECT memory_id, namespace, session, seq FROM agentsys_memory_chunk
     WHERE {_SCOPE} AND memory_id = ANY(%(near)s))
    UNION
    (SELECT memory_id, namespace, session, seq FROM agentsys_memory_chunk
     WHERE {_SCOPE} AND pinned ORDER BY memory_id DESC LIMIT %(pinned_max)s)
), beside AS (
    SELECT near.memory_id, near.namespace FROM found AS f CROSS JOIN (VALUES (-1), (1)) AS step(by)
    JOIN agentsys_memory_chunk AS near ON near.namespace = f.namespace AND near.session = f.session
                                      AND near.seq = f.seq + step.by AND near.n = 0
    WHERE f.session <> ''
), wanted AS (
    SELECT memory_id, namespace FROM found UNION SELECT memory_id, namespace FROM beside
), scope AS (
    SELECT {_FEATURES} FROM agentsys_memory_chunk JOIN wanted USING (namespace, memory_id) WHERE {_SCOPE}
)
SELECT memory_id, bm25, cosine, pinned, importance, actor, namespace || session, seq, words,
       kind, memory_id IN (SELECT memory_id FROM found)
FROM scope LEFT JOIN scored USING (memory_id)
"""  # noqa: S608 - as above

_NEAREST = f"""
SELECT embedding{{cast}} <=> %(vector)s::halfvec AS distance, memory_id FROM agentsys_memory_chunk
WHERE {_SCOPE} AND embed_model = %(model)s AND embedding IS NOT NULL
ORDER BY distance LIMIT %(limit)s
"""  # noqa: S608 - as above

_TOKENS = """
SELECT memory_id, tokens FROM agentsys_memory_chunk
WHERE namespace = ANY(%s) AND memory_id = ANY(%s) AND n = 0 AND embed_model = %s AND tokens IS NOT NULL
"""

_UNLOOPED = "SET LOCAL enable_nestloop = off; {}; SET LOCAL enable_nestloop = on"

_USUAL = f"""
SELECT actor, count(*), avg(words)::float8 FROM
    (SELECT actor, words FROM agentsys_memory_chunk WHERE {_SCOPE} AND level = 0 LIMIT %(sample)s) AS sample
GROUP BY actor
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


def cleaned(query: str) -> str:
    text = " ".join(query.replace("\x00", " ").split())[:QUERY_CHARS_MAX]
    return text.encode("utf-8", "replace").decode()


def candidates(scope: Scope, query: str, encoded: Query) -> list[Candidate]:
    """What may answer `query`, with what is needed to rank it."""
    asked: dict[str, Any] = {
        **scope.parameters(),
        "vector": literals(encoded.vector[None, :])[0],
        "model": current_embedder().name,
        "limit": CANDIDATES_MAX,
        "pinned_max": PINNED_MAX,
        "beside": BESIDE_MAX,
    }
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(_TERMS, [query, WORDS_MAX, list(scope.namespaces)])
        terms = dict(cursor.fetchall())
        large = near.rows_of_large(scope.namespaces)
        if large:
            lexical, words = _lexical(terms, within="", total=str(sum(large.values())))
            words["near"] = nearest(scope, encoded, CANDIDATES_MAX)
            cursor.execute(_LARGE.format(lexical=lexical), {**asked, **words})
            rows = cursor.fetchall()
        else:
            lexical, words = _lexical(terms)
            # PostgreSQL takes a list of words to be in a row or two and would loop over all of them for each.
            cursor.execute(_UNLOOPED.format(_EXACT.format(lexical=lexical)), {**asked, **words})
            cursor.nextset()
            rows = cursor.fetchall()
        return [Candidate(*row) for row in rows]


def nearest(scope: Scope, encoded: Query, count: int) -> list[int]:
    """Ids of the nearest by meaning, from the index of a namespace that has one; else exactly."""
    vector = literals(encoded.vector[None, :])[0]
    if vector is None:
        return []
    large = near.rows_of_large(scope.namespaces)
    found: list[tuple[float, int]] = []
    with transaction.atomic(), connection.cursor() as cursor:
        for namespace in scope.namespaces:
            cast = f"::halfvec({current_embedder().dim})" if namespace in large else ""
            cursor.execute(near.PATIENCE)
            cursor.execute(
                _NEAREST.format(cast=cast),
                {
                    **scope.parameters(),
                    "namespaces": [namespace],
                    "vector": vector,
                    "model": current_embedder().name,
                    "limit": count,
                },
            )
            found += cursor.fetchall()
    return [memory_id for _, memory_id in sorted(found)[:count]]


def tokens(namespaces: Sequence[str], ids: Sequence[int]) -> dict[int, bytes]:
    """The states of the tokens of the first piece's memory, by id."""
    with connection.cursor() as cursor:
        cursor.execute(_TOKENS, [list(namespaces), list(ids), current_embedder().name])
        return dict(cursor.fetchall())


def usual(scope: Scope) -> list[Usual]:
    """Who writes in the scope, how often, and how much at a time, by a sample."""
    with connection.cursor() as cursor:
        cursor.execute(_USUAL, {**scope.parameters(), "sample": SAMPLE})
        return [Usual(*row) for row in cursor.fetchall()]


def _lexical(
    terms: dict[str, list[int]],
    within: str = "AND c.memory_id IN (SELECT memory_id FROM scope)",
    total: str = "(SELECT count(*) FROM scope)",
) -> tuple[str, dict[str, Any]]:
    """The part of the statement that looks for words, and its parameters."""
    if not terms:
        return _NO_WORDS, {}
    each = range(len(next(iter(terms.values()))))
    text = _LEXICAL.format(
        within=within,
        terms=", ".join(f"%(t{i})s::integer[]" for i in each),
        t=", ".join(f"t{i}" for i in each),
        counts=", ".join(f"c.counts[array_position(c.terms, a.t{i})] AS c{i}" for i in each),
        total=total,
        known=", ".join(
            f"ln(1 + (greatest(texts, count(c{i})) - count(c{i}) + .5) / (count(c{i}) + .5))::float8"
            f" AS w{i}"
            for i in each
        ),
        score=" + ".join(
            f"COALESCE(w{i} * c{i} * {K1 + 1} / (c{i} + {K1} * ({1 - B} + {B} * length / usual)), 0)"
            for i in each
        ),
    )
    namespaces = list(terms)
    parameters: dict[str, Any] = {f"t{i}": [terms[ns][i] for ns in namespaces] for i in each}
    parameters["asked"] = namespaces
    parameters["all_terms"] = sorted({term for ns in namespaces for term in terms[ns]})
    return text, parameters
