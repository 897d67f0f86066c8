"""What is set up in the console: checked before it is kept, with a history that says what was and is."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from agentsys.gateway.models import Profile
from memory import services as memory
from memory.models import Playbook
from orchestration.models import Budget, Project, Subscription
from orchestration.services.pausing import project_pause
from orchestration.services.stepup import GIVEN_AT
from tests.api.people import goal, person, project
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db

ADMIN = "admin:agentsys_orchestration_"
POLICY = {
    "name": "alpha", "paused_at_0": "", "paused_at_1": "", "reflection": "", "prompt_reflection": "",
    "foreign_actions": "", "playbooks": "", "budget_tokens": "", "budget_cost_usd": "",
    "budget_calls": "", "memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0",
}  # fmt: skip


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


def kept(client, row, **fields):
    name = row._meta.model_name
    url = reverse(f"admin:{row._meta.app_label}_{name}_change", args=[row.pk])
    return client.post(url, fields)


def text(response: Any) -> str:
    return response.content.decode()


def history(client, row):
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_history", args=[row.pk])
    return text(client.get(url))


# --- A project's policy --------------------------------------------------------------------------


def test_a_policy_is_chosen_field_by_field_and_what_else_it_holds_stays(root):
    row = project()
    Project.objects.filter(pk=row.pk).update(policy={"mine": 1, "reflection": True})
    amy = console(person("amy", "admin", is_staff=True))
    chosen = {**POLICY, "reflection": "false", "playbooks": "verified", "budget_tokens": "500"}
    response = kept(amy, row, **chosen)
    assert response.status_code == 302, text(response)
    row.refresh_from_db()
    assert row.policy == {
        "mine": 1, "reflection": False, "playbooks": "verified", "budget": {"tokens": 500},
    }  # fmt: skip
    page = text(amy.get(reverse(f"{ADMIN}project_change", args=[row.pk])))
    assert '<option value="verified" selected>' in page
    assert '<option value="false" selected>' in page
    kept(amy, row, **POLICY)
    row.refresh_from_db()
    assert row.policy == {"mine": 1}


def test_a_form_begun_before_somebody_else_changed_the_project_takes_nothing_back(root):
    """Least of all a pause: a tab that stood open must not let everything go on."""
    row = project()
    page = root.get(reverse(f"{ADMIN}project_change", args=[row.pk]))
    begun = {**POLICY, "seen": page.context["adminform"].form.initial["seen"]}
    assert f'name="seen" value="{begun["seen"]}"' in text(page)
    amy = console(person("amy", "admin", is_staff=True))
    assert kept(amy, row, **{**begun, "budget_tokens": "500"}).status_code == 302
    project_pause("alpha", actor="amy", reason="stop")
    refused = kept(root, row, **{**begun, "reflection": "false"})
    assert "begin anew" in text(refused)
    row.refresh_from_db()
    assert (row.policy, row.paused_actor) == ({"budget": {"tokens": 500}}, "amy")
    assert "seen" not in history(root, row)


def test_what_cannot_be_is_said_at_its_field_and_nothing_is_kept(root):
    row = project()
    Budget.objects.create(project=row)
    for wrong in ({"playbooks": "all"}, {"budget_tokens": "-1"}, {"budget_tokens": "5"}):
        response = kept(root, row, **{**POLICY, **wrong})
        assert response.status_code == 200, wrong
    assert "budget is open already" in text(response)
    row.refresh_from_db()
    assert row.policy == {}


def test_a_policys_history_says_what_was_and_what_is(root):
    row = project()
    kept(root, row, **{**POLICY, "playbooks": "off"})
    kept(root, row, **{**POLICY, "playbooks": "verified"})
    assert "Playbooks: off → verified" in history(root, row)


# --- Budgets -------------------------------------------------------------------------------------


def test_limits_are_moved_by_who_gave_the_password_lately():
    amy = console(person("amy", "admin", is_staff=True))
    budget = Budget.objects.get(goal=goal())
    session = amy.session
    session[GIVEN_AT] = time.time() - 3600
    session.save()
    response = kept(amy, budget, tokens_max="77", cost_usd_max="1")
    assert reverse("console-password") in response["Location"]
    budget.refresh_from_db()
    assert budget.tokens_max == 2_000_000
    amy.post(reverse("console-password"), {"password": "pass"})
    assert kept(amy, budget, tokens_max="77", cost_usd_max="1").status_code == 302
    budget.refresh_from_db()
    assert budget.tokens_max == 77
    assert "2000000 → 77" in history(amy, budget)


def test_a_limit_that_cannot_be_is_said_and_not_kept(root):
    budget = Budget.objects.get(goal=goal())
    response = kept(root, budget, tokens_max="5", cost_usd_max="-3")
    assert response.status_code == 200
    assert "expected a number from 0" in text(response)
    budget.refresh_from_db()
    assert budget.tokens_max == 2_000_000


# --- Models, subscriptions, playbooks ------------------------------------------------------------


def test_a_model_profiles_history_says_which_model_it_was(root):
    row = Profile.objects.create(role="planner", model="ollama:small")
    fields = {"role": "planner", "fallbacks": "", "enabled": "on", "note": ""}
    assert kept(root, row, **fields, model="nonsense").status_code == 200
    assert kept(root, row, **fields, model="ollama:large").status_code == 302
    assert "ollama:small → ollama:large" in history(root, row)


def test_a_secret_is_not_repeated_in_the_history(root):
    row = Subscription.objects.create(
        project=project(),
        name="hook",
        target="https://x.example",
        events=["*"],
        secret="canary-old",
    )
    fields = {
        "project": row.project_id,
        "name": "hook",
        "target": row.target,
        "events": '["goal.*"]',
    }
    assert kept(root, row, **fields, secret="canary-new-and-long", enabled="on").status_code == 302
    told = " ".join(LogEntry.objects.values_list("change_message", flat=True))
    assert "Secret" in told
    assert "canary" not in told
    row.refresh_from_db()
    assert row.secret == "canary-new-and-long"


def test_a_playbook_is_used_or_not_and_its_page_says_where_files_are(root):
    memory.playbook_save("tidy", {"name": "tidy", "tasks": []})
    row = Playbook.objects.get()
    listed = text(root.get(reverse("admin:agentsys_memory_playbook_changelist")))
    assert str(settings.AGENTSYS.playbooks) in listed
    assert "agentsys plans playbooks" in listed
    assert kept(root, row, state="nonsense").status_code == 200
    assert kept(root, row, state="retired").status_code == 302
    row.refresh_from_db()
    assert (row.state, row.definition) == ("retired", {"name": "tidy", "tasks": []})
    assert "active → retired" in history(root, row)


@pytest.mark.parametrize("model", ["schedule", "project"])
def test_what_a_row_is_told_by_itself_is_not_there_before_it_is(root, model: str):
    page = text(root.get(reverse(f"{ADMIN}{model}_add")))
    assert "DatabaseDefault" not in page and "Created at" not in page


def test_what_cannot_be_a_row_is_a_bad_request_when_it_is_picked(root):
    url = reverse(f"{ADMIN}goal_changelist")
    for picked in ("abc", "9" * 5000, "\x00"):
        answer = root.post(url, {"action": "pause_them", "_selected_action": picked, "index": "0"})
        assert answer.status_code == 400
