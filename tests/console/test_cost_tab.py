"""What a goal's page says of cost: by model, role and task, how fast, and whether the budget will do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agentsys.gateway.metering import Spent
from orchestration.admin.spendchart import chart
from orchestration.models import Budget
from orchestration.services.spending import TOP_TASKS, goal_spending
from tests import factories as make
from tests.api.people import person
from tests.console.test_goal_page import page
from tests.console.test_pages import console
from workers.models import ModelCall
from workers.services import model_calls_record

pytestmark = pytest.mark.django_db


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


def call(
    row, attempt=None, *, tokens=100, cost=0.5, role="model", model="openai:m", ago=0.0, **more
):
    spent = Spent(role, model, more.pop("outcome", "ok"), tokens - 10, 10, cost, 200, **more)
    model_calls_record([spent], goal_id=row.pk, attempt_id=attempt.pk if attempt else None)
    if ago:
        newest = ModelCall.objects.order_by("-pk").first()
        at = timezone.now() - timedelta(seconds=ago)
        ModelCall.objects.filter(pk=newest.pk).update(created_at=at)
    used = Budget.objects.get(goal=row)
    used.tokens_spent += tokens
    used.cost_usd_spent = float(used.cost_usd_spent) + cost
    used.save()


def done(row, key, **fields):
    task = make.task(row, key, state="done", agent="model")
    call(row, task.accepted_attempt, **fields)
    return task


def test_sums_are_by_model_by_role_and_by_task():
    row = make.goal()
    one = done(row, "one", tokens=1000, cost=2.0)
    call(row, one.accepted_attempt, tokens=50, cost=0.1, role="verifier", model="openai:n")
    call(row, tokens=30, cost=0.2, role="planner", outcome="rate-limited")
    found = goal_spending(row.pk)
    assert [(m["name"], m["tokens"], m["calls"]) for m in found["by_model"]] == [
        ("openai:m", 1030, 2),
        ("openai:n", 50, 1),
    ]
    assert [(r["name"], r["failed"]) for r in found["by_role"]] == [
        ("model", 0), ("planner", 1), ("verifier", 0)
    ]  # fmt: skip
    (task,) = found["by_task"]
    assert (task["key"], task["calls"], task["tokens"]) == ("one", 2, 1050)
    assert found["elsewhere"]["tokens"] == 30
    assert found["on_record"]["tokens"] == 1080


def test_another_goals_calls_are_not_counted():
    row, other = make.goal(), make.goal()
    done(other, "one")
    assert goal_spending(row.pk)["on_record"]["tokens"] == 0


def test_calls_of_an_attempt_that_did_not_count_are_the_tasks():
    row = make.goal()
    task = make.task(row, "one", state="ready", with_attempt=False)
    for state in ("failed", "queued"):
        call(row, make.attempt(task, state=state), tokens=100)
    assert goal_spending(row.pk)["by_task"][0]["tokens"] == 200


def test_only_the_most_expensive_tasks_are_named_and_the_rest_is_summed():
    row = make.goal()
    for number in range(TOP_TASKS + 5):
        done(row, f"t{number}", tokens=100, cost=float(number))
    found = goal_spending(row.pk)
    assert found["by_task"][0]["key"] == f"t{TOP_TASKS + 4}"
    assert (len(found["by_task"]), found["tasks_left_out"]) == (TOP_TASKS, 5)
    assert found["elsewhere"]["cost_usd"] == pytest.approx(0 + 1 + 2 + 3 + 4)


def test_it_is_learning_until_five_tasks_are_done(root):
    row = make.goal()
    for number in range(4):
        done(row, f"t{number}")
    make.task(row, "left", agent="model")
    assert goal_spending(row.pk)["outlook"]["tokens"]["says"] == "learning"
    assert "still learning" in page(root, row, "cost")
    done(row, "t5")
    told = goal_spending(row.pk)["outlook"]
    assert told["tokens"]["forecast"] == [600, 600]
    assert (told["tokens"]["says"], told["tasks_left"]) == ("enough", 1)


def test_a_budget_that_will_not_do_is_said(root):
    row = make.goal()
    for number in range(6):
        done(row, f"t{number}", tokens=100, cost=1.0)
    for number in range(10):
        make.task(row, f"left-{number}", agent="model")
    Budget.objects.filter(goal=row).update(tokens_max=1000, cost_usd_max=16)
    told = goal_spending(row.pk)["outlook"]
    assert (told["tokens"]["says"], told["cost_usd"]["says"]) == ("short", "enough")
    assert "the budget will not be enough" in page(root, row, "cost")


def test_the_rate_is_of_the_last_hour_and_nothing_before_there_is_a_minute(root):
    row = make.goal()
    done(row, "one", tokens=500, ago=10)
    assert goal_spending(row.pk)["burn"]["tokens"] is None
    done(row, "two", tokens=9000, ago=7200)
    done(row, "three", tokens=700, ago=60)
    assert goal_spending(row.pk)["burn"]["tokens"] == 1200
    assert "1,200 an hour" in page(root, row, "cost")


def test_a_goal_without_calls_says_so(root):
    text = page(root, make.goal(), "cost")
    assert "No model was called" in text
    assert "<polyline" not in text


def test_a_goal_that_is_over_has_no_forecast():
    row = make.goal(state="succeeded")
    for number in range(6):
        done(row, f"t{number}")
    told = goal_spending(row.pk)["outlook"]["tokens"]
    assert (told["says"], told["forecast"]) == ("over", None)


def test_spending_over_time_adds_up_to_all_of_it(root):
    row = make.goal()
    for number in range(5):
        done(row, f"t{number}", tokens=100, ago=3600.0 * (5 - number))
    over_time = goal_spending(row.pk)["over_time"]
    drawn = chart(over_time, "tokens", 2_000_000)
    assert (drawn.total, drawn.limit_y) == (500, None)
    heights = [float(point.split(",")[1]) for point in drawn.line.split()]
    assert heights == sorted(heights, reverse=True)
    assert [used for _, _, used in drawn.points][-1] == 500
    near = chart(over_time, "tokens", 600)
    assert near.limit_y is not None
    assert near.limit_y < float(near.line.split()[-1].split(",")[1])
    assert page(root, row, "cost").count("<polyline") == 2


def test_nothing_spent_is_no_picture():
    assert chart({"first_at": None, "width_seconds": 0.0, "used": []}, "tokens", None) is None
