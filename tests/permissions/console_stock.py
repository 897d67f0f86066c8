"""A row of everything that the console has a page for: what `stocked` has, and the rest."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import site
from django.contrib.auth.models import Group, User
from django.db.models import Model
from knox.models import AuthToken

from agentsys.gateway.models import Profile
from memory.models import Memory, Playbook
from orchestration.models import (
    Attempt,
    Project,
    Scope,
    ScopeLease,
    Subscription,
    WorkerSession,
)
from orchestration.services.goals import goal_submit
from tests.api.stocked import Stock, stocked
from verification.models import Baseline, Panel, PolicyVersion, Scorecard, Standing
from workers import profiles
from workers.models import AgentProfile, AgentVersion, Effect, Step


def filled(where: str, mark: str, decider: User) -> tuple[Stock, dict[str, int]]:
    """The stock of the project `where`, and the key of a row of each model in the console by label.
    `mark` stands in every text of the project."""
    stock = stocked(where, mark=mark, decider=decider)
    whole = goal_submit(
        objective=mark,
        project=where,
        actor=mark,
        document={"objective": mark, "tasks": [{"key": "a", "agent": "noop"}]},
    )
    stock.ids["whole_task_id"] = whole.tasks.get().pk
    made = {row._meta.label_lower: row for row in _more(stock, mark, decider)}
    made |= {Memory._meta.label_lower: Memory.objects.get(pk=stock.ids["memory_id"])}
    made |= {Project._meta.label_lower: stock.row.project}
    made |= {User._meta.label_lower: decider}
    made |= {row._meta.label_lower: row for row in _of_goal(stock)}
    return stock, {label: made[label].pk for label in map(_label, site._registry)}


def _label(model: type[Model]) -> str:
    return model._meta.label_lower


def _of_goal(stock: Stock) -> list[Model]:
    """The first row that hangs off the goal, of each model that has some."""
    found: list[Model] = [stock.row]
    for model in site._registry:
        names = {field.name for field in model._meta.get_fields()}
        path = next((name for name in ("goal", "goal_id") if name in names), "")
        rows = model._default_manager.filter(**{path: stock.row.pk}) if path else []
        found += rows[:1]
    found += stock.row.project.schedules.all()[:1]
    return found


def _more(stock: Stock, mark: str, decider: User) -> list[Model]:
    project = stock.row.project
    attempt = Attempt.objects.get(pk=stock.ids["attempt_id"])
    once: dict[str, Any] = {
        "attempt_id": attempt.pk,
        "fence": 0,
        "request": {},
        "request_hash": "x",
    }
    agent = AgentProfile(name="writer", description="Writes", prompt="Write", enabled=False)
    profiles.profile_save(agent, by="root")
    figures: dict[str, Any] = {
        "figures": {},
        "source": "goals",
        "data_hash": "x",
        "items": 1,
        "measured_by": "root",
    }
    return [
        Subscription.objects.get(project=project),
        Scope.objects.create(project=project, resource="repo:src/**", role="coder"),
        ScopeLease.objects.create(
            project=project, task=attempt.task, resource="repo:x", exclusive=True
        ),
        WorkerSession.objects.create(host="here", pid=1),
        Playbook.objects.create(
            namespace=project.namespace, name="own", version=1, definition={}, definition_hash="x"
        ),
        Step.objects.create(lineage=attempt.lineage, index=0, kind="tool", name="x", **once),
        Effect.objects.create(key="x", kind="x", **once),
        agent,
        AgentVersion.objects.get(name="writer"),
        Baseline.objects.create(repository="/x", commit="c", command_hash="x", result={}),
        Scorecard.objects.create(verifier="semantic", answered=1, correct=1, **figures),
        Panel.objects.create(name="x", weights={}, effective_votes=1, **figures),
        Standing.objects.create(verifier="semantic", state="trusted", reason="x", by="root"),
        PolicyVersion.objects.create(document={}, reason="x", made_by="root"),
        Profile.objects.create(role="planner", model="openai:x"),
        Group.objects.create(name="people"),
        AuthToken.objects.create(decider)[0],
    ]
