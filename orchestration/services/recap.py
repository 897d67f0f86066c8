"""A goal for a person who comes back after three days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.db import connection

from orchestration.models import Decision, Directive, Goal, LedgerEntry, Proposal, Task
from orchestration.services.progress import progress_of, running_now
from orchestration.services.reads import approvals_list, found, goal_cost, goal_line, iso
from orchestration.services.why import why

NAMES_MAX = 20
ORCHESTRATORS = ("orchestrator", "sweep", "clock", "verifiers", "planner")

# What people do to a goal, by its event in the ledger; told with the entry's payload.
ACTS = {
    "goal.paused": "paused the goal",
    "goal.resumed": "let the goal go on",
    "goal.revived": "tried what had failed again",
    "goal.cancelled": "cancelled the goal",
    "goal.forked": "made it from goal-{from} as of entry {seq}",
    "goal.prioritised": "set its priority to {to}",
    "goal.concurrency_set": "changed how many of its tasks run at once",
    "goal.model_set": "changed which model its agents ask",
    "tasks.paused": "paused tasks",
    "tasks.resumed": "let tasks go on",
    "plan.accepted": "changed the plan to version {version}",
    "output.overridden": "put an output of their own in the place of {task}'s",
    "verdict.overruled": "overruled {verifier} on {task}: {outcome}",
    "budget.set": "set the budget of {budget} to {is}",
    "fsck.repaired": "repaired what fsck had found",
}

# Effects of the goal that may or may not have happened. The workers' rows name attempts by number
# and know no goals, hence a statement of our own over their table.
_IN_DOUBT = """
SELECT e.key, e.kind, e.state, t.key, e.attempt_id FROM agentsys_workers_effect e
JOIN agentsys_orchestration_attempt a ON a.id = e.attempt_id
JOIN agentsys_orchestration_task t ON t.id = a.task_id
WHERE a.goal_id = %s AND (e.state = 'doubtful' OR e.state = 'intent' AND a.state <> 'running')
ORDER BY e.id LIMIT %s
"""


def recap(goal_id: int) -> dict[str, Any]:
    """What is done, pending, in doubt, decided and spent, and what waits for you."""
    goal: Goal = found(Goal.objects.select_related("project"), "goal", goal_id)
    tasks = Task.objects.filter(goal=goal).exclude(state="superseded").order_by("pk")
    return {
        **goal_line(goal),
        "sentence": why(f"goal-{goal.pk}").sentence,
        "progress": progress_of(goal.pk, finished_at=goal.finished_at).to_json(),
        "done": _names(tasks.filter(state="done")),
        "failed": [
            {"key": key, "reason": reason}
            for key, reason in tasks.filter(state="failed").values_list("key", "reason")[:NAMES_MAX]
        ],
        "pending": _names(tasks.filter(state__in=("blocked", "ready"))),
        "running": [
            {"key": r["task__key"], "agent": r["task__agent"], "note": r["note"]}
            for r in running_now(goal.pk)
        ],
        "in_doubt": _in_doubt(goal.pk),
        "forked_from": goal.forked_from_id,
        "acted": list(_acted(goal.pk)),
        "decided": [
            {
                "approval": d.request_id,
                "kind": d.request.kind,
                "task": d.request.task.key if d.request.task else None,
                "person": d.user.get_username(),
                "decision": d.decision,
                "reason": d.reason,
                "payload": d.payload,
                "at": iso(d.at),
            }
            for d in Decision.objects.filter(request__goal=goal)
            .select_related("user", "request__task")
            .order_by("pk")
        ],
        "directives": [
            {"text": d.text, "author": d.author, "at": iso(d.at)}
            for d in Directive.objects.filter(goal=goal).order_by("pk")
        ],
        "proposals": _by_state(goal.pk),
        "waits_for_you": approvals_list("open", goal_id=goal.pk),
        "spent": goal_cost(goal.pk),
    }


def _acted(goal_id: int) -> Iterator[dict[str, Any]]:
    """What people did beside deciding, the oldest first, a sentence each."""
    rows = LedgerEntry.objects.filter(goal_id=goal_id, event__in=ACTS)
    keys = dict(Task.objects.filter(goal_id=goal_id).values_list("pk", "key"))
    for row in rows.exclude(actor__in=ORCHESTRATORS).order_by("seq"):
        facts = {"task": keys.get(row.task_id or 0, ""), "why": "", **row.payload}
        if isinstance(facts.get("is"), dict):  # limits
            facts["is"] = ", ".join(f"{kind}={limit}" for kind, limit in facts["is"].items())
        reason = str(row.payload.get("reason") or "")
        yield {
            "person": row.actor,
            "what": ACTS[row.event].format_map(defaultdict(str, facts)).strip(),
            "reason": reason,
            "at": iso(row.at),
        }


def _in_doubt(goal_id: int) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_IN_DOUBT, [goal_id, NAMES_MAX])
        names = ("key", "kind", "state", "task", "attempt")
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _names(rows: Any) -> dict[str, Any]:
    return {"count": rows.count(), "keys": list(rows.values_list("key", flat=True)[:NAMES_MAX])}


def _by_state(goal_id: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for state in Proposal.objects.filter(goal_id=goal_id).values_list("state", flat=True):
        counts[state] = counts.get(state, 0) + 1
    return counts
