"""How fast recall and remembering are among many memories: real words, vectors and statements.

Texts are words drawn as English has them (Zipf's law over the vocabulary of BERT), a few thousand of
them embedded by the current model; each row joins two, vectors and tokens with them, so that no two
rows are the same. Namespaces are written interleaved, row by row, which is the worst order for reading
one of them. The database must hold nothing else: it is emptied first.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from agentsys.gateway.minilm import DATA, FIRST_WORD
from agentsys.kernel.errors import BadInput
from memory.candidates import Scope, nearest
from memory.chunks import current_embedder, literals
from memory.contracts import MemoryDraft
from memory.models import Memory
from memory.near import index_large
from memory.recall import recall
from memory.store import remember, remember_many

PREFIX = "bench-"
SENTENCES = 3000
BATCH = 20_000
QUERY_WORDS = 7
WARM = 60  # questions before: there is a statement for each number of words, kept once it came five times
ADDS = 300
TOP = 10
Tell = Callable[[str], None]

_SENTENCES = """
CREATE TEMP TABLE sentence AS
SELECT row_number() OVER () AS id, text, embedding::halfvec AS embedding, tokens
FROM unnest(%s::text[], %s::text[], %s::bytea[]) AS s(text, embedding, tokens)
"""

_ROWS = """
WITH pair AS (
    SELECT i, %(prefix)s || (i %% %(namespaces)s) AS namespace,
           1 + (random() * (%(sentences)s - 1))::integer AS a,
           1 + (random() * (%(sentences)s - 1))::integer AS b
    FROM generate_series(%(first)s::integer, %(last)s::integer) AS i
), made AS (
    SELECT i, namespace, a.text || '. ' || b.text || ' ' || i AS text,
           l2_normalize(a.embedding + b.embedding) AS embedding,
           a.tokens || b.tokens AS tokens
    FROM pair JOIN sentence AS a ON a.id = pair.a JOIN sentence AS b ON b.id = pair.b
), kept AS (
    INSERT INTO agentsys_memory_memory
        (namespace, layer, kind, actor, session, seq, text, text_hash, importance, access_count,
         occurred_at, valid_from, pinned, trust, provenance, state)
    SELECT namespace, 'episodic', 'note', 'agent:coder', 'session-' || (i / %(namespaces)s / 40),
           (i / %(namespaces)s) %% 40 + 1, text, md5(text), random(), 0, now() - i * interval '1 second',
           now() - i * interval '1 second', false, 'unverified', '{}', 'live'
    FROM made ORDER BY i
    RETURNING *
)
INSERT INTO agentsys_memory_chunk
    (namespace, memory_id, n, layer, kind, actor, session, seq, level, occurred_at, valid_from, valid_to,
     pinned, importance, words, length, terms, counts, embed_model, embedding, tokens)
SELECT kept.namespace, kept.id, 0, layer, kind, actor, session, seq, level, occurred_at, valid_from, NULL,
       pinned, importance, 30, t.length, t.terms, t.counts, %(model)s, made.embedding, made.tokens
FROM kept JOIN made USING (text)
CROSS JOIN LATERAL agentsys_memory_terms(kept.namespace, kept.text) AS t
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    rows: int = 1_000_000
    scope: int = 10_000
    questions: int = 200


def bench(sizes: Sizes, *, seed: int, keep: bool, tell: Tell) -> dict[str, Any]:
    """Milliseconds of encoding a question, which says how fast the processor is; of recall in one namespace
    of `sizes.scope` rows among `sizes.rows`, of a synchronous add there; adds a second in batches; and the
    share of the exact nearest that recall's search finds.
    `keep` asks the memories of the last time again, if there are as many."""
    if Memory.objects.exclude(namespace__startswith=PREFIX).exists():
        problem = (
            "there are memories in this database; AGENTSYS_HOME=/some/folder gives one of its own"
        )
        raise BadInput(what="bench", problems=[problem])
    chosen = random.Random(seed)  # noqa: S311 - no secret
    sentences = _sentences(chosen)
    began = time.perf_counter()
    if Memory.objects.count() < sizes.rows or not keep:
        _fill(sizes, sentences, tell)
    built = time.perf_counter() - began
    large = index_large()
    texts = [
        _question(text, chosen)
        for text in Memory.objects.filter(namespace=f"{PREFIX}1").values_list("text", flat=True)[
            : sizes.questions * 3 : 3
        ]
    ]
    for text in texts[:WARM]:
        recall(f"{PREFIX}1", text)
    return {
        "rows": sizes.rows,
        "scope": sizes.scope,
        "embedder": current_embedder().name,
        "vector_indexes": large,
        "build_seconds": round(built, 1),
        "encode_milliseconds": _timed(texts, current_embedder().encode_query),
        "recall_milliseconds": _timed(texts, lambda text: recall(f"{PREFIX}1", text)),
        "nearest_found": _nearest_found(texts[:50]),
        "add_milliseconds": _timed(
            _new(sentences, chosen), lambda text: remember(f"{PREFIX}1", "episodic", text)
        ),
        "adds_a_second": _batches(_new(sentences, chosen) + _new(sentences, chosen)),
    }


