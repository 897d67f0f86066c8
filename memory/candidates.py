"""The memories that a recall ranks: by words, by meaning, the pinned ones, and what stands beside them.

The vectors of a scope are all read, exactly: a filter behind an approximate vector index finds almost
nothing in a small scope. A namespace of more than 20,000 has an index of its own (`memory.near`), which is
read until enough rows pass the filter. The words of a query are ORed
and weighed by BM25 over pieces of texts, the best piece speaking for its memory; words come out of
PostgreSQL's own parser and go back as numbers, so no text of a query is ever read as an operator.
What was said just before and after a candidate comes with it: its scores say something about the
candidate's. Where that is cold by now, its words are left, and say less.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from django.db import connection, transaction

from agentsys.gateway.embedding import Query
from agentsys.prepared import Rows, fetch, on_the_way, send
from memory import near
from memory.chunks import current_embedder, literals
from memory.domain.ranking import BESIDE_MAX, NO_CANDIDATES, Candidates, Usual
from memory.partitions import chunks_of

CANDIDATES_MAX = 80  # of each leg
BESIDE_OF = 40  # of each leg, the best, whose neighbours come with them
WORDED_MAX = 2000  # whose words are looked at: what is near by meaning may have some too
PINNED_MAX = 50
WORDS_MAX = 24  # of the query, the first ones
QUERY_CHARS_MAX = 4000
SHORT_DIMS = 768  # longer vectors are not in `chunk_vectors`, the index of all that is compared
SAMPLE = 400  # rows of a scope that tell how people write there
K1, B = 0.9, 0.4  # BM25 for short texts

_SCOPE = "namespace = ANY(%(namespaces)s) AND n = 0 AND {passes}"

# Okapi BM25 (Robertson and Zaragoza 2009), one column a word of the query: its first stems, in order. How
# rare a word is, is counted over the whole namespace, whatever passes the filter. A term is hashed with its
# namespace: in its partition the index of terms needs no other to go with it, and the join leaves out what
# has the same hash by chance.
_WORDED = f"""
WITH given AS MATERIALIZED (
    SELECT array_agg(lexeme ORDER BY COALESCE(positions[1], 0), lexeme) AS words
    FROM unnest(to_tsvector('english', %(query)s))
), asked AS MATERIALIZED (
    SELECT namespace, {{hashes}} FROM given, unnest(%(namespaces)s::text[]) AS namespace
), sought AS MATERIALIZED (
    SELECT array_agg(ARRAY[{{t}}]) AS terms FROM asked
), hits AS MATERIALIZED (
    SELECT c.memory_id, c.length, {{counts}}, ({{passes}}) AS passes
    FROM {{chunks}} AS c JOIN asked AS a USING (namespace)
    WHERE {{where}} c.terms && (SELECT terms FROM sought)
), every AS MATERIALIZED (
    SELECT count(*) AS pieces FROM {{chunks}} AS c WHERE namespace = ANY(%(namespaces)s)
), known AS MATERIALIZED (
    SELECT avg(length)::float8 AS usual, {{known}} FROM hits, every GROUP BY pieces
), scored AS MATERIALIZED (
    SELECT memory_id, max({{score}}) AS bm25 FROM hits, known WHERE passes GROUP BY memory_id
)
SELECT 0 AS memory_id, usual AS bm25, ARRAY[{{rarity}}] AS rarity, terms FROM known, sought
UNION ALL
(SELECT memory_id, bm25, NULL, NULL FROM scored ORDER BY bm25 DESC, memory_id LIMIT {WORDED_MAX})
ORDER BY rarity NULLS LAST, bm25 DESC, memory_id
"""  # noqa: S608 - the filter is text of this module; values are parameters
# Where PostgreSQL may begin a word: it takes hyphened words and addresses whole and apart, and in the C
# locale all that is not ASCII for letters.
_STEM = re.compile(r"[0-9]+|[A-Za-z]+|[^\W\x00-\x7f]+|[^\w\x00-\x7f]+|[-_]|\.\.|/(?![0-9A-Za-z])")

_KNOWN = """
memory_id, embed_model, embedding, pinned, importance, actor, namespace, session, seq, words, kind
"""
_BESIDE = f"""
SELECT {_KNOWN} FROM {{chunks}} AS b
WHERE b.namespace = f.namespace AND b.session = f.session AND {_SCOPE}
"""  # noqa: S608 - as above

# Beside a memory and cold: which words of the question it has, each as if it were there once.
_FADED = """
SELECT id, importance, actor, namespace, session, seq, kind, terms FROM agentsys_memory_memory AS c
WHERE c.namespace = f.namespace AND c.session = f.session AND c.session <> ''
  AND c.seq = ANY(ARRAY[f.seq - 1, f.seq + 1]) AND c.state = 'cold' AND c.level = 0 AND {passes}
