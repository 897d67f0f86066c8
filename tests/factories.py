"""Rows that are valid for a state, straight into the tables, for tests of what reads them.

Each function gives one row (and what it cannot be without). States are consistent with each
other as the services leave them: a `done` task has an accepted attempt with a passing verdict, a
`running` one an attempt with a lease, a `ready` one a queued attempt that is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from agentsys.kernel.hashing import digest
from orchestration.models import (
    ApprovalRequest,
    Artifact,
    Attempt,
    Budget,
    Dependency,
    Goal,
    Membership,
    Plan,
    Project,
    Proposal,
    Task,
    WorkerSession,
)
from orchestration.services.ledger import goal_locked
from verification import services as verification
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from workers.contracts import artifact_hash
from workers.services import blob_put

OVER = ("succeeded", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled", "superseded")
ATTEMPT_ENDED = ("accepted", "rejected", "lost", "failed", "cancelled")
ATTEMPT_OF = {
    "ready": "queued",
    "running": "running",
    "verifying": "reported",
    "held": "reported",
    "done": "accepted",
    "failed": "failed",
}
SPEC = "5" * 64


def project(name: str = "default") -> Project:
    return Project.objects.get_or_create(name=name)[0]


def goal(*, state: str = "running", objective: str = "Tidy up", **fields: Any) -> Goal:
    """A goal with an empty plan in force, a budget and its first ledger entry."""
    now = timezone.now()
    contract = fields.pop("contract", {"objective": objective})
    fields.setdefault("project", project())
    if state in OVER:
        fields.setdefault("finished_at", now)
    if state not in ("draft", "planning", "plan_review"):
        fields.setdefault("started_at", now - timedelta(minutes=2))
    row = Goal.objects.create(
        objective=objective,
        contract=contract,
        contract_hash=digest(contract),
        state=state,
        **fields,
    )
    Budget.objects.create(goal=row)
    if state not in ("draft", "planning"):
        plan(row)
    entry(row, "goal.submitted", contract_hash=row.contract_hash, objective=row.objective)
    return row


def plan(row: Goal, *, version: int = 1, document: Any = None, **fields: Any) -> Plan:
    body = document or {"objective": row.objective, "tasks": []}
    return Plan.objects.create(
        goal=row,
        version=version,
        planner="explicit",
        document=body,
        document_hash=digest(body),
        **fields,
    )


def entry(row: Goal, event: str, *, actor: str = "tester", **facts: Any) -> None:
    """A ledger entry, chained as every other; `task_id` and `attempt_id` are its columns."""
    columns = {name: facts.pop(name, None) for name in ("task_id", "attempt_id")}
    with goal_locked(row.pk) as book:
        book.record(event, actor=actor, payload=facts, **columns)
    row.refresh_from_db()


def task(
    row: Goal,
    key: str,
    *,
    state: str = "blocked",
    needs: Iterable[Task] = (),
    with_attempt: bool = True,
    **fields: Any,
) -> Task:
    """A task in `state`, with the attempt that the state calls for."""
    now = timezone.now()
    needs = list(needs)
    definition = fields.pop("definition", {"objective": key, "inputs": {}, "verify": ["schema"]})
    if state in ENDED:
        fields.setdefault("finished_at", now)
    if state in ("running", "verifying", "held", "done", "failed"):
        fields.setdefault("started_at", now - timedelta(seconds=10))
    unmet = sum(n.state != "done" and not (n.state == "failed" and n.optional) for n in needs)
    made = Task(
        goal=row,
        plan=row.plans.order_by("version").last(),
        key=key,
        definition=definition,
        definition_hash=digest(definition),
        **{"agent": "noop", "lane": "cheap", "unmet": unmet, **fields},
    )
    # `done` is refused without an accepted attempt, which needs its task: two steps.
    made.state, ended = ("running", None) if state == "done" else (state, made.finished_at)
    finished, made.finished_at = made.finished_at, ended
    made.save()
    Dependency.objects.bulk_create(Dependency(task=made, needs=need) for need in needs)
    if with_attempt and state in ATTEMPT_OF:
        last = attempt(made, state=ATTEMPT_OF[state], at=finished or now)
        if state == "done":
            Task.objects.filter(pk=made.pk).update(
                state="done", finished_at=finished, accepted_attempt=last
            )
    made.refresh_from_db()
    return made


def attempt(
    row: Task, *, state: str = "queued", at: datetime | None = None, **fields: Any
) -> Attempt:
    """The next attempt at a task; an accepted one comes with a passing verdict."""
    at = at or timezone.now()
    number = Attempt.objects.filter(task=row).count() + 1
    begun = state not in ("queued",)
    defaults: dict[str, Any] = {
        "lineage": f"t{row.pk}.{number}",
        "lane": row.lane,
        "fence": row.fence,
        "started_at": (row.started_at or at) if begun else None,
        "finished_at": at if state in ATTEMPT_ENDED else None,
    }
    if state == "queued":
        defaults["publish_due_at"] = at
    if state == "running":
        owner = fields.pop("session", None) or session()
        defaults |= {"owner": owner.pk, "lease_until": at + timedelta(seconds=30)}
    if state in ("reported", "accepted", "rejected"):
        empty: dict[str, Any] = {"artifacts": [], "claims": [], "proposals": []}
        report = {"outcome": "done", "output": {"echo": {}}, **empty}
        defaults |= {"reported_at": at, "report": report, "artifact_hash": artifact_hash(report)}
    made = Attempt.objects.create(
        task=row, goal_id=row.goal_id, number=number, state=state, **{**defaults, **fields}
    )
    Task.objects.filter(pk=row.pk).update(attempts_count=number)
    if state == "accepted":
        verdict(made)
    return made


def verdict(
    row: Attempt,
    verifier: str = "schema",
    outcome: str | None = "pass",
    *,
    veto: bool = False,
    reasons: tuple[str, ...] = (),
) -> None:
    """What a verifier said about an attempt; `outcome` None: it has not spoken yet."""
    draft = None
    if outcome is not None:
        draft = VerdictDraft(
            verifier=verifier,
            kind=Kind(verifier),
            outcome=VerdictOutcome(outcome),
            veto=veto,
            reasons=reasons,
        )
    verification.verdicts_insert(
        [
            verification.VerdictRow(
                attempt_id=row.pk,
                goal_id=row.goal_id,
                draft=draft,
                verifier=verifier,
                voter="",
                kind=Kind(verifier),
                spec_hash=SPEC,
                artifact_hash=row.artifact_hash or SPEC,
            )
        ]
    )


def session(**fields: Any) -> WorkerSession:
    """A worker's row. Its advisory lock is not held: the worker is not alive."""
    return WorkerSession.objects.create(**{"host": "somewhere", "pid": 4711, **fields})


