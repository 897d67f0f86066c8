"""A goal handed in by the console's form: who may, what it takes, and what is said when it is refused."""

from __future__ import annotations

import json
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from orchestration.models import Goal
from orchestration.services.stepup import GIVEN_AT
from tests.api.people import person, project
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db
ADD = reverse("admin:agentsys_orchestration_goal_add")
LIST = reverse("admin:agentsys_orchestration_goal_changelist")
HOME = reverse("admin:index")
PLAN = json.dumps({"objective": "Say hello", "tasks": [{"key": "hello", "agent": "noop"}]})


def operator():
    project("alpha")
    return console(person("olga", "operator", is_staff=True))


def sent(client, **fields):
    return client.post(ADD, {"project": "alpha", "key": "k1", **fields}, follow=True)


def test_the_form_is_one_click_from_home_and_from_the_list():
    client = operator()
    for page in (HOME, LIST):
        assert f'href="{ADD}"' in client.get(page).content.decode()
    text = client.get(ADD).content.decode()
    assert "ops-checks (" in text
    assert re.search(r'<option value="alpha"', text)


@pytest.mark.parametrize(
    ("fields", "objective"),
    [
        ({"plan": PLAN}, "Say hello"),
        ({"plan": PLAN, "objective": "Greet"}, "Greet"),
        ({"playbook": "ops-checks", "params": "min_free_mb=50\n"}, None),
    ],
)
def test_a_goal_is_handed_in_and_its_page_shown(fields, objective):
    answer = sent(operator(), **fields)
    goal = Goal.objects.get()
    assert answer.redirect_chain[-1][0].endswith(f"/goal/{goal.pk}/change/")
    assert (goal.project.name, goal.created_by) == ("alpha", "olga")
    assert objective is None or goal.objective == objective


def test_it_takes_limits_with_their_units_a_deadline_in_the_readers_zone_and_a_priority():
    client, summer = operator(), f"{timezone.now().year + 2}-07-01"
    client.post(reverse("console-reading"), {"time_zone": "Europe/Berlin", "language": ""})
    text = client.get(ADD).content.decode()
    for label in ("Limit of tokens", "Limit of US dollars", "Priority", "Deadline", "Branch"):
        assert label in text
    assert "Empty: 2,000,000 tokens." in text
    given = {"tokens": "500000", "cost_usd": "2.50", "deadline": f"{summer}T18:00"}
    sent(client, plan=PLAN, priority="7", **given)
    goal = Goal.objects.get()
    assert (goal.priority, goal.budget.tokens_max, float(goal.budget.cost_usd_max)) == (
        7,
        500_000,
        2.5,
    )
    assert f"{goal.deadline_at:%Y-%m-%d %H:%M}" == f"{summer} 16:00"
    assert goal.budget.attempts_max is None


def test_what_is_left_empty_is_as_it_is_for_a_goal_that_a_command_hands_in():
    sent(operator(), plan=PLAN, priority="", tokens="", deadline="")
    goal = Goal.objects.get()
    assert (goal.priority, goal.deadline_at, goal.budget.tokens_max) == (0, None, 2_000_000)


def test_the_same_form_sent_twice_is_one_goal():
    client = operator()
    sent(client, plan=PLAN)
    sent(client, plan=PLAN)
    assert Goal.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Say what you want, choose a playbook, or give a plan."),
        ({"plan": "{"}, "This is not JSON"),
        ({"plan": '{"objective": "x", "tasks": [{"key": "a"}]}'}, "agent"),
        ({"plan": "3"}, "plan"),
        ({"plan": PLAN, "playbook": "ops-checks"}, "not both"),
        ({"playbook": "ops-checks", "params": "fifty"}, "`fifty` is not of the form NAME=VALUE"),
        ({"playbook": "ops-checks", "params": "colour=red"}, "colour"),
        ({"plan": PLAN, "repository": "/no/such/place"}, "/no/such/place"),
        ({"plan": PLAN, "tokens": "-5"}, "tokens"),
        ({"plan": PLAN, "calls": "1.5"}, "calls"),
        ({"plan": PLAN, "cost_usd": "much"}, "cost_usd"),
        ({"plan": PLAN, "priority": "101"}, "100"),
        ({"plan": PLAN, "deadline": "soon"}, "`soon` is no moment; expected"),
        ({"plan": PLAN, "deadline": "2020-01-01T00:00"}, "is over; name a moment to come"),
        (
            {"plan": PLAN, "branch": "main"},
            "`main` is a branch of a repository; name that one, too",
        ),
        ({"plan": PLAN, "project": "beta"}, "Choose one of your projects"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_written(fields, said):
    project("beta")
    answer = sent(operator(), **fields)
    text = answer.content.decode()
    alerts = re.findall(r'role="alert">(.*?)</(?:p|strong)>', text, re.DOTALL)
    assert any(said in alert for alert in alerts), alerts
    assert not Goal.objects.exists()


def test_limits_above_what_goals_begin_with_ask_for_the_password():
    """As they do on a goal that is there: a session that was left open must not spend without end."""
    client = operator()
    session = client.session
    session.pop(GIVEN_AT, None)
    session.save()
    more = {"plan": PLAN, "tokens": "900000000"}
    assert "needs your password once more" in sent(client, **more).content.decode()
    for limits in ({"tokens": 900_000_000}, {"tokens_max": 900_000_000}, {"usd": 9_000}):
        body = {"objective": "x", "project": "alpha", "budget": limits}
        answer = client.post("/api/v1/goals", body, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "password-needed")
    assert not Goal.objects.exists()
    sent(client, plan=PLAN, tokens="5")
    assert Goal.objects.count() == 1


def test_who_may_only_look_has_no_form():
    project("alpha")
    client = console(person("vera", "viewer", is_staff=True))
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, {"project": "alpha", "plan": PLAN}).status_code == 403
    for page in (HOME, LIST):
        assert f'href="{ADD}"' not in client.get(page).content.decode()
