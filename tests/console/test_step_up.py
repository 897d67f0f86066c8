"""What cannot be undone is decided by who has given their password lately."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from orchestration.models import ApprovalRequest, Budget, Decision, Project
from orchestration.services.stepup import GIVEN_AT, budget_is_risky, decision_is_risky
from tests import factories as make
from tests.api.people import goal, held, person
from tests.console.test_inbox import asked
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db

ADMIN = "admin:agentsys_orchestration_"
FIELD = 'type="password"'


@pytest.fixture
def ada() -> User:
    return person("ada", "approver", is_staff=True, pk=uuid4().int >> 100)


@pytest.fixture
def client(ada: User) -> Client:
    """Signed in an hour ago. Its tries are counted under an id of its own: Redis outlives a test."""
    return aged(console(ada))


def aged(client: Any, seconds: float = 3600) -> Any:
    session = client.session
    session[GIVEN_AT] = time.time() - seconds
    session.save()
    return client


def page(client: Client, row: ApprovalRequest) -> str:
    return client.get(reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])).content.decode()


def decide(client: Client, row: ApprovalRequest, decision: str = "approve", **fields: str) -> str:
    url = reverse("admin:agentsys_approval_decide", args=[row.pk])
    return client.post(url, {"decision": decision, "reason": "why", **fields}).content.decode()


def state(row: ApprovalRequest) -> str:
    return ApprovalRequest.objects.values_list("state", flat=True).get(pk=row.pk)


def test_a_yes_that_cannot_be_undone_needs_the_password_and_what_was_typed_stays(client):
    row = held(goal())
    assert FIELD in page(client, row)
    said = decide(client, row)
    assert "needs your password once more" in said
    assert FIELD in said
    assert ">why</textarea>" in said
    assert state(row) == "open"
    said = decide(client, row, password="wrong")
    assert "that is not your password" in said
    assert 'value="wrong"' not in said
    assert not Decision.objects.exists()
    decide(client, row, password="pass")
    assert state(row) == "approved"


def test_it_counts_for_a_while_and_for_this_session_only(ada, client):
    other = aged(console(ada))
    before = client.session.session_key
    decide(client, held(goal()), password="pass")
    assert client.session.session_key != before
    row = held(goal())
    assert FIELD not in page(client, row)
    assert FIELD in page(other, row)
    decide(other, row)
    assert state(row) == "open"
    decide(client, row)
    assert state(row) == "approved"


def test_who_has_just_signed_in_is_not_asked(ada):
    client, row = Client(), held(goal())
    client.post(reverse("admin:login"), {"username": "ada", "password": "pass"})
    assert FIELD not in page(client, row)
    decide(client, row)
    assert state(row) == "approved"


def test_to_stop_something_needs_no_password(client):
    row = held(goal())
    decide(client, row, "reject")
    assert state(row) == "rejected"


def test_what_is_merely_written_needs_none(client):
    row = asked("may it?", risk="write")
    assert FIELD not in page(client, row)
    decide(client, row)
    assert state(row) == "approved"


@pytest.mark.parametrize(
    ("fields", "decision", "risky"),
    [
        ({"kind": "proposal", "risk": "irreversible"}, "approve", True),
        ({"kind": "proposal", "risk": "irreversible"}, "edit", True),
        ({"kind": "proposal", "risk": "irreversible"}, "reject", False),
        ({"kind": "proposal", "risk": "write"}, "approve", False),
        ({"kind": "question", "risk": "read"}, "respond", False),
        ({"kind": "verdict", "risk": "write"}, "approve", True),
        ({"kind": "budget", "risk": "write"}, "edit", True),
        ({"kind": "budget", "risk": "write"}, "reject", False),
        ({"kind": "effect", "risk": "write"}, "reject", True),
    ],
)
def test_which_decisions_are_risky(fields, decision, risky):
    assert decision_is_risky(ApprovalRequest(**fields), decision) is risky


def test_a_change_of_a_setting_is_risky():
    payload = {"setting": "policy.unproven", "old": None, "new": "ask", "why": ""}
    row = held(goal(), payload=payload, proposed={"kind": "configuration"}, risk="write")
    assert decision_is_risky(row, "approve")
    assert not decision_is_risky(row, "respond")


def test_guessing_is_stopped_and_a_right_one_sets_the_count_back(client):
    row = held(goal())
    for _ in range(4):
        assert "not your password" in decide(client, row, password="no")
    decide(client, row, password="pass")
    assert state(row) == "approved"
    aged(client)
    row = held(goal())
    for _ in range(5):
        assert "not your password" in decide(client, row, password="no")
    assert "5 passwords were tried" in decide(client, row, password="pass")
    assert state(row) == "open"


def test_several_at_once_ask_once(client):
    rows = [asked("counts?", kind="verdict", risk="write"), asked("fine?", risk="write")]
    ids = [row.pk for row in rows]
    url = reverse("admin:agentsys_approval_several")
    assert FIELD in client.post(url, {"pick": ids}).content.decode()
    sent = {"pick": ids, "decision": "approve", "reason": "yes"}
    said = client.post(url, sent).content.decode()
    assert "needs your password once more" in said
    assert "yes</textarea>" in said
    assert not Decision.objects.exists()
    assert "not your password" in client.post(url, {**sent, "password": "no"}).content.decode()
    assert not Decision.objects.exists()
    client.post(url, {**sent, "password": "pass"})
    assert Decision.objects.count() == 2
    aged(client)
    harmless = asked("and this?", risk="write")
    assert FIELD not in client.post(url, {"pick": [harmless.pk]}).content.decode()


# --- Deeds and verdicts --------------------------------------------------------------------------


def test_a_budget_above_what_policy_gives_is_risky():
    row = make.goal(project=make.project("alpha"))
    assert not budget_is_risky(row, {"tokens": 2_000_000, "seconds": None})
    assert budget_is_risky(row, {"tokens": 2_000_001})
    assert budget_is_risky(row, {"cost_usd": None})
    Project.objects.filter(pk=row.project_id).update(policy={"budget": {"tokens": 5, "calls": 9}})
    row.project.refresh_from_db()
    assert budget_is_risky(row, {"tokens": 6})
    assert budget_is_risky(row, {"calls": 10})
    assert not budget_is_risky(row, {"tokens": 5, "calls": 9, "cost_usd": 20})


def test_more_than_policy_gives_is_shown_first_and_needs_the_password():
    client = aged(console(person("olga", "operator", is_staff=True, pk=uuid4().int >> 100)))
    row = goal()
    url = reverse("admin:agentsys_goal_deed", args=[row.pk, "budget"])
    fields = {"tokens": "9000000", "cost_usd": "20"}
    text = client.post(url, fields).content.decode()
    assert FIELD in text
    fields["seal"] = re.search(r'name="seal" value="(\w+)"', text)[1]
    text = client.post(url, fields).content.decode()
    assert "needs your password once more" in text
    assert f'value="{fields["seal"]}"' in text
    assert Budget.objects.get(goal=row).tokens_max == 2_000_000
    assert client.post(url, {**fields, "password": "pass"}).status_code == 302
    assert Budget.objects.get(goal=row).tokens_max == 9_000_000
    less = client.post(url, {"tokens": "10", "cost_usd": "20"}).content.decode()
    assert FIELD not in less


def test_to_overrule_a_verifier_needs_the_password(ada):
    ada.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    client = aged(console(User.objects.get(pk=ada.pk)))
    attempt = held(goal()).attempt
    url = reverse("admin:agentsys_attempt_overrule", args=[attempt.pk])
    said = client.post(url, {"verifier": "schema", "outcome": "pass", "reason": "x"}, follow=True)
    assert "needs your password once more" in said.content.decode()


# --- The page of its own, and the API ------------------------------------------------------------


def test_the_page_leads_back_but_to_this_console_only(client):
    url = reverse("console-password")
    inbox = reverse(f"{ADMIN}approvalrequest_changelist")
    assert FIELD in client.get(url, {"next": inbox}).content.decode()
    assert "not your password" in client.post(url, {"password": "no"}).content.decode()
    assert client.post(url, {"password": "pass", "next": inbox})["Location"] == inbox
    aged(client)
    evil = client.post(url, {"password": "pass", "next": "https://evil.example/"})
    assert evil["Location"] == reverse("admin:index")
    assert Client().get(url).status_code == 302


def test_a_browsers_session_at_the_api_meets_the_same_rule_and_a_token_does_not(ada, client):
    row = held(goal())
    path = f"/api/v1/approvals/{row.pk}/decide"
    body = {"decision": "approve"}
    told = client.post(path, body, content_type="application/json")
    assert (told.status_code, told.json()["code"]) == (403, "password-needed")
    assert reverse("console-password") in told.json()["detail"]
    assert state(row) == "open"
    client.post(reverse("console-password"), {"password": "pass"})
    assert client.post(path, body, content_type="application/json").status_code == 200
    other, bearer = held(goal()), APIClient()
    bearer.force_authenticate(ada, token=object())
    assert bearer.post(f"/api/v1/approvals/{other.pk}/decide", body, "json").status_code == 200


@pytest.fixture
def root() -> User:
    return person("root", is_superuser=True, is_staff=True)


@pytest.mark.parametrize(
    ("what", "method", "body"),
    [
        ("goals/{goal}/budget", "patch", {"tokens": 10**9}),
        ("projects/alpha/budget", "patch", {"tokens": 5}),
        ("tasks/{task}/override", "post", {"output": {"n": 1}, "reason": "x", "rerun": False}),
        (
            "attempts/{attempt}/overrule",
            "post",
            {"verifier": "schema", "outcome": "pass", "reason": "x"},
        ),
    ],
)
def test_whatever_is_risky_at_the_api_asks_a_browsers_session(root, what, method, body):
    row = held(goal())
    path = what.format(goal=row.goal_id, task=row.task_id, attempt=row.attempt_id)
    client = aged(console(root))
    told = getattr(client, method)(f"/api/v1/{path}", body, content_type="application/json")
    assert (told.status_code, told.json()["code"]) == (403, "password-needed"), told.json()


def test_of_several_at_the_api_each_that_is_risky_asks(root):
    row = held(goal())
    client = aged(console(root))
    body = {"approvals": [row.pk], "decision": "approve", "reason": ""}
    told = client.post("/api/v1/approvals/bulk", body, content_type="application/json").json()
    assert (told["done"], told["refused"]) == (0, 1)
    assert told["results"][0]["problem"]["code"] == "password-needed"
    assert state(row) == "open"


def test_a_goal_may_be_given_what_its_project_allows_without_the_password(root):
    row = goal()
    client = aged(console(root))
    path = f"/api/v1/goals/{row.pk}/budget"
    told = client.patch(path, {"tokens": 5}, content_type="application/json")
    assert told.status_code == 200, told.json()


def test_a_task_may_not_be_given_more_than_its_project_allows_without_it(root):
    client = aged(console(root))
    path = f"/api/v1/tasks/{held(goal()).task_id}/budget"
    told = client.patch(path, {"tokens": 10**9}, content_type="application/json")
    assert (told.status_code, told.json()["code"]) == (403, "password-needed")
