"""The public door of memory. One function is one transaction; other apps import nothing else."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from memory.blackboard import (
    BOARD_KEY_MAX,
    BOARD_TEXT_MAX,
    blackboard_get,
    blackboard_put,
    working_clear,
)
from memory.chunks import current_embedder
from memory.contracts import MemoryDraft, PlaybookView, PruneReport, Recalled, RollbackReport
from memory.current import Standing, links_for
from memory.episodes import episodes_from_ledger
from memory.models import Chunk, Memory
from memory.playbooks import (
    playbook_get,
    playbook_learn,
    playbook_result,
    playbook_save,
    playbooks,
)
from memory.quarantine import (
    NotQuarantined,
    quarantine_list,
    quarantine_reject,
    quarantine_release,
    release_verified,
)
from memory.recall import recall
from memory.retention import ROWS_MAX, maintain, prune
from memory.rollback import Batch, content_hash, rollback
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
    "ROWS_MAX",
    "Batch",
    "MemoryDraft",
    "NotCurrent",
    "NotQuarantined",
    "PlaybookView",
    "PruneReport",
    "Recalled",
    "RollbackReport",
    "Standing",
    "TooLittleTrust",
    "blackboard_get",
    "blackboard_put",
    "content_hash",
    "episodes_from_ledger",
    "forget",
    "history",
    "links_for",
    "maintain",
    "pin",
    "playbook_get",
    "playbook_learn",
    "playbook_result",
    "playbook_save",
    "playbooks",
    "prune",
    "quarantine_list",
    "quarantine_reject",
    "quarantine_release",
    "recall",
    "release_verified",
    "remember",
    "remember_many",
    "rollback",
    "stats",
    "supersede",
    "unpin",
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
        quarantined=Count("pk", filter=Q(state="quarantined")),
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
        "rows_max": ROWS_MAX,
        "embedder": settings.AGENTSYS.embedder,
    }