"""

_GATHER = f"""
WITH near AS MATERIALIZED ({{near}}), found AS MATERIALIZED (
    SELECT {_KNOWN} FROM {{chunks}} AS c
    WHERE namespace = ANY(%(namespaces)s) AND n = 0 AND memory_id = ANY(ARRAY(
        SELECT unnest(%(ids)s::bigint[])
        UNION
        SELECT memory_id FROM near
        UNION
        (SELECT memory_id FROM {{chunks}} AS c WHERE {_SCOPE} AND pinned
         ORDER BY memory_id DESC LIMIT {PINNED_MAX})))
), best AS MATERIALIZED (
    SELECT namespace, session, seq FROM found
    WHERE session <> '' AND memory_id = ANY(ARRAY(
        SELECT unnest(%(best)s::bigint[])
        UNION
        (SELECT memory_id FROM near ORDER BY distance LIMIT {BESIDE_OF})))
), beside AS (
    -- The nearest on each side: what stood between may be cold by now.
    SELECT DISTINCT ON (s.memory_id) s.* FROM best AS f CROSS JOIN LATERAL (
        ({_BESIDE} AND b.seq > f.seq AND b.seq <= f.seq + {BESIDE_MAX} ORDER BY b.seq LIMIT 1)
        UNION ALL
        ({_BESIDE} AND b.seq < f.seq AND b.seq >= f.seq - {BESIDE_MAX} ORDER BY b.seq DESC LIMIT 1)) AS s
    ORDER BY s.memory_id
), faded AS (
    SELECT DISTINCT ON (s.id) s.* FROM best AS f CROSS JOIN LATERAL ({_FADED} LIMIT 2) AS s ORDER BY s.id
)
SELECT array_agg(id), array_agg(bm25), array_agg(cosine), array_agg(pinned), array_agg(importance),
       array_agg(actor), array_agg(session), array_agg(seq), array_agg(words), array_agg(kind),
       array_agg(is_found), array_agg(is_faded)
FROM (
    SELECT memory_id AS id, NULL::float8 AS bm25,
           CASE WHEN embed_model = %(model)s THEN 1 - (embedding <=> %(vector)s::halfvec) END AS cosine,
           pinned, importance, actor, namespace || session AS session, seq, words, kind, is_found,
           false AS is_faded
    FROM (
        SELECT *, true AS is_found FROM found
        UNION ALL
        SELECT *, false FROM beside WHERE memory_id NOT IN (SELECT memory_id FROM found)
    ) AS live
    UNION ALL
    SELECT id,
           (SELECT sum(rarity * {K1 + 1} / (1 + {K1} * ({1 - B} + {B} * cardinality(terms) / %(usual)s)))
            FROM unnest(%(terms)s::integer[], %(rarity)s::float8[]) AS asked(term, rarity)
            WHERE term = ANY(terms)),
           NULL, false, importance, actor, namespace || session, seq, cardinality(terms), kind, false, true
    FROM faded
    ORDER BY id
) AS every
"""  # noqa: S608 - as above

_NEAREST = f"""
SELECT embedding{{cast}} <=> %(vector)s::halfvec AS distance, memory_id FROM {{chunks}} AS c
WHERE {_SCOPE} AND embed_model = %(model)s AND {{vectors}}
ORDER BY distance LIMIT %(limit)s
"""  # noqa: S608 - as above
_GIVEN = """
SELECT distance, memory_id
FROM unnest(%(near)s::bigint[]) WITH ORDINALITY AS looked_up(memory_id, distance)
"""
_VECTORS = "embedding IS NOT NULL"
_SHORT_VECTORS = f"vector_dims(embedding) <= {SHORT_DIMS}"

# Only the rows of the namespace are read, by its indexes; and a list that PostgreSQL takes to be a row or
# two is not looped over for each of many.
_BY_INDEX = {"enable_seqscan": "off", "enable_nestloop": "off"}
# All that an exact search reads is in one index, if nothing sends it to the table first.
_FROM_INDEX = {**_BY_INDEX, "enable_bitmapscan": "off"}
_KEPT = {"plan_cache_mode": "force_generic_plan"}  # one plan for all values
_AS_BEFORE = dict.fromkeys(_FROM_INDEX, "on") | {"plan_cache_mode": "auto"}

_USUAL = f"""
SELECT actor, count(*), avg(words)::float8 FROM
    (SELECT actor, words FROM {{chunks}} AS c WHERE {_SCOPE} AND level = 0 LIMIT {SAMPLE}) AS sample
