"""Memories as a list: of these places, whatever became of them. Who may see a place is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from memory.models import Memory

FIELDS = (
    "id", "namespace", "layer", "kind", "text", "actor", "trust", "state", "pinned", "importance",
    "strength", "goal_id", "task_id", "occurred_at", "recorded_at", "valid_from", "valid_to",
    "supersedes_id", "provenance",
)  # fmt: skip


def memories_of(namespaces: Sequence[str]) -> QuerySet[Memory]:
    return Memory.objects.filter(namespace__in=namespaces)


def memory_lines(rows: Sequence[Memory]) -> list[dict[str, Any]]:
    return [{name: getattr(row, name) for name in FIELDS} for row in rows]
