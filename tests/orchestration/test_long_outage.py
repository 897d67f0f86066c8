"""Two hours without the provider, by a stepped clock, for a team of model coders on a real repository."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentsys.gateway import breakers
from agentsys.gateway.loopback import Asked, Loopback, Turn, outage
from orchestration.models import ApprovalRequest, Attempt, Outage, Task
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_plan, goal_submit
from orchestration.services.ledger import ledger_verify
from orchestration.services.sessions import session_close
from tests.acceptance.test_models import (  # noqa: F401 - `repository` is a fixture
    MODULES,
    answers,
    approve_what_is_asked,
    planned,
    repository,
)
from tests.orchestration.pump import turn
from tests.orchestration.test_recovery import time_passes
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db(transaction=True)
STEP_SECONDS, STEPS = 30, 240  # two hours


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    session_close()


def breakers_forget() -> None:
    """Their pauses end by a clock that no test can step."""
    for breaker in breakers.breakers():
        breakers.answered(breaker.source)


def without_faults(asked: Asked) -> Turn:
    return planned() if not asked.tools else answers(replace(asked, number=1))


def test_a_team_outlives_two_hours_without_its_provider_and_burns_no_attempt(
    repository: GivenRepository,  # noqa: F811
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = User.objects.create_superuser("ann")
    away, asked_then = threading.Event(), 0

    def provider(asked: Asked) -> Turn:
        return outage(503) if away.is_set() else without_faults(asked)

    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    with Loopback(provider) as server:
        settings.AGENTSYS = replace(
            settings.AGENTSYS, model=server.model_name(), backoff_seconds=20.0
        )
        goal = goal_submit(
            objective="Document the modules", repository=str(repository.path), actor="ann"
        )
        goal_plan(goal.pk)
        away.set()
        for _ in range(STEPS):
            time_passes(STEP_SECONDS)
            breakers_forget()
            turn(goal)
        asked_then = len(server.asked) - 1
        states = set(
            Task.objects.filter(goal=goal, key__in=MODULES).values_list("state", flat=True)
        )
        assert states == {"ready"}
        assert Outage.objects.exists()
        away.clear()
        for _ in range(60):
            time_passes(STEP_SECONDS)
            breakers_forget()
            turn(goal)
            if approve_what_is_asked(goal, person):
                break
        came_back = len(server.asked) - 1 - asked_then
    assert goal.state == "succeeded", goal.reason
    assert 10 < asked_then <= STEPS + 3 * len(MODULES)  # probes, not a storm
    assert came_back == 2 * len(MODULES)  # what the work takes, and not a call more
    assert all(t.attempts_count - t.attempts_forgiven == 1 for t in goal.tasks.all())
    lineages = Attempt.objects.filter(task__goal=goal).values_list("task_id", "lineage").distinct()
    assert len(lineages) == goal.tasks.count()  # one journal each: nothing is paid for twice
    for name in MODULES:
        assert f"Would {name}." in repository.git("show", f"{goal.branch}:src/{name}.py")
    assert not ApprovalRequest.objects.filter(goal=goal, state="open").exists()
    assert fsck(goal.pk, deep=True) == []
    assert ledger_verify(goal.pk) == []
