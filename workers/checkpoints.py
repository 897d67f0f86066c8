"""A drift checkpoint: scored once, kept as a row and in the journal, taken over as it was."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from workers.compass import Compass
from workers.contracts import Brief
from workers.domain.course import Checked
from workers.domain.drift import drifted, leaning
from workers.journal import Journal
from workers.services import drift_record


def checkpoint(brief: Brief, journal: Journal, compass: Compass, step: int) -> Checked:
    """What is found after `step` answers. A replay takes the stored score: whoever wandered then
    did so, whatever embedder or limits there are by now."""
    limit = brief.limits.drift_max

    def check() -> dict[str, Any]:
        found = compass.check()
        facts = {
            **asdict(found),
            "reasons": list(found.reasons),
            "outcome": _outcome(found.score, limit),
        }
        drift_record(
            lineage=journal.lineage,
            step=step,
            attempt_id=brief.attempt_id,
            limit=limit,
            **facts,
        )
        return facts

    found = journal.step("drift", brief.agent, {"step": step}, check)
    outcome = found["outcome"]
    return Checked(outcome == "drifted", outcome == "leaning", tuple(found["reasons"]))


def _outcome(score: float, limit: float) -> str:
    if drifted(score, limit):
        return "drifted"
    return "leaning" if leaning(score, limit) else "on"
