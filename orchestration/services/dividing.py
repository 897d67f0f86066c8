"""Dividing a task that could not be done, within brakes: `domain.replanning` says whether.

Everything here happens under the goal's lock, in the transaction that ended the task's attempt. Each
decision, yes or no, stands in the ledger as `replan.decided` with the facts that it rests on; what
was allowed there is what the next decision looks back at. A fork has a ledger of its own, so its
count begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from agentsys.kernel.hashing import canonical
from orchestration.domain.expand import KEY_CHARS
from orchestration.domain.plan import TaskDraft
from orchestration.domain.plan_checks import TEXT_MAX
from orchestration.domain.refs import inert, references, task_of
from orchestration.domain.replanning import (
    Facts,
    OpenTask,
    Replan,
    defects_of,
    division_over,
    frontier_of,
    refusal,
    steps_allowed,
)
from orchestration.domain.revising import Standing, change_of
from orchestration.models import Attempt, LedgerEntry, Task
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book
from orchestration.services.moves import ORCHESTRATOR
from orchestration.services.replan import Revision, change_carry_out, key_free, standing_of
from verification import services as verification

DECIDED = "replan.decided"
SHOWN_MAX = 1_000  # characters of a reason or an output that a planner or a person is told
DIVIDE = "Divide into independent steps what could not be done in one piece"


def replan_decide(book: Book, key: str) -> str:
    """May this task be divided (again)? "" for yes, or why a person is to be asked. Recorded."""
    standing = standing_of(book.goal_id)
    earlier = [Replan.of(payload) for payload in _decided(book) if payload["allowed"]]
    facts = _facts(book, standing, key, {one.task for one in earlier})
    why = refusal(facts, earlier)
    book.record(
        DECIDED,
        actor=ORCHESTRATOR,
        task_id=standing[key].id,
        payload={**facts.to_json(), "allowed": not why, "why": why, "number": len(earlier) + 1},
    )
    return why


def task_divide(book: Book, key: str, *, reason: str, actor: str, after: Followups) -> Revision:
    """Let a planner divide a task that could not be done. Its steps come before the task, which
    then begins anew with their outputs. The caller has asked `replan_decide` and has ended the
    task's attempt."""
    standing = standing_of(book.goal_id)
    old = standing[key].draft
    before = _planner_of(standing, key)
    needs = tuple(need for need in old.depends_on if need != before)
    tried = list(_tried(standing, key)) if before else []
    planner = TaskDraft(
        key=key_free(f"{key[:KEY_CHARS]}.plan", standing),
        agent="planner",
        objective=f"{DIVIDE}: {old.objective}"[:TEXT_MAX],
        inputs={
            "failed": {
                "agent": old.agent,
                "objective": inert(old.objective),
                "inputs": old.inputs,
                "acceptance": list(old.acceptance),
            },
            "why": inert(reason),
            "steps_max": steps_allowed(len(tried) if before else None),
            **({"tried": inert(tried)} if tried else {}),
        },
        depends_on=needs,
        phase=old.phase,
        priority=old.priority,
        retry={"on_exhausted": "ask"},
    )
    over = f"${{tasks.{planner.key}.output.steps}}"
    divided = replace(
        old,
        depends_on=(*needs, planner.key),
        fan_out=division_over(over, scopes=old.scopes),
    )
    drafts = {k: task.draft for k, task in standing.items() if task.parent is None}
    drafts |= {planner.key: planner, key: divided}
    change = change_of(standing, drafts, again=False)
    rationale = f"{key} is divided: {reason}"[:2000]
    return change_carry_out(book, standing, drafts, change, actor, rationale, after)


def replans_told(book: Book, key: str) -> list[dict[str, Any]]:
    """What was tried, for a person: how often the task's subtree was planned again, and the steps."""
    standing = standing_of(book.goal_id)
    if key not in standing:
        return []
    decided = _decided(book)
    root = _root(standing, key, {p["task"] for p in decided if p["allowed"]})[0]
    return [
        {
            **{name: payload[name] for name in ("task", "defects", "allowed", "why")},
            "steps": list(_tried(standing, payload["task"])),
        }
        for payload in decided
        if payload["root"] == root
    ]