def _sentences(chosen: random.Random) -> list[str]:
    words = (DATA / "minilm-vocab.txt").read_text(encoding="utf-8").split()[FIRST_WORD:]
    words = [word for word in words if word.isascii() and word.isalpha()]
    weights = [1 / (place + 2.7) for place in range(len(words))]
    return [
        " ".join(chosen.choices(words, weights, k=chosen.randint(5, 25))) for _ in range(SENTENCES)
    ]


def _fill(sizes: Sizes, sentences: Sequence[str], tell: Tell) -> None:
    encoded = current_embedder().encode(sentences)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE agentsys_memory_memory, agentsys_memory_chunk CASCADE")
        cursor.execute("DROP TABLE IF EXISTS sentence")
        vectors = literals(encoded.vectors)
        cursor.execute(_SENTENCES, [list(sentences), vectors, list(encoded.tokens)])
        began = time.perf_counter()
        for first in range(1, sizes.rows + 1, BATCH):
            last = min(first + BATCH - 1, sizes.rows)
            cursor.execute(
                _ROWS,
                {
                    "prefix": PREFIX,
                    "namespaces": max(sizes.rows // sizes.scope, 1),
                    "sentences": len(sentences),
                    "first": first,
                    "last": last,
                    "model": current_embedder().name,
                },
            )
            left = (time.perf_counter() - began) / last * (sizes.rows - last)
            tell(f"{last:,} of {sizes.rows:,} rows, {left:.0f} s to go")
        cursor.execute("VACUUM ANALYZE agentsys_memory_memory, agentsys_memory_chunk")
        cursor.execute("SELECT pg_has_role('pg_checkpoint', 'USAGE')")
        if cursor.fetchone() == (True,):  # nothing of this is still being written meanwhile
            cursor.execute("CHECKPOINT")
    connection.close()  # what is timed has a connection like any other


def _question(text: str, chosen: random.Random) -> str:
    words = text.split()
    return " ".join(chosen.sample(words, min(QUERY_WORDS, len(words))))


def _new(sentences: Sequence[str], chosen: random.Random) -> list[str]:
    pairs = (chosen.sample(sentences, 2) for _ in range(ADDS))
    return [f"{a} {b} {chosen.random()}" for a, b in pairs]


def _timed(texts: Sequence[str], act: Callable[[str], Any]) -> dict[str, float]:
    taken = []
    for text in texts:
        began = time.perf_counter()
        act(text)
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return {
        "p50": round(statistics.median(taken), 2),
        "p95": round(taken[int(len(taken) * 0.95)], 2),
    }


def _batches(texts: Sequence[str]) -> float:
    drafts = [MemoryDraft(f"{PREFIX}1", "episodic", text, actor="agent:coder") for text in texts]
    began = time.perf_counter()
    for start in range(0, len(drafts), 100):
        remember_many(drafts[start : start + 100])
    return round(len(drafts) / (time.perf_counter() - began), 1)


def _nearest_found(texts: Sequence[str]) -> float:
    """The share of the ten nearest by a scan of the namespace that the search of recall has."""
    shares = []
    for text in texts:
        (vector,) = literals(current_embedder().embed_query(text)[None, :])
        scope = Scope([f"{PREFIX}1"])
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT memory_id FROM agentsys_memory_chunk WHERE namespace = %s AND n = 0"
                " ORDER BY (embedding <=> %s::halfvec) + 0, memory_id LIMIT %s",
                [scope.namespaces[0], vector, TOP],
            )
            exact = {row[0] for row in cursor.fetchall()}
        found = nearest(scope, vector, TOP)
        shares.append(len(exact & set(found)) / TOP)
    return round(statistics.fmean(shares), 4)
