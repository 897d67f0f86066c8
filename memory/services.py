"""The public door of memory. One function is one transaction; other apps import nothing else."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from memory.auditing import audit
from memory.blackboard import (
    BOARD_KEY_MAX,
    BOARD_TEXT_MAX,
    blackboard_drop,
    blackboard_get,
    blackboard_promote,
    blackboard_put,
    working_clear,
)
from memory.chunks import current_embedder
from memory.consolidation import consolidate
from memory.contracts import (
    UNTRIED,
    Forgotten,
    MemoryDraft,
    PlaybookView,
    PruneReport,
    Recalled,
    RollbackReport,
)
from memory.current import Standing, links_for
from memory.episodes import episodes_from_ledger
from memory.exporting import Exported, content_hash, memories_export
from memory.facts import FACTS_MAX, facts_of
from memory.figures import figures as _figures
from memory.forgetting import forget_subject
from memory.importing import ImportReport, memories_import
from memory.judging import judge
from memory.listed import memories_of, memory_lines
from memory.maintaining import maintain
from memory.models import Chunk, Memory
from memory.naming import actor_named, batch_named, namespace_named
from memory.ofgoals import left_by, shown_to
from memory.playbooks import (
    playbook_get,
    playbook_result,
    playbook_save,
    playbook_uses,
    playbook_versions,
    playbooks,
    playbooks_usable,
)
from memory.procedures import (
    NotInState,
    playbook_activate,
    playbook_learn,
    playbook_lesson,
    playbook_of,
    playbook_retire,
    playbook_triggers,
    playbook_used,
)
from memory.quarantine import (
    NotQuarantined,
    quarantine_list,
    quarantine_reject,
    quarantine_reject_all,
    quarantine_release,
    quarantine_release_all,
    release_verified,
)
from memory.recall import recall
from memory.retention import prune, prune_all, usage
from memory.rollback import Batch, held_hash, rollback
from memory.seen import DAYS as SHOWN_DAYS
from memory.store import remember, remember_many
from memory.versions import (
    NotCurrent,
    TooLittleTrust,
    events_of,
    forget,
    history,
    pin,
    supersede,
    unpin,
)

__all__ = [
    "BOARD_KEY_MAX",
    "BOARD_TEXT_MAX",
    "FACTS_MAX",
    "SHOWN_DAYS",
    "UNTRIED",
    "Batch",
    "Exported",
    "Forgotten",
    "ImportReport",
    "MemoryDraft",
    "NotCurrent",
    "NotInState",
    "NotQuarantined",
    "PlaybookView",
    "PruneReport",
    "Recalled",
    "RollbackReport",
    "Standing",
    "TooLittleTrust",
    "actor_named",
    "audit",
    "batch_named",
    "blackboard_drop",
    "blackboard_get",
    "blackboard_promote",
    "blackboard_put",
    "consolidate",
    "content_hash",
    "episodes_from_ledger",
    "events_of",
    "facts_of",
    "figures",
    "forget",
    "forget_subject",
    "held_hash",
    "history",
    "judge",
    "left_by",
    "links_for",
    "maintain",
    "memories_export",
    "memories_import",
    "memories_of",
    "memory_lines",
    "namespace_named",
    "pin",
    "playbook_activate",
    "playbook_get",
    "playbook_learn",
    "playbook_lesson",
    "playbook_of",
    "playbook_result",
    "playbook_retire",
    "playbook_save",
    "playbook_triggers",
    "playbook_used",
    "playbook_uses",
    "playbook_versions",
    "playbooks",
    "playbooks_usable",
    "prune",
    "prune_all",
    "quarantine_list",
    "quarantine_reject",
    "quarantine_reject_all",
    "quarantine_release",
    "quarantine_release_all",
    "recall",
    "release_verified",
    "remember",
    "remember_many",
    "rollback",
    "shown_to",
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
        "rows_max": settings.AGENTSYS.memory_rows_max,
        "bytes_max": settings.AGENTSYS.memory_bytes_max,
        "embedder": current_embedder().name,
    }


def figures(namespace: str | None = None) -> dict[str, Any]:
    """Rows and bytes by namespace, layer, state and level; shares of budgets; models of vectors."""
    return _figures(namespace, rows_max=settings.AGENTSYS.memory_rows_max)
