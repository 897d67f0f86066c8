"""Why something does not run, and a goal in brief, as the commands say it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.models import Plan
from orchestration.services.recap import recap
from orchestration.services.why import why
from tests.api.people import api, goal, held, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def vera() -> Any:
    return api(person("vera", "viewer"))


def test_each_thing_says_what_it_waits_for(vera: Any) -> None:
    row = held(goal())
    ids = {"goal": row.goal_id, "task": row.task_id, "attempt": row.attempt_id,
           "proposal": row.proposal_id, "approval": row.pk}  # fmt: skip
    for kind, pk in ids.items():
        told = vera.get(f"/api/v1/{kind}s/{pk}/why").json()
        assert told["ref"] == f"{kind}-{pk}"
        assert told["sentence"] == why(f"{kind}-{pk}").sentence
        assert told["facts"]
    assert f"approval-{row.pk}" in vera.get(f"/api/v1/tasks/{row.task_id}/why").json()["sentence"]


def test_a_goal_in_brief_names_what_waits_for_a_person(vera: Any) -> None:
    row = held(goal())
    told = vera.get(f"/api/v1/goals/{row.goal_id}/brief").json()
    assert told == recap(row.goal_id)
    assert [each["id"] for each in told["waits_for_you"]] == [row.pk]


def test_a_version_of_the_plan_is_given_and_one_that_never_was_is_a_404(vera: Any) -> None:
    row = goal()
    row.plans.update(state="superseded")
    Plan.objects.create(
        goal=row, version=2, planner="test", document={"tasks": []}, document_hash="y"
    )
    url = f"/api/v1/goals/{row.pk}/plan"
    assert vera.get(url).json()["version"] == 2
    first = vera.get(f"{url}?version=1").json()
    assert (first["version"], len(first["tasks"])) == (1, 2)
    assert vera.get(f"{url}?version=3").status_code == 404
    assert vera.get(f"{url}?version=x").status_code == 400
