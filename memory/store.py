"""Writing memories: noise gate, duplicates, supersession, forgetting. No model is asked.

Nothing is overwritten: what is said again is counted on the row that says it, what is newer
supersedes, what is forgotten leaves a tombstone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from agentsys.gateway.embeddings import embedder
from agentsys.kernel.errors import BadInput, NotFound
from agentsys.kernel.hashing import canonical, digest, plain
from memory.contracts import MemoryDraft
from memory.domain.importance import figures_of, importance_of, is_noise
from memory.models import LAYERS, TRUST, Memory

NEAR = 0.95
TEXT_MAX = 20_000

_INSERT = """
INSERT INTO agentsys_memory_memory
    (namespace, layer, kind, actor, goal_id, task_id, text, text_hash, embedding, embed_model,
     importance, access_count, occurred_at, pinned, trust, provenance, state)
SELECT namespace, layer, kind, actor, goal_id, task_id, text, text_hash, embedding::halfvec,
       %s, importance, 0, COALESCE(occurred_at, now()), pinned, trust, provenance::jsonb, 'live'
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
            %s::text[], %s::text[], %s::text[], %s::float8[], %s::timestamptz[], %s::bool[],
            %s::text[], %s::text[])
     AS d(namespace, layer, kind, actor, goal_id, task_id, text, text_hash, embedding,
          importance, occurred_at, pinned, trust, provenance)
ON CONFLICT (namespace, layer, text_hash) WHERE state = 'live' AND valid_to IS NULL
DO UPDATE SET access_count = agentsys_memory_memory.access_count + 1,
              pinned = agentsys_memory_memory.pinned OR EXCLUDED.pinned
RETURNING id, namespace, layer, text_hash
"""

_NEAREST = """
SELECT id, text, 1 - (embedding <=> %s::halfvec) AS cosine FROM agentsys_memory_memory
WHERE namespace = %s AND layer = %s AND state = 'live' AND valid_to IS NULL
  AND embed_model = %s AND embedding IS NOT NULL AND trust = %s
