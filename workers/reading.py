"""A journal as people read it: a stretch of it, with its outcomes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from workers.models import Blob, Step

OUTCOME_BYTES_MAX = 200_000  # what is larger is left where it is


def journal_page(lineage: str, first: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
    """How many steps a journal has, and `limit` of them from place `first` on, in order. Outcomes that
    are kept as blobs are read, too; `cut` where one is too large for that."""
    rows = Step.objects.filter(lineage=lineage).order_by("index")
    steps = list(rows[first : first + limit])
    kept = _kept([step.outcome_blob for step in steps if step.outcome_blob])
    return rows.count(), [_step(step, kept) for step in steps]


def _kept(hashes: Sequence[str]) -> dict[str, Any]:
    rows = Blob.objects.filter(pk__in=hashes, size__lte=OUTCOME_BYTES_MAX) if hashes else []
    return {row.pk: json.loads(bytes(row.content)) for row in rows}


def _step(step: Step, kept: dict[str, Any]) -> dict[str, Any]:
    blob = step.outcome_blob
    ended = step.finished_at
    return {
        "index": step.index,
        "kind": step.kind,
        "name": step.name,
        "state": step.state,
        "request": step.request,
        "outcome": kept.get(blob) if blob else step.outcome,
        "cut": bool(blob) and blob not in kept,
        "attempt": step.attempt_id,
        "started_at": step.started_at,
        "seconds": (ended - step.started_at).total_seconds() if ended else None,
    }
