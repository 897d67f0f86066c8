"""Writing memories: noise gate, duplicates, one statement for all that is new. No model is asked.

Nothing is overwritten: what is said again is counted on the row that says it. Which rows "say the
same" is `text_hash`, held by a partial unique index, so that two writers at once keep one row:
for an episode its place in the ledger, for a note on a blackboard its key and text, otherwise the
words that carry the sense, and the trust. Trust is part of it because a row keeps its label for
ever: an untrusted text must not take the place of the same words from a trusted source, and is not
raised by them either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection

from agentsys.gateway.embeddings import Embedder, Vectors, embedder
from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import canonical, digest, plain
from memory.contracts import MemoryDraft
from memory.domain.importance import importance_of
from memory.domain.sameness import gist, is_noise
from memory.models import LAYERS, TRUST

TEXT_MAX = 20_000  # characters; what is longer is cut
LENGTHS_MAX = {"namespace": 80, "kind": 24, "actor": 150}

_INSERT = """
INSERT INTO agentsys_memory_memory
    (namespace, layer, kind, actor, goal_id, task_id, text, text_hash, embedding, embed_model,
     importance, access_count, occurred_at, valid_from, pinned, trust, provenance, state)
SELECT namespace, layer, kind, actor, goal_id, task_id, text, text_hash, embedding::halfvec,
       %s, importance, 0, COALESCE(occurred_at, clock_timestamp()),
       COALESCE(occurred_at, clock_timestamp()), pinned, trust, provenance::jsonb, 'live'
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
            %s::text[], %s::text[], %s::text[], %s::float8[], %s::timestamptz[], %s::bool[],
            %s::text[], %s::text[])
     AS d(namespace, layer, kind, actor, goal_id, task_id, text, text_hash, embedding,
          importance, occurred_at, pinned, trust, provenance)
ON CONFLICT (namespace, layer, text_hash) WHERE state = 'live' AND valid_to IS NULL
DO UPDATE SET access_count = agentsys_memory_memory.access_count + 1,
              last_access_at = clock_timestamp(),
              pinned = agentsys_memory_memory.pinned OR EXCLUDED.pinned
RETURNING id, namespace, layer, text_hash
"""

Key = tuple[str, str, str]  # namespace, layer, text hash


@dataclass(frozen=True, slots=True)
class Prepared:
    draft: MemoryDraft
    text: str
    key: Key


def remember(
    namespace: str,
    layer: str,
    text: str,
    *,
    kind: str = "note",
    actor: str = "",
    trust: str = "unverified",
    provenance: Mapping[str, Any] | None = None,
    importance: float | None = None,
    occurred_at: datetime | None = None,
    goal_id: int | None = None,
    task_id: int | None = None,
    pinned: bool = False,
) -> int:
    """Keep `text`; returns its id, or that of the row that says the same, or 0 for noise.

    `occurred_at` in the past also says since when it holds. BadInput for an unknown layer or trust.
    """
    draft = MemoryDraft(
        namespace=namespace,
        layer=layer,
        text=text,
        kind=kind,
        actor=actor,
        trust=trust,
        provenance=provenance or {},
        importance=importance,
        occurred_at=occurred_at,
        goal_id=goal_id,
        task_id=task_id,
        pinned=pinned,
    )
    return remember_many([draft])[0]


def remember_many(items: Sequence[MemoryDraft]) -> list[int]:
    """Ids in the order of `items`; one statement for all that is new. 0 where nothing was kept."""
    check(items)
    prepared = [prepare(item) for item in items]
    new = {p.key: p for p in reversed(prepared) if not _noise(p)}  # the first of a kind counts
    ids = insert(list(new.values()))  # one statement, so one transaction
    return [ids.get(p.key, 0) for p in prepared]


def check(items: Sequence[MemoryDraft]) -> None:
    problems = {p for item in items for p in _problems(item)}
    if problems:
        raise BadInput(what="memory", problems=sorted(problems))


def _problems(item: MemoryDraft) -> list[str]:
    found = [
        f"{name} `{value}` is unknown; use one of {', '.join(known)}"
        for name, value, known in (("layer", item.layer, LAYERS), ("trust", item.trust, TRUST))
        if value not in known
    ]
    for name, most in LENGTHS_MAX.items():
        if len(getattr(item, name)) > most:
            found.append(f"{name} has {len(getattr(item, name))} characters, at most {most} fit")
    if item.occurred_at is not None and item.occurred_at.tzinfo is None:
        found.append(f"occurred_at {item.occurred_at} has no time zone; give one, such as UTC")
    if item.importance is not None and not math.isfinite(item.importance):
        found.append(f"importance {item.importance} is no number")
    if item.pinned and item.trust == "untrusted":
        found.append("untrusted text cannot be pinned when it is written; a person may pin it")
    if not item.namespace.strip():
        found.append("namespace is empty; every memory belongs to one, such as project-1")
    return found


def prepare(draft: MemoryDraft) -> Prepared:
    text = str(plain(draft.text)).strip()[:TEXT_MAX]
    return Prepared(draft, text, (draft.namespace, draft.layer, digest(_identity(draft, text))))


def _identity(draft: MemoryDraft, text: str) -> list[Any]:
    facts = draft.provenance
    if draft.layer == "episodic" and facts.get("ledger_seq"):
        return ["episode", draft.goal_id, facts["ledger_seq"]]
    if draft.layer == "working" and facts.get("key"):
        return ["key", facts["key"], text]
    return [list(gist(text)) or text, draft.trust]


def _noise(item: Prepared) -> bool:
    """What a person pinned or an agent put on the board under a name is never noise."""
    named = item.draft.pinned or item.draft.provenance.get("key")
    return not item.text if named else is_noise(item.text)


def insert(rows: Sequence[Prepared]) -> dict[Key, int]:
    """Ids by key, of new rows and of those that said the same before. In the order of the keys, so
    that two writers of the same rows cannot wait for each other."""
    if not rows:
        return {}
    rows = sorted(rows, key=lambda row: row.key)
    model = current_embedder()
    vectors = literals(model.embed([row.text for row in rows]))
    drafts = [row.draft for row in rows]
    columns: list[list[Any]] = [
        [d.namespace for d in drafts],
        [d.layer for d in drafts],
        [d.kind for d in drafts],
        [str(plain(d.actor)) for d in drafts],
        [d.goal_id for d in drafts],
        [d.task_id for d in drafts],
        [row.text for row in rows],
        [row.key[2] for row in rows],
        list(vectors),
        [_importance(row) for row in rows],
        [d.occurred_at for d in drafts],
        [d.pinned for d in drafts],
        [d.trust for d in drafts],
        [canonical(d.provenance) for d in drafts],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [model.name, *columns])
        return {(row[1], row[2], row[3]): row[0] for row in cursor.fetchall()}


def _importance(row: Prepared) -> float:
    given = row.draft.importance
    return float(given) if given is not None else importance_of(row.draft.kind, row.text)


def current_embedder() -> Embedder:
    return embedder(settings.AGENTSYS.embedder)


def literals(vectors: Vectors) -> list[str | None]:
    """pgvector's text form of each row; None for a zero vector, which has no direction: its
    cosine with anything is NaN."""
    return [
        "[" + ",".join(f"{x:.5g}" for x in vector) + "]" if vector.any() else None
        for vector in vectors
    ]
