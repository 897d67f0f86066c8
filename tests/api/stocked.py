"""A project with at least one row of everything that the API lists, straight into the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from agentsys.gateway.metering import Spent
from memory import services as memory
from orchestration.models import Artifact, Decision, Delivery, Goal, Subscription
from orchestration.services.schedules import schedule_add
from tests import factories as given
from tests.api.people import goal, held
from workers.services import blob_put, model_calls_record


@dataclass(frozen=True)
class Stock:
    """Ids by the names that routes have for them; `name` is the project's."""

    row: Goal
    ids: dict[str, Any]

    def path(self, route: str) -> str:
        """`route` of the URL conf, with the ids of this stock."""
        for name, value in self.ids.items():
            route = route.replace(f"<int:{name}>", str(value)).replace(f"<slug:{name}>", str(value))
        return f"/api/v1/{route}"


def stocked(where: str = "alpha", *, mark: str = "Tidy up", decider: User | None = None) -> Stock:
    """`mark` stands in every text that there is."""
    row = goal(where, objective=mark, reason=mark, created_by=mark)
    request = held(
        row,
        title=mark,
        question=mark,
        payload={"argv": ["rm", mark], "why": mark},
        output={"text": mark},
    )
    attempt, task = request.attempt, request.task
    assert attempt is not None
    assert task is not None
    attempt.note = attempt.reason = mark
    attempt.tokens, attempt.cost_usd = 7, 1
    attempt.save(update_fields=["note", "reason", "tokens", "cost_usd"])
    task.reason = task.phase = mark
    task.save(update_fields=["reason", "phase"])
    artifact = Artifact.objects.create(
        goal=row, attempt=attempt, name=f"{mark}.txt", kind="output", media_type="text/plain",
        sha256=blob_put(mark.encode()), size=len(mark.encode()),
    )  # fmt: skip
    model_calls_record(
        [Spent(mark[:40], mark, "ok", 5, 2, 0.5, 100)], goal_id=row.pk, attempt_id=attempt.pk
    )
    if decider is not None:
        # The action's hash is what the database binds a decision to.
        Decision.objects.create(
            request=request, user=decider, decision="approve", reason=mark,
            action_hash=request.action_hash,
        )  # fmt: skip
    given.verdict(attempt, "schema", "fail", reasons=(mark,))
    row.directives.create(text=mark, author=mark)
    kept = memory.remember(row.project.namespace, "semantic", f"{mark} is on port 8443", actor=mark)
    plan = schedule_add(
        row.project, "morning", {"cron": "0 7 * * *", "objective": mark, "playbook": "ops-checks"},
        actor=mark[:150],
    )  # fmt: skip
    hook = Subscription.objects.create(
        project=row.project,
        name=mark[:80],
        target="https://example.org",
        events=["*"],
        secret="s" * 32,
    )
    sent = Delivery.objects.create(
        subscription=hook, goal=row, seq=1, event="goal.prioritised", state="given_up", due_at=None,
        finished_at=row.started_at, said=mark,
    )  # fmt: skip
    ids = {
        "goal_id": row.pk,
        "task_id": task.pk,
        "attempt_id": attempt.pk,
        "proposal_id": request.proposal_id,
        "approval_id": request.pk,
        "artifact_id": artifact.pk,
        "memory_id": kept,
        "schedule_id": plan.pk,
        "delivery_id": sent.pk,
        "name": where,
    }
    return Stock(row, ids)
