"""Does what must always hold, hold? Each invariant is one SQL query that returns no rows.

`--repair` mends only what has one safe repair, and writes it in the ledger. Everything else is
for a person: a wrong repair would be worse than the finding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from orchestration.models import Goal
from orchestration.services.ledger import goal_locked, ledger_verify
from orchestration.services.scopes import scopes_release

T = "agentsys_orchestration_task"
A = "agentsys_orchestration_attempt"
G = "agentsys_orchestration_goal"
D = "agentsys_orchestration_dependency"
UNMET = (
    f"(SELECT count(*) FROM {D} d JOIN {T} n ON n.id = d.needs_id WHERE d.task_id = t.id"
    " AND n.state <> 'done' AND NOT (n.state = 'failed' AND n.optional))"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`ref` names the row, `problem` is a sentence, `repaired` says whether it is mended."""

    invariant: str
    goal_id: int
    ref: str
    problem: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Invariant:
    """`query` selects goal id, row id and a fact for `problem`, filtered by goal in `%(goal)s`."""

    name: str
    kind: str
    problem: str
    query: str
    repair: Callable[[int], None] | None = None


def _sql(select: str, where: str, of: str = "t") -> str:
    return (
        f"SELECT {select} WHERE {where} AND (%(goal)s::bigint IS NULL OR {of}.goal_id = %(goal)s)"
    )


def _recount(task_id: int) -> None:
    _run(f"UPDATE {T} t SET unmet = {UNMET} WHERE t.id = %s", task_id)


def _publish(attempt_id: int) -> None:
    _run(f"UPDATE {A} SET publish_due_at = clock_timestamp() WHERE id = %s", attempt_id)


def _run(statement: str, row_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [row_id])


