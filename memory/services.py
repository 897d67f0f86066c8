"""The public door of memory. One function is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from agentsys.gateway.embeddings import embedder
from memory.contracts import MemoryDraft, PlaybookView, PruneReport, Recalled
from memory.domain.episodes import KINDS, episode_of
from memory.domain.importance import strength_of
from memory.models import Memory
from memory.playbooks import (
    playbook_get,
    playbook_learn,
    playbook_result,
    playbook_save,
    playbooks,
)
from memory.recall import recall
from memory.store import (
    forget,
    history,
    pin,
    remember,
    remember_many,
    supersede,
    vector_literal,
)

__all__ = [
    "MemoryDraft",
    "PlaybookView",
    "PruneReport",
    "Recalled",
    "blackboard_get",
    "blackboard_put",
    "episodes_from_ledger",
    "forget",
    "history",
    "maintain",
    "pin",
    "playbook_get",
    "playbook_learn",
    "playbook_result",
    "playbook_save",
    "playbooks",
    "prune",
    "recall",
    "remember",
    "remember_many",
    "stats",
    "supersede",
    "working_clear",
]

ROWS_MAX = 50_000  # live rows a namespace may hold
PASS_SHARE = 0.10  # of the live rows that one pass may prune


def episodes_from_ledger(entries: Sequence[Mapping[str, Any]]) -> int:
    """Episodic rows from ledger entries (goal_id, seq, event, actor, at, payload, task_id, with
    namespace and objective); returns how many entries are remembered. Twice is once."""
    done = _remembered({int(e["goal_id"]) for e in entries})
    drafts = []
    for entry in entries:
        text = episode_of(entry)
        if text is None or (entry["goal_id"], entry["seq"]) in done:
            continue
        drafts.append(
            MemoryDraft(
                namespace=entry["namespace"],
                layer="episodic",
                text=text,
                kind=KINDS[entry["event"]],
                actor=entry["actor"],
                trust="verified",
                provenance={"goal_id": entry["goal_id"], "ledger_seq": entry["seq"]},
                occurred_at=entry["at"],
                goal_id=entry["goal_id"],
                task_id=entry.get("task_id"),
            )
        )
    return sum(1 for pk in remember_many(drafts) if pk)


def _remembered(goal_ids: set[int]) -> set[tuple[int, int]]:
    rows = Memory.objects.filter(goal_id__in=goal_ids, layer="episodic")
    return {
        (goal_id, seq)
        for goal_id, seq in rows.values_list("goal_id", "provenance__ledger_seq")
        if seq
    }


def blackboard_put(goal_id: int, key: str, text: str, *, actor: str, trust: str) -> int:
    """A note that the agents of one goal share while it runs; the same key is superseded."""
    namespace = _board(goal_id)
    old = Memory.objects.filter(
        namespace=namespace, provenance__key=key, state="live", valid_to=None
    ).first()
    if old is not None and old.text != text:
        return supersede(old.pk, text, actor=actor, trust=trust, provenance={"key": key})
    return remember(
        namespace,
        "working",
        text,
        actor=actor,
        trust=trust,
        provenance={"key": key},
        goal_id=goal_id,
    )


def blackboard_get(goal_id: int) -> list[dict[str, Any]]:
    rows = Memory.objects.filter(namespace=_board(goal_id), state="live", valid_to=None).order_by(
        "pk"
    )
    return [
        {"key": r.provenance.get("key", ""), "text": r.text, "actor": r.actor, "trust": r.trust}
        for r in rows
    ]


def working_clear(goal_id: int) -> int:
    """A goal that is over needs no blackboard; returns how many notes went."""
    return Memory.objects.filter(namespace=_board(goal_id)).delete()[0]


def _board(goal_id: int) -> str:
    return f"goal-{goal_id}"


def stats(namespace: str | None = None) -> dict[str, Any]:
    """Rows by namespace, layer and state."""
    rows = Memory.objects.all()
    if namespace is not None:
        rows = rows.filter(namespace=namespace)
    layers: dict[str, dict[str, int]] = {}
    counted = rows.values("layer", "state").annotate(n=Count("pk")).order_by("layer", "state")
    for row in counted:
        layers.setdefault(row["layer"], {})[row["state"]] = row["n"]
    return {
        "namespaces": sorted(rows.values_list("namespace", flat=True).distinct()),
        "layers": layers,
        "superseded": rows.filter(valid_to__isnull=False).count(),
        "pinned": rows.filter(pinned=True).count(),
        "playbooks": len(playbooks(namespace or "")),
        "embedder": settings.AGENTSYS.embedder,
    }


def prune(namespace: str, *, rows_max: int = ROWS_MAX, dry_run: bool = False) -> PruneReport:
    """Forget the weakest rows of a namespace that is over its budget; pins are never touched.

    Strength decays with age, slower for what matters and what is used. At most a tenth of the
    live rows goes in one pass; each leaves a tombstone.
    """
    live = Memory.objects.filter(namespace=namespace, state="live")
    count = live.count()
    over = min(count - rows_max, max(int(count * PASS_SHARE), 1))
    if over <= 0:
        return PruneReport(namespace, count, (), dry_run)
    now = timezone.now()
    weakest = sorted(
        (
            strength_of((now - at).total_seconds() / 86_400, accesses, importance)
            + (0.0 if valid_to is None else -1.0),
            pk,
        )
        for pk, at, accesses, importance, valid_to in live.filter(pinned=False)
        .exclude(layer="procedural")
        .values_list("pk", "occurred_at", "access_count", "importance", "valid_to")
    )[:over]
    if not dry_run:
        Memory.objects.filter(pk__in=[pk for _, pk in weakest], pinned=False).update(
            state="gone", text="", embedding=None, provenance={"forgotten_by": "prune"}
        )
    reasons = tuple((pk, f"strength {strength:.4f}") for strength, pk in weakest)
    return PruneReport(namespace, count, reasons, dry_run)


def maintain() -> dict[str, int]:
    """Prune every namespace that is over budget, and embed what has no vector of this model."""
    pruned = 0
    for namespace in Memory.objects.values_list("namespace", flat=True).distinct():
        pruned += len(prune(namespace).pruned)
    return {"pruned": pruned, "embedded": _embed_missing()}


def _embed_missing(limit: int = 1000) -> int:
    model = embedder(settings.AGENTSYS.embedder)
    rows = list(
        Memory.objects.filter(Q(embedding=None) | ~Q(embed_model=model.name), state="live")[:limit]
    )
    vectors = model.embed([row.text for row in rows])
    for row, vector in zip(rows, vectors, strict=True):
        Memory.objects.filter(pk=row.pk).update(
            embedding=vector_literal(vector), embed_model=model.name
        )
    return len(rows)