# --- Facts ---------------------------------------------------------------------------------------


def _facts(book: Book, standing: Mapping[str, Standing], key: str, divided: set[str]) -> Facts:
    root, depth = _root(standing, key, divided)
    tasks = _open(book.goal_id)
    before = len(list(_children(standing, key))) if _planner_of(standing, key) else None
    return Facts(
        task=key,
        root=root,
        depth=depth,
        frontier=frontier_of(tasks),
        defects=defects_of(tasks, _subtree(standing, root)),
        steps_max=steps_allowed(before),
    )


def _decided(book: Book) -> list[dict[str, Any]]:
    """The decisions of this goal, the oldest first; those of this transaction among them."""
    written = LedgerEntry.objects.filter(goal_id=book.goal_id, event=DECIDED).order_by("seq")
    now = [dict(entry.payload) for entry in book.entries if entry.event == DECIDED]
    return [*written.values_list("payload", flat=True), *now]


def _root(standing: Mapping[str, Standing], key: str, divided: set[str]) -> tuple[str, int]:
    """The topmost divided task above, and how many divisions deep a division of `key` would be."""
    above = [one for one in _ancestors(standing, key) if one in divided]
    return (above[-1] if above else key), len(above) + 1


def _ancestors(standing: Mapping[str, Standing], key: str) -> Iterator[str]:
    parent = standing[key].parent
    while parent is not None and parent in standing:
        yield parent
        parent = standing[parent].parent


def _subtree(standing: Mapping[str, Standing], root: str) -> set[str]:
    """The root, all below it, and the planners that divided any of them."""
    found = {k for k in standing if k == root or root in _ancestors(standing, k)}
    return found | {planner for k in found if (planner := _planner_of(standing, k))}


def _planner_of(standing: Mapping[str, Standing], key: str) -> str:
    """The task that divided this one; "" for one that was not divided."""
    over = (standing[key].draft.fan_out or {}).get("over")
    named = [task_of(reference) or "" for reference in references(over)]
    return next((n for n in named if n in standing and standing[n].draft.agent == "planner"), "")


def _open(goal_id: int) -> list[OpenTask]:
    rows = Task.objects.filter(goal_id=goal_id)
    rows = rows.exclude(state__in=("done", "cancelled", "superseded"))
    wrong = _defects(list(rows.values_list("pk", flat=True)))
    return [
        OpenTask(key, hashed, wrong.get(pk, ()))
        for pk, key, hashed in rows.values_list("pk", "key", "definition_hash")
    ]


def _defects(task_ids: list[int]) -> dict[int, tuple[str, ...]]:
    """Task → why the last thing that it came to did not count. What nobody can help (a lost worker,
    a task that was stopped) is no defect."""
    ended = Attempt.objects.filter(
        task_id__in=task_ids, state__in=("accepted", "rejected", "failed")
    )
    last = ended.order_by("task_id", "-number").distinct("task_id")
    bad = {a.pk: a for a in last if a.state != "accepted"}
    verdicts = verification.verdicts_of(list(bad))
    return {
        attempt.task_id: tuple(
            reason
            for verdict in verdicts.get(pk, ())
            if verdict.outcome == "fail"
            for reason in verdict.reasons or (f"{verdict.verifier} says no",)
        )
        or (attempt.reason or "failed",)
        for pk, attempt in bad.items()
    }


def _children(standing: Mapping[str, Standing], key: str) -> Iterator[str]:
    return (child for child, task in standing.items() if task.parent == key)


def _tried(standing: Mapping[str, Standing], key: str) -> Iterator[dict[str, Any]]:
    """The steps that a division led to, and how each ended."""
    for child in _children(standing, key):
        task = standing[child]
        row = Task.objects.select_related("accepted_attempt").get(pk=task.id)
        told = {
            "key": child,
            "agent": task.draft.agent,
            "objective": task.draft.objective[:SHOWN_MAX],
            "inputs": dict(task.draft.inputs),
            "ended": str(task.state),
        }
        if row.reason:
            told["why"] = row.reason[:SHOWN_MAX]
        if row.accepted_attempt is not None:
            output = (row.accepted_attempt.report or {}).get("output")
            told["output"] = canonical(output)[:SHOWN_MAX]
        yield told