INVARIANTS = (
    Invariant(
        "dag-order", "task", "started at {fact}, before what it needs was accepted",
        _sql(f"t.goal_id, t.id, t.started_at FROM {T} t JOIN {D} d ON d.task_id = t.id"
             f" JOIN {T} n ON n.id = d.needs_id",
             "t.started_at IS NOT NULL AND (n.finished_at IS NULL OR n.finished_at > t.started_at)"
             " AND t.parent_id IS DISTINCT FROM n.id AND n.parent_id IS DISTINCT FROM t.id"),
    ),
    Invariant(
        "unmet-count", "task", "counts {fact} open needs, which is wrong",
        _sql(f"t.goal_id, t.id, t.unmet FROM {T} t", f"t.state = 'blocked' AND t.unmet <> {UNMET}"),
        _recount,
    ),
    Invariant(
        "done-is-accepted", "task", "is done, but its attempt {fact} is not accepted",
        _sql(f"t.goal_id, t.id, t.accepted_attempt_id FROM {T} t LEFT JOIN {A} a"
             " ON a.id = t.accepted_attempt_id", "t.state = 'done' AND (a.state IS NULL OR"
             " a.state <> 'accepted' OR a.task_id <> t.id)"),
    ),
    Invariant(
        "one-accepted", "task", "has {fact} accepted attempts",
        f"SELECT a.goal_id, a.task_id, count(*) FROM {A} a WHERE a.state = 'accepted'"
        " AND (%(goal)s::bigint IS NULL OR a.goal_id = %(goal)s)"
        " GROUP BY a.goal_id, a.task_id HAVING count(*) > 1",
    ),
    Invariant(
        "accepted-has-verdicts", "attempt", "was accepted without a passing verdict",
        _sql(f"a.goal_id, a.id, a.number FROM {A} a", "a.state = 'accepted' AND NOT EXISTS ("
             "SELECT 1 FROM agentsys_verification_verdict v WHERE v.attempt_id = a.id"
             " AND COALESCE(v.overridden_outcome, v.outcome) = 'pass') AND NOT EXISTS ("
             "SELECT 1 FROM agentsys_orchestration_approvalrequest r WHERE r.attempt_id = a.id"
             " AND r.state = 'approved')", "a"),
    ),
    Invariant(
        "veto-stands", "attempt", "was accepted against the veto of {fact}",
        _sql(f"a.goal_id, a.id, v.verifier FROM {A} a JOIN agentsys_verification_verdict v"
             " ON v.attempt_id = a.id", "a.state = 'accepted' AND v.veto AND v.outcome = 'fail'"
             " AND v.overridden_outcome IS NULL", "a"),
    ),
    Invariant(
        "running-is-leased", "task", "is running but no attempt of it is",
        _sql(f"t.goal_id, t.id, t.state FROM {T} t", "t.state = 'running' AND NOT EXISTS ("
             f"SELECT 1 FROM {A} a WHERE a.task_id = t.id AND a.state = 'running')"),
    ),
    Invariant(
        "fence-agrees", "attempt", "runs under fence {fact}, its task has another",
        _sql(f"a.goal_id, a.id, a.fence FROM {A} a JOIN {T} t ON t.id = a.task_id",
             "a.state IN ('running', 'reported') AND a.fence <> t.fence", "a"),
    ),
    Invariant(
        "ready-is-queued", "task", "is ready but no attempt of it is queued",
        _sql(f"t.goal_id, t.id, t.state FROM {T} t", "t.state = 'ready' AND NOT EXISTS ("
             f"SELECT 1 FROM {A} a WHERE a.task_id = t.id AND a.state = 'queued')"),
    ),
    Invariant(
        "queued-is-published", "attempt", "is queued and ready but nothing will send it",
        _sql(f"a.goal_id, a.id, a.number FROM {A} a JOIN {T} t ON t.id = a.task_id",
             "a.state = 'queued' AND t.state = 'ready' AND a.publish_due_at IS NULL", "a"),
        _publish,
    ),
    Invariant(
        "ended-goal-has-ended-tasks", "task", "is {fact} in a goal that is over",
        _sql(f"t.goal_id, t.id, t.state FROM {T} t JOIN {G} g ON g.id = t.goal_id",
             "g.finished_at IS NOT NULL AND t.finished_at IS NULL"),
    ),
    Invariant(
        "scopes-are-released", "task", "is {fact} but still holds scopes",
        _sql(f"t.goal_id, t.id, t.state FROM {T} t JOIN agentsys_orchestration_scopelease s"
             " ON s.task_id = t.id", "t.finished_at IS NOT NULL OR t.state IN ('blocked')"),
        lambda task_id: scopes_release([task_id]),
    ),
    Invariant(
        "budget-is-settled", "goal", "is over with {fact} tokens still reserved",
        f"SELECT b.goal_id, b.goal_id, b.tokens_reserved FROM agentsys_orchestration_budget b"
        f" JOIN {G} g ON g.id = b.goal_id WHERE g.finished_at IS NOT NULL"
        " AND b.tokens_reserved > 0 AND (%(goal)s::bigint IS NULL OR b.goal_id = %(goal)s)",
    ),
    Invariant(
        "approvals-end-with-goals", "approval", "is open in a goal that is over",
        f"SELECT r.goal_id, r.id, r.kind FROM agentsys_orchestration_approvalrequest r"
        f" JOIN {G} g ON g.id = r.goal_id WHERE r.state = 'open' AND g.finished_at IS NOT NULL"
        " AND (%(goal)s::bigint IS NULL OR r.goal_id = %(goal)s)",
    ),
)  # fmt: skip


def fsck(goal_id: int | None = None, *, repair: bool = False) -> list[Finding]:
    """Every finding; with `repair`, those with one safe repair are mended and say so."""
    findings = [f for invariant in INVARIANTS for f in _check(invariant, goal_id, repair)]
    goals = Goal.objects.order_by("pk")
    ids = [goal_id] if goal_id is not None else goals.values_list("pk", flat=True).iterator()
    for pk in ids:
        findings += [Finding("ledger", pk, f"goal-{pk}", p) for p in ledger_verify(pk)]
    return findings


def _check(invariant: Invariant, goal_id: int | None, repair: bool) -> list[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(invariant.query, {"goal": goal_id})
        rows = cursor.fetchall()
    return [_finding(invariant, row[0], row[1], row[2], repair) for row in rows]


def _finding(invariant: Invariant, goal: int, row_id: int, fact: object, repair: bool) -> Finding:
    ref = f"{invariant.kind}-{row_id}"
    mended = bool(repair and invariant.repair)
    if repair and invariant.repair:
        with goal_locked(goal) as book:
            invariant.repair(row_id)
            book.record(
                "fsck.repaired", actor="fsck", payload={"invariant": invariant.name, "ref": ref}
            )
    return Finding(invariant.name, goal, ref, invariant.problem.format(fact=fact), mended)
