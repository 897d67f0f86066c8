"""Ledger events that are worth remembering, as one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = {
    "goal.submitted": "instruction",
    "goal.directed": "directive",
    "goal.succeeded": "result",
    "goal.failed": "error",
    "goal.cancelled": "decision",
    "task.exhausted": "error",
    "attempt.rejected": "error",
    "approval.decided": "decision",
    "proposal.applied": "result",
    "verdict.overruled": "decision",
    "conflict.merge": "decision",
}


def episode_of(entry: Mapping[str, Any]) -> str | None:
    """What happened, in a sentence; None for events that nobody will ask about."""
    event, payload = entry["event"], entry.get("payload") or {}
    if event not in KINDS:
        return None
    goal = f"goal-{entry['goal_id']}"
    objective = str(entry.get("objective") or "")[:200]
    reason = str(payload.get("reason") or "no reason given")[:400]
    who = entry["actor"]
    match event:
        case "goal.submitted":
            return f"{who} submitted {goal}: {payload.get('objective') or objective}"
        case "goal.directed":
            return f"{who} told {goal}: {payload.get('text', '')}"
        case "goal.succeeded":
            return f"{goal} succeeded: {objective}"
        case "goal.failed" | "goal.cancelled":
            return f"{goal} ended as {event.removeprefix('goal.')} ({reason}): {objective}"
        case "task.exhausted":
            return f"task-{entry['task_id']} of {goal} failed: {reason}"
        case "attempt.rejected":
            return f"An attempt of {goal} was rejected by {who}: {reason}"
        case "approval.decided":
            decision = payload.get("decision")
            return f"{who} decided {decision} on approval-{payload.get('approval')} of {goal}: {reason}"
        case "proposal.applied":
            return f"proposal-{payload.get('proposal')} of {goal} was applied"
        case "verdict.overruled":
            return f"{who} overruled {payload.get('verifier')} in {goal}: {reason}"
        case _:
            return f"A merge conflict in {goal}: {payload.get('rule', '')}"
