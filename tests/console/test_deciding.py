"""Steering, deciding and overruling by the console's forms."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from orchestration.models import ApprovalRequest, Decision, Directive, Goal, LedgerEntry, Proposal
from tests.api.people import api, goal, held, person
from tests.console.test_pages import ADMIN, console
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from verification.services import VerdictRow, verdicts_insert, verdicts_of

pytestmark = pytest.mark.django_db


def staff(name, role):
    return console(person(name, role, is_staff=True))


def do(client, row, verb, **fields):
    """A deed, with a second click where what follows depends on what was typed."""
    url = reverse("admin:agentsys_goal_deed", args=[row.pk, verb])
    response = client.post(url, fields)
    if seal := re.search(r'name="seal" value="(\w+)"', text(response)):
        response = client.post(url, {**fields, "seal": seal[1]})
    return response


def decide(client, row, **fields):
    return client.post(reverse("admin:agentsys_approval_decide", args=[row.pk]), fields)


def text(response):
    return response.content.decode()


def test_an_operator_steers_by_forms():
    row, client = goal(), staff("olga", "operator")
    do(client, row, "pause", reason="lunch")
    assert Goal.objects.get().paused_at
    do(client, row, "resume")
    do(client, row, "priority", priority="5")
    do(client, row, "direct", text="be quick")
    row.refresh_from_db()
    assert (row.paused_at, row.priority, Directive.objects.get().text) == (None, 5, "be quick")
    do(client, row, "cancel", reason="enough")
    row.refresh_from_db()
    assert row.state == "cancelled"
    assert LogEntry.objects.count() == 5


def test_who_may_not_steer_is_refused_at_the_door_and_sees_no_button():
    row, client = goal(), staff("vera", "viewer")
    assert do(client, row, "pause").status_code == 403
    assert Goal.objects.get().paused_at is None
    page = text(client.get(reverse(f"{ADMIN}goal_change", args=[row.pk])))
    assert "Pause" not in page


def test_a_form_without_its_token_is_refused():
    row, user = goal(), person("olga", "operator", is_staff=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert do(client, row, "pause").status_code == 403
    assert Goal.objects.get().paused_at is None


def test_what_a_form_lacks_is_said():
    row, client = goal(), staff("olga", "operator")
    response = do(client, row, "priority", priority="high")
    told = text(response).replace("&quot;", '"')
    assert 'riority: A valid integer is required: given "high", expected a whole number' in told


def test_an_approver_decides_and_it_is_on_record_and_read_only_after():
    row, client = held(goal()), staff("ada", "approver")
    url = reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])
    page = text(client.get(url))
    assert "<code>rm</code>" in page
    assert "Record the decision" in page
    decide(client, row, decision="reject", reason="too risky")
    row.refresh_from_db()
    assert row.state == "rejected"
    assert LedgerEntry.objects.get(event="approval.decided").actor == "ada"
    page = text(client.get(url))
    assert "too risky" in page
    assert "by ada" in page
    assert "Record the decision" not in page


def test_an_approval_by_form_approves():
    row = held(goal())
    decide(staff("ada", "approver"), row, decision="approve", reason="fine")
    assert Decision.objects.get().decision == "approve"
    assert ApprovalRequest.objects.get().state == "approved"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"decision": "reject", "reason": " "}, "reason"),
        ({"decision": "edit", "payload": "{no json"}, "payload"),
        ({"decision": "respond", "reason": ""}, "text"),
        ({}, "decision"),
    ],
)
def test_a_decision_that_cannot_stand_keeps_what_was_typed(fields, word):
    row = held(goal())
    response = decide(staff("ada", "approver"), row, **fields)
    assert response.status_code == 200
    assert word in text(response)
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ('{"why": "Send it", "argvv": ["touch", "x"]}', "argvv"),
        ('{"why": "it is old"}', "argv is empty"),
        ('["touch", "x"]', "an object"),
    ],
)
def test_an_edit_that_is_none_is_refused_and_keeps_what_was_typed(payload, word):
    response = decide(staff("ada", "approver"), held(goal()), decision="edit", payload=payload)
    assert word in text(response)
    assert "touch" not in payload or "touch" in text(response)
    assert not Decision.objects.exists()


def test_what_the_form_no_longer_holds_is_not_done():
    action = {"argv": ["rm", "-r", "build"], "why": "old", "network": True, "note": "mine"}
    row = held(goal(), payload=action)
    decide(staff("ada", "approver"), row, decision="edit", payload='{"argv": ["ls"]}')
    assert Proposal.objects.latest("pk").payload == {"argv": ["ls"]}


def test_only_what_the_request_takes_is_offered():
    row = held(goal(), allowed=["approve", "reject"])
    page = text(
        staff("ada", "approver").get(reverse(f"{ADMIN}approvalrequest_change", args=[row.pk]))
    )
    assert 'value="approve"' in page
    assert 'value="respond"' not in page


@pytest.mark.parametrize("role", ["viewer", "operator", "auditor"])
def test_who_may_not_decide_is_refused_at_the_door_and_sees_no_form(role):
    row, client = held(goal()), staff(role, role)
    assert decide(client, row, decision="approve").status_code == 403
    assert not Decision.objects.exists()
    page = text(client.get(reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])))
    assert "Record the decision" not in page


def test_another_projects_request_cannot_be_decided():
    row = held(goal())
    client = console(person("eve", "admin", where="beta", is_staff=True))
    assert decide(client, row, decision="approve").status_code == 302
    assert not Decision.objects.exists()


def failed_verdict(row):
    draft = VerdictDraft(
        verifier="safety", kind=Kind.SAFETY, outcome=VerdictOutcome.FAIL, veto=True,
        reasons=("a secret in \u202ereport.md",),
    )  # fmt: skip
    verdicts_insert(
        [
            VerdictRow(
                attempt_id=row.attempt_id, goal_id=row.goal_id, verifier="safety", voter="",
                kind=Kind.SAFETY, draft=draft, spec_hash="s", artifact_hash="a",
            )
        ]
    )  # fmt: skip


def overrule(client, row, **fields):
    return client.post(
        reverse("admin:agentsys_attempt_overrule", args=[row.attempt_id]),
        {"verifier": "safety", "voter": "", **fields},
    )


def test_a_veto_is_set_aside_by_a_person_with_a_reason_only():
    row = held(goal())
    Proposal.objects.filter(pk=row.proposal_id).update(state="withdrawn")  # it is judged again
    ada = person("ada", "approver", is_staff=True)
    ada.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    client = console(ada)
    failed_verdict(row)
    page = text(client.get(reverse(f"{ADMIN}attempt_change", args=[row.attempt_id])))
    assert "U+202E" in page
    assert "veto" in page
    overrule(client, row, outcome="pass", reason="")
    assert verdicts_of([row.attempt_id])[row.attempt_id][0].override is None
    overrule(client, row, outcome="pass", reason="a test key")
    (verdict,) = verdicts_of([row.attempt_id])[row.attempt_id]
    assert (verdict.override.by, verdict.override.reason) == ("ada", "a test key")
    assert overrule(staff("abe", "admin"), row, outcome="pass", reason="x").status_code == 403


def test_who_is_asked_about_a_plan_reads_what_would_run():
    plan = {
        "objective": "Tidy up",
        "tasks": [
            {
                "key": "old",
                "agent": "command",
                "objective": "Remove what is old",
                "inputs": {"argv": ["rm", "-r", "/srv/\u202eold"]},
                "limits": {"tokens_max": 900},
            },
            {"key": "look", "agent": "noop", "objective": "Look", "depends_on": ["old"]},
        ],
    }
    body = {"project": "alpha", "plan": plan, "review": True}
    api(person("olga", "operator")).post("/api/v1/goals", body, format="json")
    request = ApprovalRequest.objects.get(kind="plan")
    url = reverse(f"{ADMIN}approvalrequest_change", args=[request.pk])
    client = staff("amy", "admin")
    asked_about = text(client.get(url)).split("What would run")[1].split("Decision")[0]
    assert "Remove what is old" in asked_about and "needs old" in asked_about
    laid_out = re.sub(r"<pre.*?</pre>", "", asked_about, flags=re.DOTALL)
    for fact in (
        "<dt><code>inputs.argv</code></dt>",
        "&quot;rm&quot;",
        "U+202E",
        "<dt><code>limits.tokens_max</code></dt><dd>900",
    ):
        assert fact in laid_out
    assert "{" not in laid_out, "nothing has to be read as JSON"
    held_to = text(client.get(url)).split("held to")[1].split("What would run")[0]
    assert "<dt><code>objective</code></dt><dd>Tidy up</dd>" in held_to
    decide(client, request, decision="approve")
    decided = text(client.get(url))
    assert "What would run" not in decided  # the plan may be another by now
    assert "{&quot;" not in decided


def test_what_was_decided_on_is_not_said_to_be_yet_to_come():
    request = held(goal())
    url = reverse(f"{ADMIN}approvalrequest_change", args=[request.pk])
    client = staff("amy", "admin")
    assert "What would be done" in text(client.get(url))
    decide(client, request, decision="reject", reason="no")
    page = text(client.get(url))
    assert "What was proposed" in page and "What would be done" not in page
