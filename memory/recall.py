"""Finding memories: lexical and dense candidates in the namespace, z-scored, within a budget.

Dense search is exact over the namespace's live rows: a filter behind an approximate index finds
almost nothing in a small scope. The lexical leg ORs the query's words; Django's default, AND,
finds almost nothing for a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from agentsys.gateway.embeddings import embedder
from memory.contracts import Recalled
from memory.domain.ranking import Candidate, rank, within_budget
from memory.models import Memory
from memory.store import vector_literal

CANDIDATES = 200

_CANDIDATES = """
WITH asked AS (
    SELECT NULLIF(replace(plainto_tsquery('english', %(query)s)::text, '&', '|'), '')::tsquery AS words
), scope AS MATERIALIZED (
    SELECT id, tsv, embedding, embed_model, pinned FROM agentsys_memory_memory
    WHERE namespace = ANY(%(namespaces)s) AND layer = ANY(%(layers)s) AND state = 'live'
      AND (%(actor)s::text IS NULL OR actor = %(actor)s)
      AND CASE WHEN %(as_of)s::timestamptz IS NULL THEN valid_to IS NULL
               ELSE valid_from <= %(as_of)s AND (valid_to IS NULL OR valid_to > %(as_of)s) END
), lexical AS (
    SELECT id, ts_rank(tsv, words) AS score FROM scope, asked WHERE tsv @@ words
    ORDER BY score DESC, id LIMIT %(limit)s
), dense AS (
    SELECT id, 1 - (embedding <=> %(vector)s::halfvec) AS score FROM scope
    WHERE embedding IS NOT NULL AND embed_model = %(model)s
    ORDER BY embedding <=> %(vector)s::halfvec, id LIMIT %(limit)s
)
SELECT scope.id, lexical.score, dense.score, scope.pinned
FROM scope LEFT JOIN lexical USING (id) LEFT JOIN dense USING (id)
WHERE lexical.id IS NOT NULL OR dense.id IS NOT NULL OR scope.pinned
"""


def recall(
    namespaces: str | Sequence[str],
    query: str,
    *,
    k: int = 8,
    layers: Sequence[str] | None = None,
    budget_tokens: int = 1500,
    explain: bool = False,
    actor: str | None = None,
    as_of: datetime | None = None,
) -> list[Recalled]:
    """The `k` best memories for `query`, best first, within `budget_tokens`.

    `explain` fills in each signal's share of the score; `as_of` asks for what held then.
    """
    wanted = [namespaces] if isinstance(namespaces, str) else list(namespaces)
    ranked = rank(_candidates(wanted, query, layers, actor, as_of))[:k]
    rows = Memory.objects.select_related("supersedes").in_bulk([row[0] for row in ranked])
    found = [
        _recalled(rows[pk], score, signals if explain else {}) for pk, score, signals in ranked
    ]
    found = found[: within_budget([m.text for m in found], budget_tokens)]
    Memory.objects.filter(pk__in=[m.id for m in found]).update(
        access_count=F("access_count") + 1, last_access_at=Now()
    )
    return found


def _candidates(
    namespaces: Sequence[str],
    query: str,
    layers: Sequence[str] | None,
    actor: str | None,
    as_of: datetime | None,
) -> list[Candidate]:
    model = embedder(settings.AGENTSYS.embedder)
    with connection.cursor() as cursor:
        cursor.execute(
            _CANDIDATES,
            {
                "query": query.replace("\x00", ""),
                "vector": vector_literal(model.embed([query])[0]),
                "model": model.name,
                "namespaces": list(namespaces),
                "layers": list(layers or ("working", "episodic", "semantic", "procedural")),
                "actor": actor,
                "as_of": as_of,
                "limit": CANDIDATES,
            },
        )
        return [Candidate(*row) for row in cursor.fetchall()]


def _recalled(row: Memory, score: float, signals: dict[str, float]) -> Recalled:
    older: list[str] = []
    before = row.supersedes
    while before is not None and len(older) < 5:
        older.append(before.text)
        before = before.supersedes
    return Recalled(
        id=row.pk,
        namespace=row.namespace,
        layer=row.layer,
        kind=row.kind,
        text=row.text,
        score=round(score, 4),
        trust=row.trust,
        source=source_of(row.provenance),
        occurred_at=row.occurred_at,
        pinned=row.pinned,
        signals=signals,
        superseded=tuple(older),
    )


def source_of(provenance: dict[str, Any]) -> str:
    if provenance.get("source"):
        return str(provenance["source"])
    if provenance.get("ledger_seq"):
        return f"goal-{provenance.get('goal_id')} #{provenance['ledger_seq']}"
    return str((provenance.get("goal_id") and f"goal-{provenance['goal_id']}") or "")
