"""Does what must always hold, hold? Each invariant is one SQL query that returns no rows.

It may run beside working workers: every query sees one moment, what the services change they
change in one transaction, and what takes its time between two transactions (a goal's last task
and the goal's end, an approval and its application) is given that time before it is a finding.

`--repair` mends only what has one safe repair, under the goal's lock, after looking again, and
with an entry in the ledger. Everything else is for a person: a wrong repair would be worse than
the finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import connection, transaction

from orchestration.domain.lives import AttemptEvent
from orchestration.models import Goal
from orchestration.services.budgets import BUDGET as B
from orchestration.services.budgets import IN_FLIGHT, RESERVATION, budget_recount
from orchestration.services.invariants import (
    UNMET,
    Row,
    doubts_nobody_is_asked_about,
    effects_not_approved,
    fences_that_fall,
    needs_miscounted,
    overlapping_leases,
    steps_beyond_their_fence,
)
from orchestration.services.ledger import Book, goal_locked, ledger_verify
from orchestration.services.moves import attempts_move
from orchestration.services.rebuild import rebuild_check
from orchestration.services.scopes import scopes_release
from orchestration.services.swarm_invariants import (
    begun_before_its_swarm_was_done,
    done_but_incomplete,
    item_reopen,
    leases_without_shift,
    twins_without_item,
)

T = "agentsys_orchestration_task"
A = "agentsys_orchestration_attempt"
G = "agentsys_orchestration_goal"
D = "agentsys_orchestration_dependency"
P = "agentsys_orchestration_proposal"
R = "agentsys_orchestration_approvalrequest"
S = "agentsys_orchestration_scopelease"
V = "agentsys_verification_verdict"
FSCK = "fsck"
END_SECONDS = 60  # how long after its last task a goal may go on before that is strange
APPLY_SECONDS = 900  # how long an approved proposal may take to be applied

# An optional need that had failed may be tried again later, when others have gone on without it.
WAS_SETTLED = (
    f"(n.optional AND EXISTS (SELECT 1 FROM {A} x WHERE x.task_id = n.id"
    " AND x.finished_at <= t.started_at))"
)
# Written out, since the planner knows nothing about what a COALESCE gives.
SAYS = "(v.overridden_outcome = '{0}' OR v.overridden_outcome IS NULL AND v.outcome = '{0}')"
A_PERSON_SAID_YES = (
    f"EXISTS (SELECT 1 FROM {R} r WHERE r.attempt_id = a.id AND r.state = 'approved')"
)
_UNSETTLED = f"""
SELECT COALESCE(b.goal_id, t.goal_id,
                (SELECT min(p.id) FROM {G} p WHERE p.project_id = b.project_id
                 AND (%(goal)s::bigint IS NULL OR p.id = %(goal)s))) AS at, b.id,
       b.tokens_reserved - COALESCE(held.tokens, 0)
FROM {B} b LEFT JOIN {T} t ON t.id = b.task_id
LEFT JOIN LATERAL (
    SELECT sum(r.tokens) AS tokens, sum(r.cost_usd) AS cost_usd, sum(r.calls) AS calls
    FROM {RESERVATION} r LEFT JOIN {A} a ON a.id = r.attempt_id
    WHERE b.id = ANY(r.budgets) AND {IN_FLIGHT}
) held ON true
WHERE (b.tokens_reserved <> COALESCE(held.tokens, 0)
       OR b.cost_usd_reserved <> COALESCE(held.cost_usd, 0)
       OR b.calls_reserved <> COALESCE(held.calls, 0))
  AND (%(goal)s::bigint IS NULL OR %(goal)s = b.goal_id OR %(goal)s = t.goal_id
       OR b.project_id = (SELECT project_id FROM {G} WHERE id = %(goal)s))
