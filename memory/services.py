"""The public door of memory. One function is one transaction; other apps import nothing else."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from memory.auditing import audit
from memory.blackboard import (
    BOARD_KEY_MAX,
    BOARD_TEXT_MAX,
    blackboard_get,
    blackboard_put,
    working_clear,
)
from memory.chunks import current_embedder
from memory.consolidation import consolidate
from memory.contracts import Forgotten, MemoryDraft, PlaybookView, PruneReport, Recalled
from memory.episodes import episodes_from_ledger
from memory.forgetting import forget_subject
from memory.maintaining import maintain
from memory.models import Chunk, Memory
from memory.playbooks import (
    playbook_get,
    playbook_learn,
    playbook_result,
    playbook_save,
    playbooks,
)
from memory.recall import recall
from memory.retention import prune, prune_all, usage
from memory.store import remember, remember_many
from memory.versions import (
    NotCurrent,
    TooLittleTrust,
    forget,
    history,
    pin,
    supersede,
    unpin,
)

__all__ = [
    "BOARD_KEY_MAX",
    "BOARD_TEXT_MAX",
    "Forgotten",
    "MemoryDraft",
    "NotCurrent",
    "PlaybookView",
    "PruneReport",
    "Recalled",
    "TooLittleTrust",
    "audit",
    "blackboard_get",
    "blackboard_put",
    "consolidate",
    "episodes_from_ledger",
    "forget",
    "forget_subject",
    "history",
    "maintain",
    "pin",
    "playbook_get",
    "playbook_learn",
    "playbook_result",
    "playbook_save",
    "playbooks",
    "prune",
    "prune_all",
    "recall",
    "remember",
    "remember_many",
    "stats",
    "supersede",
    "unpin",
    "usage",
    "working_clear",
]


def stats(namespace: str | None = None) -> dict[str, Any]:
    """Rows by layer and state, of one namespace or of all."""
    rows = Memory.objects.all() if namespace is None else Memory.objects.filter(namespace=namespace)
    layers: dict[str, dict[str, int]] = {}
    counted = rows.values("layer", "state").annotate(n=Count("pk")).order_by("layer", "state")
    for row in counted:
        layers.setdefault(row["layer"], {})[row["state"]] = row["n"]
    totals = rows.aggregate(
        live=Count("pk", filter=Q(state="live")),
        superseded=Count("pk", filter=Q(state="live", valid_to__isnull=False)),
        pinned=Count("pk", filter=Q(pinned=True)),
        untrusted=Count("pk", filter=Q(state="live", trust="untrusted")),
    )
    indexed = Chunk.objects.filter(n=0, embed_model=current_embedder().name)
    if namespace is not None:
        indexed = indexed.filter(namespace=namespace)
    return {
        "namespaces": sorted(set(rows.values_list("namespace", flat=True).distinct())),
        "layers": layers,
        **totals,
        "unindexed": totals["live"] - indexed.count(),
        "playbooks": len(playbooks(namespace or "")),
        "rows_max": settings.AGENTSYS.memory_rows_max,
        "bytes_max": settings.AGENTSYS.memory_bytes_max,
        "embedder": settings.AGENTSYS.embedder,
    }
