"""What search reads of memories: written with a live memory, made again for those that lack it.

`Chunk` rows are derived. A memory that became live later, one whose text came from an older version
of agentsys, and all of them after a change of the embedder, have none of the current model until
`index_missing` comes by; until then they are found by their words, if by anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from django.conf import settings
from django.db import connection, transaction

from agentsys.gateway.embedding import Embedder, Encoded, Query, Vectors
from agentsys.gateway.embeddings import embedder
from agentsys.kernel.errors import ServiceAway
from memory.domain.pieces import pieces

log = structlog.get_logger(__name__)

INDEX_MAX = 20_000  # memories of one pass
INDEX_BATCH = 500

# The heading goes before each piece: who said it and on which day are words to be found by.
INSERT_CHUNKS = """
INSERT INTO agentsys_memory_chunk
    (namespace, memory_id, n, layer, kind, actor, session, seq, level, occurred_at, valid_from, valid_to,
     pinned, importance, words, length, terms, counts, embed_model, embedding, tokens)
SELECT m.namespace, m.id, p.n, m.layer, m.kind, m.actor, m.session, m.seq, m.level, m.occurred_at,
       m.valid_from, m.valid_to, m.pinned, m.importance, p.words, t.length, t.terms, t.counts,
       %(model)s, p.embedding::halfvec, p.tokens
FROM {memories} AS m
JOIN unnest(%(places)s::{place}[], %(ns)s::smallint[], %(pieces)s::text[], %(words)s::integer[],
            %(embeddings)s::text[], %(tokens)s::bytea[])
    AS p(place, n, piece, words, embedding, tokens) ON p.place = m.{on}
CROSS JOIN LATERAL agentsys_memory_terms(m.namespace,
    concat_ws(' ', m.actor, to_char(m.occurred_at AT TIME ZONE 'UTC', 'DD FMMonth YYYY'), p.piece))
    AS t
"""

_LACKING = """
FROM agentsys_memory_memory AS m
WHERE m.state = 'live' AND NOT EXISTS (
    SELECT 1 FROM agentsys_memory_chunk AS c
    WHERE c.namespace = m.namespace AND c.memory_id = m.id AND c.n = 0 AND c.embed_model = %s)
"""
_COUNT_MISSING = f"SELECT count(*) {_LACKING}"
_MISSING = f"""
SELECT m.id, m.actor, m.text {_LACKING} ORDER BY m.id LIMIT %s FOR UPDATE OF m SKIP LOCKED
"""

_DROP = """
DELETE FROM agentsys_memory_chunk AS c USING agentsys_memory_memory AS m
WHERE m.id = ANY(%s) AND c.namespace = m.namespace AND c.memory_id = m.id
"""

_INDEX = INSERT_CHUNKS.format(memories="agentsys_memory_memory", place="bigint", on="id")


@dataclass(frozen=True, slots=True)
class Source:
    """A memory to be indexed. `place` finds its row: an id, or the hash of a row just written."""

    place: Any
    actor: str
    text: str


def columns(sources: Sequence[Source]) -> dict[str, Any]:
    """The parameters of `INSERT_CHUNKS`: one entry a piece; vectors only with the first."""
    name, encoded = _encoded([spoken(s.actor, s.text) for s in sources])
    vectors = literals(encoded.vectors)
    rows = [
        (source.place, n, piece, len(source.text.split()), vectors[i] if n == 0 else None,
         encoded.tokens[i] if n == 0 else None)
        for i, source in enumerate(sources)
        for n, piece in enumerate(pieces(source.text))
    ]  # fmt: skip
    names = ("places", "ns", "pieces", "words", "embeddings", "tokens")
    by_column = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {"model": name, **dict(zip(names, map(list, by_column), strict=True))}


def _encoded(texts: Sequence[str]) -> tuple[str, Encoded]:
    """The current model's name, and what it makes of `texts`; no name where it is away: a memory is
    kept all the same, and `index_missing` finds it later."""
    try:
        model = current_embedder()
        return model.name, model.encode(texts)
    except ServiceAway as away:
        log.warning("memory.embedder_away", reason=str(away))
        return "", Encoded(np.zeros((len(texts), 1), np.float32), [None] * len(texts))


def encoded_query(text: str) -> Query:
    """`text` as a question; without a direction where the embedder is away."""
    try:
        return current_embedder().encode_query(text)
    except ServiceAway as away:
        log.warning("memory.embedder_away", reason=str(away))
        return Query(np.zeros(1, np.float32))


def spoken(actor: str, text: str) -> str:
    """What is embedded: who says it belongs to what it means."""
    return f"{actor}: {text}" if actor else text


def index_missing(limit: int = INDEX_MAX, *, tell: Callable[[str], None] | None = None) -> int:
    """Chunks for live memories that have none of the current embedder; returns how many memories."""
    total, began = 0, time.monotonic()
    missing = min(_missing(), limit) if tell is not None else 0
    while total < limit and (done := _index_batch(min(INDEX_BATCH, limit - total))):
        total += done
        if tell is not None and missing > INDEX_BATCH:
            left = (time.monotonic() - began) / total * max(missing - total, 0)
            tell(f"{total:,} of {missing:,} can be found, {left:.0f} s to go")
    return total


def _missing() -> int:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_MISSING, [current_embedder().name])
        return int(cursor.fetchone()[0])


def index_memories(ids: Sequence[int]) -> None:
    """Chunks for memories that have just become live."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, actor, text FROM agentsys_memory_memory"
            " WHERE id = ANY(%s) AND state = 'live' ORDER BY id",
            [list(ids)],
        )
        _index(cursor, [Source(*row) for row in cursor.fetchall()])


def _index(cursor: Any, sources: Sequence[Source]) -> bool:
    """False where there was nothing to do, or the embedder is away: what words there are stay."""
    made = columns(sources) if sources else {"model": ""}
    if not made["model"]:
        return False
    cursor.execute(_DROP, [[source.place for source in sources]])
    cursor.execute(_INDEX, made)
    return True


def _index_batch(size: int) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MISSING, [current_embedder().name, size])
        sources = [Source(*row) for row in cursor.fetchall()]
        return len(sources) if _index(cursor, sources) else 0


def current_embedder() -> Embedder:
    return embedder(settings.AGENTSYS.embedder)


def literals(vectors: Vectors) -> list[str | None]:
    """pgvector's text form of each row; None for a zero vector, which has no direction: its
    cosine with anything is NaN."""
    form = f"[{','.join(['%.5g'] * vectors.shape[1])}]"
    return [form % tuple(vector.tolist()) if vector.any() else None for vector in vectors]