"""
REQUIRED = (
    "jsonb_array_elements_text(CASE jsonb_typeof(t.definition->'verify')"
    " WHEN 'array' THEN t.definition->'verify'"
    " WHEN 'object' THEN COALESCE(NULLIF(t.definition->'verify'->'required', 'null'), '[]')"
    " ELSE '[]'::jsonb END)"
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
    """`rows` finds what breaks it, in one goal or in all of them."""

    name: str
    kind: str
    problem: str
    rows: Callable[[int | None], Iterable[Row]]
    repair: Callable[[Book, int], None] | None = None


def query(
    select: str, where: str, *, of: str, group: str = ""
) -> Callable[[int | None], list[Row]]:
    """Rows of one statement; `of` is the alias whose `goal_id` says where a row belongs."""
    statement = (
        f"SELECT {select} WHERE {where}"
        f" AND (%(goal)s::bigint IS NULL OR {of}.goal_id = %(goal)s) {group}"
    )

    def rows(goal_id: int | None) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"goal": goal_id})
            return list(cursor.fetchall())

    return rows


def unsettled_budgets(goal_id: int | None) -> list[Row]:
    """Budgets that set aside something else than what calls in flight hold."""
    with connection.cursor() as cursor:
        cursor.execute(_UNSETTLED, {"goal": goal_id})
        return list(cursor.fetchall())


def _resettle(_: Book, budget_id: int) -> None:
    budget_recount(budget_id)


def _recount(_: Book, task_id: int) -> None:
    _run(f"UPDATE {T} t SET unmet = {UNMET} WHERE t.id = %s", task_id)


def _publish(_: Book, attempt_id: int) -> None:
    _run(f"UPDATE {A} SET publish_due_at = clock_timestamp() WHERE id = %s", attempt_id)


def _withdraw(book: Book, attempt_id: int) -> None:
    reason = "queued for a task that is not ready"
    attempts_move(book, [attempt_id], AttemptEvent.CANCELLED, actor=FSCK, fields={"reason": reason})


def _release(_: Book, task_id: int) -> None:
    scopes_release([task_id])


def _run(statement: str, row_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [row_id])


INVARIANTS = (
    Invariant(
        "dag-order", "task", "started at {fact}, before what it needs was accepted",
        query(f"t.goal_id, t.id, min(t.started_at) FROM {T} t JOIN {D} d ON d.task_id = t.id"
              f" JOIN {T} n ON n.id = d.needs_id",
              "t.started_at IS NOT NULL AND (n.finished_at IS NULL OR n.finished_at > t.started_at)"
              f" AND NOT {WAS_SETTLED}",
              of="t", group="GROUP BY t.goal_id, t.id"),
    ),
    Invariant(
        "unmet-count", "task", "counts {fact} open needs, which is wrong",
        needs_miscounted,
        _recount,
    ),
    Invariant(
        "done-is-accepted", "task", "is done, but its attempt {fact} is not accepted",
        query(f"t.goal_id, t.id, t.accepted_attempt_id FROM {T} t LEFT JOIN {A} a"
              " ON a.id = t.accepted_attempt_id", "t.state = 'done' AND (a.state IS NULL OR"
              " a.state <> 'accepted' OR a.task_id <> t.id)", of="t"),
    ),
    Invariant(
        "accepted-is-done", "attempt", "is accepted, but its task is {fact}",
        query(f"a.goal_id, a.id, t.state FROM {A} a JOIN {T} t ON t.id = a.task_id",
              "a.state = 'accepted' AND t.state NOT IN ('done', 'superseded')", of="a"),
    ),
    Invariant(
        "one-accepted", "task", "has {fact} accepted attempts",
        query(f"a.goal_id, a.task_id, count(*) FROM {A} a", "a.state = 'accepted'", of="a",
              group="GROUP BY a.goal_id, a.task_id HAVING count(*) > 1"),
    ),
    Invariant(
        "one-open", "task", "has {fact} open attempts",
        query(f"a.goal_id, a.task_id, count(*) FROM {A} a",
              "a.state IN ('queued', 'running', 'reported')", of="a",
              group="GROUP BY a.goal_id, a.task_id HAVING count(*) > 1"),
    ),
    Invariant(
        "accepted-has-verdicts", "attempt", "was accepted without a word of {fact}",
        query(f"a.goal_id, a.id, string_agg(q.name, ', ') FROM {A} a"
              f" JOIN {T} t ON t.id = a.task_id CROSS JOIN LATERAL {REQUIRED} q(name)",
              f"a.state = 'accepted' AND NOT {A_PERSON_SAID_YES} AND NOT EXISTS ("
              f"SELECT 1 FROM {V} v WHERE v.attempt_id = a.id AND"
              " (v.verifier = q.name AND v.state = 'done' OR v.overridden_outcome = 'pass'))",
              of="a", group="GROUP BY a.goal_id, a.id"),
    ),
    Invariant(
        "accepted-was-passed", "attempt", "was accepted, and no verifier nor person said pass",
        query(f"a.goal_id, a.id, a.number FROM {A} a",
              f"a.state = 'accepted' AND NOT {A_PERSON_SAID_YES} AND NOT EXISTS ("
              f"SELECT 1 FROM {V} v WHERE v.attempt_id = a.id"
              f" AND {SAYS.format('pass')})", of="a"),
    ),
    Invariant(
        "fail-stands", "attempt", "was accepted although {fact} said fail",
        query(f"a.goal_id, a.id, v.verifier FROM {A} a JOIN {V} v ON v.attempt_id = a.id",
              f"a.state = 'accepted' AND v.voter = '' AND NOT v.veto AND NOT {A_PERSON_SAID_YES}"
              f" AND {SAYS.format('fail')}", of="a"),
    ),
    Invariant(
        "veto-stands", "attempt", "was accepted against the veto of {fact}",
        query(f"a.goal_id, a.id, v.verifier FROM {A} a JOIN {V} v ON v.attempt_id = a.id",
              "a.state = 'accepted' AND v.veto AND v.overridden_outcome IS DISTINCT FROM 'pass'",
              of="a"),
    ),
    Invariant(
        "running-is-attempted", "task", "is running but no attempt of it is",
        query(f"t.goal_id, t.id, t.state FROM {T} t", "t.state = 'running' AND NOT EXISTS ("
              f"SELECT 1 FROM {A} a WHERE a.task_id = t.id AND a.state = 'running')", of="t"),
    ),
    Invariant(
        "running-is-leased", "attempt", "is running, but its task is {fact} or it has no lease",
        query(f"a.goal_id, a.id, t.state FROM {A} a JOIN {T} t ON t.id = a.task_id",
              "a.state = 'running' AND (t.state <> 'running' OR a.owner IS NULL"
              " OR a.lease_until IS NULL)", of="a"),
    ),
    Invariant(
        "fence-agrees", "attempt", "runs under fence {fact}, its task has another",
        query(f"a.goal_id, a.id, a.fence FROM {A} a JOIN {T} t ON t.id = a.task_id",
              "a.state IN ('running', 'reported') AND a.fence <> t.fence", of="a"),
    ),
    Invariant(
        "fences-rise", "attempt", "was claimed under fence {fact}, and one before it under the same"
        " or a later one", fences_that_fall,
    ),
    Invariant(
        "steps-keep-their-fence", "attempt", "has a finished step under fence {fact}, which comes"
        " after its own", steps_beyond_their_fence,
    ),
    Invariant(
        "ready-is-queued", "task", "is ready but no attempt of it is queued",
        query(f"t.goal_id, t.id, t.state FROM {T} t", "t.state = 'ready' AND NOT EXISTS ("
              f"SELECT 1 FROM {A} a WHERE a.task_id = t.id AND a.state = 'queued')", of="t"),
    ),
    Invariant(
        "queued-is-ready", "attempt", "is queued, but its task is {fact}",
        query(f"a.goal_id, a.id, t.state FROM {A} a JOIN {T} t ON t.id = a.task_id",
              "a.state = 'queued' AND t.state NOT IN ('ready', 'held')", of="a"),
        _withdraw,
    ),
    Invariant(
        "queued-is-published", "attempt", "is queued and ready but nothing will send it",
        query(f"a.goal_id, a.id, a.number FROM {A} a JOIN {T} t ON t.id = a.task_id",
              "a.state = 'queued' AND t.state = 'ready' AND a.publish_due_at IS NULL", of="a"),
        _publish,
    ),
    Invariant(
        "ended-goal-has-ended-tasks", "task", "is {fact} in a goal that is over",
        query(f"t.goal_id, t.id, t.state FROM {T} t JOIN {G} g ON g.id = t.goal_id",
              "g.finished_at IS NOT NULL AND t.finished_at IS NULL", of="t"),
    ),
    Invariant(
        "running-goal-has-work", "goal", "is running, but its last task ended at {fact}",
        query(f"t.goal_id, t.goal_id, max(t.finished_at) FROM {T} t JOIN {G} g"
              " ON g.id = t.goal_id", "g.state = 'running' AND g.paused_at IS NULL", of="t",
              group="GROUP BY t.goal_id HAVING bool_and(t.finished_at IS NOT NULL)"
              f" AND max(t.finished_at) < clock_timestamp() - interval '{END_SECONDS} s'"),
    ),
    Invariant(
        "scopes-are-released", "task", "is {fact} but still holds scopes",
        query(f"t.goal_id, t.id, t.state FROM {T} t", "(t.finished_at IS NOT NULL OR"
              f" t.state = 'blocked') AND EXISTS (SELECT 1 FROM {S} s WHERE s.task_id = t.id)",
              of="t"),
        _release,
    ),
    Invariant("scopes-are-apart", "task", "holds {fact}", overlapping_leases),
    Invariant(
        "budget-is-settled", "budget", "has {fact} tokens reserved that no call in flight holds",
        unsettled_budgets, _resettle,
    ),
    Invariant(
        "approvals-end-with-goals", "approval", "is open in a goal that is over",
        query(f"r.goal_id, r.id, r.kind FROM {R} r JOIN {G} g ON g.id = r.goal_id",
              # One about what the goal teaches is asked when it is over.
              "r.state = 'open' AND r.kind NOT IN ('playbook', 'prompt')"
              " AND g.finished_at IS NOT NULL", of="r"),
    ),
    Invariant(
        "approved-is-applied", "proposal", "was approved at {fact} and is not applied",
        query(f"p.goal_id, p.id, p.decided_at FROM {P} p JOIN {G} g ON g.id = p.goal_id",
              "p.state = 'approved' AND g.state = 'running' AND g.paused_at IS NULL"
              f" AND p.decided_at < clock_timestamp() - interval '{APPLY_SECONDS} s'"
              f" AND NOT EXISTS (SELECT 1 FROM {R} r WHERE r.proposal_id = p.id"
              " AND r.state = 'open')", of="p"),
    ),
    Invariant(
        "effects-were-approved", "proposal", "took place, but {fact}", effects_not_approved,
    ),
    Invariant(
        "doubts-are-asked", "attempt", "may have brought about {fact}, and no person is asked",
        doubts_nobody_is_asked_about,
    ),
    Invariant(
        "swarm-leases-have-shifts", "item", "is leased by shift {fact}, which is over",
        leases_without_shift, item_reopen,
    ),
    Invariant(
        "swarm-done-is-complete", "task", "has a swarm that is done with {fact} items that are not",
        done_but_incomplete,
    ),
    Invariant(
        "swarm-twins-have-items", "item", "is a twin, and no item with its input is run",
        twins_without_item,
    ),
    Invariant(
        "swarm-before-task", "task", "is {fact}, and its swarm is not done",
        begun_before_its_swarm_was_done,
    ),
)  # fmt: skip


def fsck(goal_id: int | None = None, *, repair: bool = False, deep: bool = False) -> list[Finding]:
    """Every finding; with `repair`, those with one safe repair are mended and say so; with `deep`
    each ledger is folded, too, and compared with the tables.

    NotFound when there is no such goal.
    """
    findings = [f for invariant in INVARIANTS for f in _check(invariant, goal_id, repair)]
    goals = Goal.objects.order_by("pk")
    ids = [goal_id] if goal_id is not None else goals.values_list("pk", flat=True).iterator()
    for pk in ids:
        findings += [Finding("ledger", pk, f"goal-{pk}", p) for p in ledger_verify(pk)]
        if deep:
            findings += [Finding("rebuild", pk, f"goal-{pk}", p) for p in rebuild_check(pk)]
    return findings


def _check(invariant: Invariant, goal_id: int | None, repair: bool) -> list[Finding]:
    return [
        Finding(
            invariant.name,
            goal,
            f"{invariant.kind}-{row_id}",
            invariant.problem.format(fact=fact),
            repaired=repair and _repair(invariant, goal, row_id),
        )
        for goal, row_id, fact in _rows(invariant, goal_id)
    ]


def _rows(invariant: Invariant, goal_id: int | None) -> list[Row]:
    """What breaks an invariant. Where all goals are checked every table is read as a whole, and
    joining row by row, to which stale statistics tempt the planner, would take minutes."""
    with transaction.atomic():
        if goal_id is None:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_nestloop = off")
        return list(invariant.rows(goal_id))


def _repair(invariant: Invariant, goal_id: int, row_id: int) -> bool:
    """Mend one row, unless somebody has meanwhile; True when the invariant holds for it now."""
    if invariant.repair is None:
        return False
    with goal_locked(goal_id) as book:
        if row_id not in {found for _, found, _ in invariant.rows(goal_id)}:
            return True
        invariant.repair(book, row_id)
        ref = f"{invariant.kind}-{row_id}"
        book.record("fsck.repaired", actor=FSCK, payload={"invariant": invariant.name, "ref": ref})
    return True