GROUP BY actor
"""  # noqa: S608 - as above


class Worded(NamedTuple):
    """What words say. `scores`: BM25 by id, the best first; `rarity` of each term; `usual`: how long a
    piece is on average."""

    scores: Mapping[int, float]
    rarity: Mapping[int, float]
    usual: float


NOT_WORDED = Worded({}, {}, 1.0)


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
            "layers": list(self.layers) if self.layers else None,
            "actor": self.actor,
            "since": self.since,
            "until": self.until,
            "as_of": self.as_of,
        }

    @property
    def alone(self) -> bool:
        """One namespace, whose statements are kept: a plan for several would have all 64 partitions in it."""
        return len(self.namespaces) == 1

    @property
    def kept(self) -> bool | None:
        """How its statements are prepared."""
        return None if self.alone else False

    def passes(self) -> str:
        """The filters that are given, as SQL: those that are not would be looked at for each row."""
        valid = "valid_to IS NULL"
        if self.as_of:
            valid = "valid_from <= %(as_of)s AND (valid_to IS NULL OR valid_to > %(as_of)s)"
        given = {
            "layer = ANY(%(layers)s)": self.layers,
            "actor = %(actor)s": self.actor is not None,
            "occurred_at >= %(since)s": self.since,
            "occurred_at < %(until)s": self.until,
        }
        return " AND ".join([valid, *(sql for sql, there in given.items() if there)])


def cleaned(query: str) -> str:
    text = " ".join(query.replace("\x00", " ").split())[:QUERY_CHARS_MAX]
    return text.encode("utf-8", "replace").decode()


def worded(
    scope: Scope, question: str, encode: Callable[[], Query]
) -> tuple[Worded, list[Usual], Query]:
    """What the words of a question say; who writes in the scope, how often, and how much at a time, by a
    sample; and what `encode` gives, which is asked while PostgreSQL looks."""
    chunks, passes = chunks_of(scope.namespaces), scope.passes()
    words = min(stems_max(question), WORDS_MAX)
    asked = scope.parameters() | {"query": question}
    with on_the_way():
        # Planned with its values: a plan for all would read the whole partition for the sample.
        usual = send(_USUAL.format(chunks=chunks, passes=passes), asked, keep=False)
        found: Callable[[], Rows] = list
        if words:
            plan(_BY_INDEX, kept=scope.alone)
            by_words = _by_words(words, chunks, passes, scope.alone)
            found = send(by_words, asked, binary=True, keep=scope.kept)
        encoded = encode()
    return _worded(found()), [Usual(*row) for row in usual()], encoded


def stems_max(text: str) -> int:
    """No fewer than PostgreSQL makes of a text."""
    return len(_STEM.findall(text))


@lru_cache(maxsize=256)
def _by_words(words: int, chunks: str, passes: str, alone: bool) -> str:
    each = range(words)
    return _WORDED.format(
        chunks=chunks,
        where="" if alone else "c.namespace = ANY(%(namespaces)s) AND",
        passes=passes,
        hashes=", ".join(
            f"hashtext(namespace || E'\\x1f' || words[{i + 1}]) AS t{i}" for i in each
        ),
        t=", ".join(f"t{i}" for i in each),
        counts=", ".join(f"c.counts[array_position(c.terms, a.t{i})] AS c{i}" for i in each),
        known=", ".join(
            f"ln(1 + (pieces - count(c{i}) + .5) / (count(c{i}) + .5))::float8 AS w{i}"
            for i in each
        ),
        rarity=", ".join(f"w{i}" for i in each),
        score=" + ".join(
            f"COALESCE(w{i} * c{i} * {K1 + 1} / (c{i} + {K1} * ({1 - B} + {B} * length / usual)), 0)"
            for i in each
        ),
    )


def _worded(rows: Rows) -> Worded:
    if not rows:
        return NOT_WORDED
    (_, usual, weights, terms), *scored = rows
    rarity = {
        term: weight
        for each in terms
        for term, weight in zip(each, weights, strict=True)
        if term is not None
    }
    return Worded({row[0]: row[1] for row in scored}, rarity, usual)


def candidates(scope: Scope, by_words: Worded, encoded: Query) -> Candidates:
    """What may answer a question, with what is needed to rank it."""
    vector = literals(encoded.vector[None, :])[0]
    asked: dict[str, Any] = {
        **scope.parameters(),
        "ids": array(islice(by_words.scores, CANDIDATES_MAX)),
        "best": array(islice(by_words.scores, BESIDE_OF)),
        "terms": array(by_words.rarity),
        "rarity": array(by_words.rarity.values()),
        "usual": by_words.usual,
        "vector": vector,
        "model": current_embedder().name,
        "limit": CANDIDATES_MAX,
    }
    chunks = chunks_of(scope.namespaces)
    if vector and len(scope.namespaces) == 1 and not near.indexed(scope.namespaces):
        way, by_meaning = _FROM_INDEX, _exact(vector, chunks, scope)  # all in one statement
    else:
        way, by_meaning = _BY_INDEX, _GIVEN
        asked["near"] = array(nearest(scope, vector, CANDIDATES_MAX))
    gather = _GATHER.format(near=by_meaning, chunks=chunks, passes=scope.passes())
    with on_the_way():
        plan(way, kept=scope.alone)
        rows = send(gather, asked, binary=True, keep=scope.kept)
    ((ids, bm25, *others),) = rows()  # a column each: hundreds of rows as such take a millisecond
    if ids is None:
        return NO_CANDIDATES
    scores = by_words.scores
    by_words_too = [scores.get(one, faded) for one, faded in zip(ids, bm25, strict=True)]
    return Candidates.given(ids, by_words_too, *others)


def nearest(scope: Scope, vector: str | None, count: int) -> list[int]:
    """Ids of the nearest to a vector, in pgvector's text form, from the index of a namespace that has one;
    else exactly."""
    if vector is None:
        return []
    large = near.indexed(scope.namespaces)
    found: list[tuple[float, int]] = []
    for namespace in scope.namespaces:
        asked = {**scope.parameters(), "namespaces": [namespace], "vector": vector,
                 "model": current_embedder().name, "limit": count}  # fmt: skip
        chunks = chunks_of([namespace])
        if namespace in large:
            # Its index is for this namespace and model: planned with the values.
            by_hnsw = _NEAREST.format(
                cast=f"::halfvec({_dims(vector)})",
                vectors=_VECTORS,
                chunks=chunks,
                passes=scope.passes(),
            )
            with on_the_way(), planned(near.PATIENCE):
                found += fetch(by_hnsw, asked, keep=False)
        else:
            with on_the_way(), planned(_FROM_INDEX):
                found += fetch(_exact(vector, chunks, scope), asked, keep=False)
    return [memory_id for _, memory_id in sorted(found)[:count]]


def _exact(vector: str, chunks: str, scope: Scope) -> str:
    vectors = _SHORT_VECTORS if _dims(vector) <= SHORT_DIMS else _VECTORS
    return _NEAREST.format(cast="", vectors=vectors, chunks=chunks, passes=scope.passes())


def _dims(vector: str) -> int:
    return vector.count(",") + 1


@contextmanager
def planned(way: Mapping[str, str] | None = None) -> Iterator[None]:
    """A transaction, or a part of one, that plans as it needs and leaves no trace of it."""
    whole = not connection.in_atomic_block
    with transaction.atomic(savepoint=False):
        if way is not None:
            plan(way)
        yield
        if not whole:
            plan({})


def plan(way: Mapping[str, str], *, kept: bool = False) -> None:
    """What is sent from here on in the transaction is planned as the settings of `way` have it; `kept`: for
    all values, so that the plan is kept with the statement."""
    send(_set({**_AS_BEFORE, **way, **(_KEPT if kept else {})}), {})


def _set(settings: Mapping[str, str]) -> str:
    """`SET LOCAL` as a statement that can be prepared."""
    each = (f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    return f"SELECT {', '.join(each)}"


def array(numbers: Iterable[float]) -> str:
    """As PostgreSQL writes an array: of one type, however large the numbers are, or if there are none."""
    return "{" + ",".join(map(str, numbers)) + "}"
