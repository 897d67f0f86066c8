"""People with roles, and goals with something to decide about, straight into the tables."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from agentsys.kernel.hashing import digest
from orchestration.models import (
    ApprovalRequest,
    Attempt,
    Budget,
    Dependency,
    Goal,
    Membership,
    Plan,
    Project,
    Proposal,
    Task,
)
from orchestration.services.ledger import goal_locked


def project(name: str = "alpha") -> Project:
    return Project.objects.get_or_create(name=name)[0]


def person(name: str, role: str | None = None, where: str = "alpha", **fields: Any) -> User:
    """A user; with `role` a member of the project `where`."""
    user = User.objects.create_user(name, password="pass", **fields)
    if role is not None:
        Membership.objects.create(project=project(where), user=user, role=role)
    return user


def api(user: User | None) -> APIClient:
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client


def goal(
    where: str = "alpha", *, objective: str = "Tidy up", tasks: int = 2, **fields: Any
) -> Goal:
    """A running goal with a chain of `tasks` blocked tasks and three ledger entries."""
    contract = {"objective": objective}
    row = Goal.objects.create(
        project=project(where),
        objective=objective,
        contract=contract,
        contract_hash=digest(contract),
        started_at=timezone.now(),
        **{"state": "running", **fields},
    )
    Budget.objects.create(goal=row)
    document = {"objective": objective, "tasks": [_node(number) for number in range(tasks)]}
    plan = Plan.objects.create(
        goal=row, version=1, planner="test", document=document, document_hash="x"
    )
    made = [_task(row, plan, number) for number in range(tasks)]
    Task.objects.bulk_create(made)
    Dependency.objects.bulk_create(
        Dependency(task=task, needs=need) for need, task in pairwise(made)
    )
    entries(row, 3)
    return row


def _node(number: int) -> dict[str, Any]:
    """Of a plan file: each task needs the one before."""
    return {
        "key": f"step-{number}",
        "agent": "command",
        "phase": "",
        "priority": 0,
        "objective": f"step {number}",
        "inputs": {},
        "depends_on": [f"step-{number - 1}"] if number else [],
        "verify": ["schema"],
    }


def _task(row: Goal, plan: Plan, number: int) -> Task:
    definition = {"objective": f"step {number}", "inputs": {}, "verify": ["schema"]}
    return Task(
        goal=row,
        plan=plan,
        key=f"step-{number}",
        agent="command",
        lane="cheap",
        definition=definition,
        definition_hash=digest(definition),
        unmet=1 if number else 0,
    )


def entries(row: Goal, count: int) -> None:
    with goal_locked(row.pk) as book:
        for number in range(count):
            facts = {"from": number, "to": number + 1}
            book.record("goal.prioritised", actor="tester", payload=facts)


def held(
    row: Goal,
    *,
    payload: dict[str, Any] | None = None,
    proposed: dict[str, Any] | None = None,
    output: dict[str, Any] | None = None,
    **fields: Any,
) -> ApprovalRequest:
    """The goal's first task is held by an open request about a proposed action. `proposed` are fields of
    the proposal, which is frozen once it is there."""
    task = row.tasks.order_by("id")[0]
    attempt = Attempt.objects.create(
        task=task,
        goal=row,
        number=1,
        lineage=f"t{task.pk}.1",
        lane="cheap",
        state="reported",
        started_at=timezone.now(),
        reported_at=timezone.now(),
        report={"outcome": "done", "output": output or {}, "proposals": []},
    )
    Task.objects.filter(pk=task.pk).update(state="held", attempts_count=1)
    body = payload or {"argv": ["rm", "-r", "build"], "why": "it is old"}
    proposal = Proposal.objects.create(
        goal=row,
        task=task,
        attempt=attempt,
        title=fields.pop("title", "Remove the build folder"),
        payload=body,
        payload_hash=digest(body),
        risk="irreversible",
        state="in_review",
        **{"kind": "action", **(proposed or {})},
    )
    return ApprovalRequest.objects.create(
        **{
            "goal": row,
            "task": task,
            "attempt": attempt,
            "proposal": proposal,
            "kind": "proposal",
            "question": "May the build folder go?",
            "risk": "irreversible",
            "allowed": ["approve", "edit", "reject", "respond"],
            "action_hash": proposal.payload_hash,
            "requested_by": "agent:command",
            **fields,
        },
    )


def ended(response: Any) -> None:
    """A reader of a stream goes away. Other answers were closed by the client, in a way that leaves the
    connection, in which the test has its transaction, as it is."""
    if response.streaming:
        next(response._iterator, None)  # what never began has nothing to end
        response._iterator.close()