def proposal(row: Task, *, state: str = "in_review", **fields: Any) -> Proposal:
    """What the task's last attempt (made when there is none) holds back."""
    last = row.attempts.order_by("number").last() or attempt(row, state="reported")
    payload = fields.pop("payload", {"argv": ["rm", "-r", "build"], "why": "it is old"})
    if state == "applied":
        fields.setdefault("applied_at", timezone.now())
    return Proposal.objects.create(
        goal_id=row.goal_id,
        task=row,
        attempt=last,
        state=state,
        payload=payload,
        payload_hash=digest(payload),
        **{"kind": "action", "title": "Remove the build folder", "risk": "irreversible", **fields},
    )


def change(row: Task, diff: str, **fields: Any) -> Proposal:
    """A proposed change with its diff as an artifact."""
    made = proposal(
        row,
        kind="change",
        risk="write",
        payload={"commit": "c" * 40, "base": "b" * 40, "paths": [], "diff_artifact": "fix.diff"},
        **fields,
    )
    content = diff.encode()
    Artifact.objects.create(
        goal_id=row.goal_id,
        attempt=made.attempt,
        name="fix.diff",
        kind="diff",
        media_type="text/x-diff",
        sha256=blob_put(content, "text/x-diff"),
        size=len(content),
    )
    return made


def approval(row: Task, *, about: Proposal | None = None, **fields: Any) -> ApprovalRequest:
    """An open question about a task, or about `about`."""
    last = row.attempts.order_by("number").last()
    return ApprovalRequest.objects.create(
        goal_id=row.goal_id,
        attempt=last,
        proposal=about,
        **{
            "task": row,
            "kind": "proposal" if about else "question",
            "question": "May it go?",
            "allowed": ["approve", "edit", "reject", "respond"],
            "action_hash": about.payload_hash if about else "",
            "due_at": timezone.now() + timedelta(days=3),
            **fields,
        },
    )


def person(name: str = "ada", role: str | None = "approver", **fields: Any) -> User:
    user = User.objects.create_user(name, **fields)
    if role:
        Membership.objects.create(project=project(), user=user, role=role)
    return user
