"""Ledger events that are worth remembering, as one sentence each.

A table: what kind of memory an event makes, how it reads, and whether its words come from an
agent or a verifier, in which case nobody has vouched for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class Reading:
    kind: str
    sentence: str
    trust: str = "verified"


READINGS = {
    "goal.submitted": Reading("instruction", "{who} submitted {goal}: {objective}"),
    "goal.directed": Reading("directive", "{who} told {goal}: {text}"),
    "goal.succeeded": Reading("result", "{goal} succeeded: {objective}"),
    "goal.failed": Reading("error", "{goal} failed{because}: {objective}", "unverified"),
    "goal.cancelled": Reading("decision", "{who} cancelled {goal}{because}: {objective}"),
    "task.accepted": Reading("progress", "{task} of {goal} was accepted{judged}"),
    "task.exhausted": Reading("error", "{task} of {goal} failed for good{because}", "unverified"),
    "attempt.rejected": Reading(
        "error", "{attempt} of {goal} was rejected by {who}{because}", "unverified"
    ),
    "attempt.failed": Reading("error", "{attempt} of {goal} failed{because}", "unverified"),
    "approval.decided": Reading(
        "decision", "{who} decided {decision} on approval-{approval} of {goal}{because}"
    ),
    "proposal.applied": Reading("result", "proposal-{proposal} of {goal} was applied"),
    "proposal.rejected": Reading("decision", "proposal-{proposal} of {goal} was rejected{because}"),
    "verdict.overruled": Reading("decision", "{who} overruled {verifier} in {goal}{because}"),
    "conflict.owner": Reading(
        "decision", "{winner} took the place of another change in {goal}; rule: {rule}"
    ),
    "conflict.merge": Reading(
        "decision", "proposal-{loser} of {goal} lost a merge conflict; rule: {rule}"
    ),
}


def episode_of(entry: Mapping[str, Any]) -> str | None:
    """What happened, in a sentence; None for events that nobody will ask about."""
    reading = READINGS.get(entry["event"])
    return reading.sentence.format_map(_Facts(_facts(entry))) if reading else None


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def _facts(entry: Mapping[str, Any]) -> dict[str, str]:
    payload = entry.get("payload") or {}
    said = {name: _short(value) for name, value in payload.items() if isinstance(value, str | int)}
    verdicts = payload.get("verdicts") or {}
    return {
        "text": "",
        **said,
        "who": str(entry["actor"]),
        "goal": f"goal-{entry['goal_id']}",
        "task": _task(entry),
        "attempt": f"An attempt at {_task(entry)}" if _task(entry) else "An attempt",
        "objective": _short(payload.get("objective") or entry.get("objective") or "no objective"),
        "because": f" ({said['reason']})" if said.get("reason") else "",
        "judged": f" ({', '.join(f'{k} {v}' for k, v in verdicts.items())})" if verdicts else "",
    }


def _task(entry: Mapping[str, Any]) -> str:
    if entry.get("task_key"):
        return f"task {entry['task_key']}"
    return f"task-{entry['task_id']}" if entry.get("task_id") else ""


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= CHARS_MAX else text[: CHARS_MAX - 1] + "…"