ORDER BY embedding <=> %s::halfvec LIMIT 3
"""


def remember(
    namespace: str,
    layer: str,
    text: str,
    *,
    kind: str = "note",
    actor: str = "",
    trust: str = "unverified",
    provenance: dict[str, Any] | None = None,
    importance: float | None = None,
    occurred_at: datetime | None = None,
    goal_id: int | None = None,
    task_id: int | None = None,
    pinned: bool = False,
) -> int:
    """Keep `text`; returns its id, or that of the row that says the same, or 0 for noise."""
    draft = MemoryDraft(
        namespace,
        layer,
        text,
        kind,
        actor,
        trust,
        provenance or {},
        importance,
        occurred_at,
        goal_id,
        task_id,
        pinned,
    )
    return remember_many([draft])[0]


def remember_many(drafts: Sequence[MemoryDraft]) -> list[int]:
    """Ids in the order of `drafts`; one statement for all that is new. 0 where nothing was kept."""
    _check(drafts)
    kept = [(i, d) for i, d in enumerate(drafts) if not is_noise(d.text)]
    ids = [0] * len(drafts)
    if not kept:
        return ids
    model = embedder(settings.AGENTSYS.embedder)
    vectors = model.embed([_text(d) for _, d in kept])
    with transaction.atomic():
        new: dict[tuple[str, str, str], tuple[MemoryDraft, str]] = {}
        for (i, d), vector in zip(kept, vectors, strict=True):
            literal = vector_literal(vector)
            twin = near_duplicate(d, literal, model.name)
            if twin:
                ids[i] = twin
            else:
                new.setdefault(_key(d), (d, literal))
        _touch([pk for pk in ids if pk])
        found = _insert(list(new.values()), model.name) if new else {}
    return [ids[i] or found.get(_key(d), 0) for i, d in enumerate(drafts)]


def _check(drafts: Sequence[MemoryDraft]) -> None:
    problems = [
        f"layer `{d.layer}` is none of {', '.join(LAYERS)}" for d in drafts if d.layer not in LAYERS
    ] + [f"trust `{d.trust}` is none of {', '.join(TRUST)}" for d in drafts if d.trust not in TRUST]
    if problems:
        raise BadInput(what="memory", problems=sorted(set(problems)))


def _text(draft: MemoryDraft) -> str:
    return str(plain(draft.text)).strip()[:TEXT_MAX]


def _key(draft: MemoryDraft) -> tuple[str, str, str]:
    return draft.namespace, draft.layer, digest(_text(draft))


def vector_literal(vector: Any) -> str:
    return "[" + ",".join(f"{x:.5g}" for x in vector) + "]"


def near_duplicate(draft: MemoryDraft, vector: str, model: str) -> int:
    """A live row that says the same: nearly the same vector, the same figures, the same sense."""
    if draft.layer == "episodic":
        return 0  # each episode is one; the hash finds true repeats
    with connection.cursor() as cursor:
        cursor.execute(_NEAREST, [vector, draft.namespace, draft.layer, model, draft.trust, vector])
        for row_id, text, cosine in cursor.fetchall():
            if cosine >= NEAR and figures_of(text) == figures_of(_text(draft)):
                return int(row_id)
    return 0


def _insert(rows: Sequence[tuple[MemoryDraft, str]], model: str) -> dict[tuple[str, str, str], int]:
    drafts = [d for d, _ in rows]
    importance = [
        d.importance if d.importance is not None else importance_of(d.kind, d.text) for d in drafts
    ]
    columns = [
        [d.namespace for d in drafts],
        [d.layer for d in drafts],
        [d.kind for d in drafts],
        [d.actor for d in drafts],
        [d.goal_id for d in drafts],
        [d.task_id for d in drafts],
        [_text(d) for d in drafts],
        [_key(d)[2] for d in drafts],
        [vector for _, vector in rows],
        [float(x) for x in importance],
        [d.occurred_at for d in drafts],
        [d.pinned for d in drafts],
        [d.trust for d in drafts],
        [canonical(d.provenance) for d in drafts],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [model, *columns])
        return {(row[1], row[2], row[3]): row[0] for row in cursor.fetchall()}


def _touch(ids: Sequence[int]) -> None:
    if ids:
        Memory.objects.filter(pk__in=set(ids)).update(
            access_count=F("access_count") + 1, last_access_at=Now()
        )


def supersede(
    memory_id: int,
    text: str,
    *,
    actor: str = "",
    trust: str = "unverified",
    provenance: dict[str, Any] | None = None,
) -> int:
    """A newer version of what `memory_id` says; the old row stays, its validity ends now."""
    with transaction.atomic():
        old = Memory.objects.select_for_update().filter(pk=memory_id, valid_to=None).first()
        if old is None or old.state != "live":
            raise NotFound(kind="memory", id=memory_id, listing="memory search")
        model = embedder(settings.AGENTSYS.embedder)
        draft = MemoryDraft(
            old.namespace,
            old.layer,
            text,
            old.kind,
            actor or old.actor,
            trust,
            provenance or {},
            goal_id=old.goal_id,
            pinned=old.pinned,
        )
        old.valid_to = timezone.now()
        old.save(update_fields=["valid_to"])
        found = _insert([(draft, vector_literal(model.embed([_text(draft)])[0]))], model.name)
        new_id = found[_key(draft)]
        if new_id != old.pk:
            Memory.objects.filter(pk=new_id).update(supersedes=old)
    return new_id


def pin(memory_id: int, *, pinned: bool = True) -> None:
    """Pinned memories are never pruned."""
    if not Memory.objects.filter(pk=memory_id).update(pinned=pinned):
        raise NotFound(kind="memory", id=memory_id, listing="memory search")


def forget(memory_id: int, *, by: str, reason: str) -> None:
    """Text and vector go for good; a tombstone says who forgot it and why."""
    if not reason.strip():
        raise BadInput(what="forget", problems=["a reason is needed"])
    changed = (
        Memory.objects.filter(pk=memory_id)
        .exclude(state="gone")
        .update(
            state="gone",
            text="",
            embedding=None,
            pinned=False,
            provenance={"forgotten_by": by, "reason": reason},
        )
    )
    if not changed:
        raise NotFound(kind="memory", id=memory_id, listing="memory search")


def history(memory_id: int) -> list[dict[str, Any]]:
    """All versions of a memory, newest first."""
    rows = []
    row = Memory.objects.filter(pk=memory_id).first()
    if row is None:
        raise NotFound(kind="memory", id=memory_id, listing="memory search")
    while row is not None:
        rows.append(
            {
                "id": row.pk,
                "text": row.text,
                "valid_from": row.valid_from,
                "valid_to": row.valid_to,
                "actor": row.actor,
                "trust": row.trust,
                "state": row.state,
                "provenance": row.provenance,
            }
        )
        row = row.supersedes
    return rows
