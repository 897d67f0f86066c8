"""The inbox: what it shows and to whom, how it is narrowed, and whose it is to decide."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from agentsys import exports
from orchestration.models import ApprovalRequest, Decision, Proposal
from orchestration.services.approvals import approval_decide, decider_refusal
from orchestration.services.deciders import decidable_by
from tests.api.people import goal, held, person
from tests.console.test_pages import ADMIN, console
from workers.models import DriftScore, Effect

pytestmark = pytest.mark.django_db

INBOX = f"{ADMIN}approvalrequest_changelist"


def staff(name: str, role: str, **more: Any) -> Any:
    return console(person(name, role, is_staff=True, **more))


def shown(client: Any, **query: str) -> str:
    response = client.get(reverse(INBOX), query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def asked(question: str = "May it go?", where: str = "alpha", **fields: Any) -> ApprovalRequest:
    """An open request of write risk, about an action."""
    row = held(goal(where), question=question, **{"risk": "write", **fields})
    Proposal.objects.filter(pk=row.proposal_id).update(risk=row.risk)
    return row


# --- The list ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"first", "second", "third"}),
        ({"kind": "budget"}, {"second"}),
        ({"risk": "irreversible"}, {"third"}),
        ({"age": "1d"}, {"second"}),
        ({"due": "overdue"}, {"third"}),
        ({"q": "sec"}, {"second"}),
        ({"project": "beta"}, {"third"}),
        ({"is": "decided"}, {"fourth"}),
        ({"is": "all"}, {"first", "second", "third", "fourth"}),
    ],
)
def test_each_filter_narrows_what_is_shown(query, found):
    now = timezone.now()
    asked("the first")
    second = asked("the second", kind="budget")
    ApprovalRequest.objects.filter(pk=second.pk).update(created_at=now - timedelta(days=2))
    asked("the third", "beta", risk="irreversible", due_at=now - timedelta(minutes=1))
    asked("the fourth", state="rejected", decided_at=now)
    page = shown(console(person("root", is_staff=True, is_superuser=True)), **query)
    assert {
        word for word in ("first", "second", "third", "fourth") if f"the {word}" in page
    } == found


def test_a_goals_requests_are_shown_by_its_number_however_it_is_given():
    one, other = asked("the first"), asked("the second")
    client = staff("ada", "approver")
    for query in ({"goal": str(one.goal_id)}, {"goal__id__exact": str(one.goal_id)}):
        page = shown(client, **query)
        assert "the first" in page
        assert "the second" not in page
    assert other.goal_id != one.goal_id


def test_a_filter_that_there_is_not_is_said_and_not_used():
    asked("the first")
    page = shown(staff("ada", "approver"), kind="gossip", goal="x", p="-3")
    assert "`kind=gossip` is none of" in page
    assert "`goal=x`: expected a goal&#x27;s number" in page
    assert "the first" in page


def test_age_and_lateness_are_said_in_words_not_by_colour_alone():
    row = asked(due_at=timezone.now() - timedelta(minutes=1))
    old = timezone.now() - timedelta(days=3)
    ApprovalRequest.objects.filter(pk=row.pk).update(created_at=old)
    page = shown(staff("ada", "approver"))
    assert "waits long, 3" in page
    assert "overdue" in page


def test_an_empty_inbox_teaches_and_a_narrowed_one_says_so():
    goal()
    client = staff("ada", "approver")
    assert "Nothing needs you" in shown(client)
    assert "Nothing in the inbox is like this" in shown(client, kind="plan")


def test_a_stranger_sees_nothing_of_another_projects_requests_however_it_is_asked():
    row = asked("canary question")
    eve = staff("eve", "admin", where="beta")
    for query in (
        {},
        {"goal": str(row.goal_id)},
        {"project": "alpha"},
        {"q": "canary"},
        {"is": "all"},
    ):
        page = shown(eve, **query)
        assert "canary question" not in page
        assert str(row) not in page
    for form in exports.FORMS:
        response = eve.get(reverse(INBOX), {"export": form})
        assert b"canary" not in b"".join(response.streaming_content)


def test_it_costs_the_same_however_many_requests_there_are():
    client = staff("ada", "approver")
    counts = []
    for _ in range(2):
        asked()
        client.get(reverse(INBOX))
        with CaptureQueriesContext(connection) as seen:
            client.get(reverse(INBOX))
        counts.append(len(seen))
        for number in range(60):
            asked(f"question {number}", quorum=2)
    assert counts[0] == counts[1] <= 50


def test_more_than_a_page_is_paged_and_counted():
    for number in range(53):
        asked(f"question-{number}!")
    client = staff("ada", "approver")
    assert "53 in all" in shown(client)
    assert "question-52!" not in shown(client)
    assert "question-52!" in shown(client, p="2")


def test_who_may_only_look_is_offered_no_choice():
    asked()
    assert 'name="pick"' not in shown(staff("vera", "viewer"))
    assert 'name="pick"' in shown(staff("ada", "approver"))


# --- Whose it is to decide -----------------------------------------------------------------------


def test_what_is_mine_to_decide_is_what_the_service_would_let_me():
    """The list's rule and the service's are two: here they agree, for people of every kind."""
    rows = [
        asked(),
        asked(roles=["admin"]),
        asked(roles=["admin"], escalated_at=timezone.now()),
        asked(roles=["legal"]),
        asked(four_eyes=True, requested_by="ada"),
        asked(four_eyes=True, requested_by="amy"),
        asked(where="beta"),
        asked(quorum=2),
    ]
    configuration = {"kind": "configuration"}
    setting = asked(
        roles=["admin"],
        proposed=configuration,
        payload={"setting": "policy.x", "old": None, "new": 1},
    )
    verification = asked(
        roles=["superuser", "admin"],
        proposed=configuration,
        payload={"setting": "verification", "old": {}, "new": {}},
    )
    lia = person("lia", "approver", is_staff=True)
    lia.groups.add(Group.objects.create(name="legal"))
    people = [
        person("ada", "approver"), person("amy", "admin"), person("vera", "viewer"),
        person("olga", "operator"), lia, person("root", is_superuser=True), person("nobody"),
    ]  # fmt: skip
    approval_decide(rows[-1].pk, user=people[0], decision="approve")
    for user in people:
        mine = set(ApprovalRequest.objects.filter(decidable_by(user)).values_list("pk", flat=True))
        assert mine == _allowed(user, [*rows, setting, verification]), user


def _allowed(user: Any, rows: list[ApprovalRequest]) -> set[int]:
    found = set()
    for row in rows:
        fresh = ApprovalRequest.objects.select_related("proposal", "goal").get(pk=row.pk)
        decided = Decision.objects.filter(request=row, user=user).exists()
        if not decided and not decider_refusal(fresh, user):
            found.add(row.pk)
    return found


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"roles": ["legal"]}, "it takes one of legal"),
        ({"four_eyes": True, "requested_by": "ada"}, "a second pair of eyes"),
    ],
)
def test_who_may_not_decide_this_one_is_told_why_and_sees_no_form(fields, why):
    row = asked(**fields)
    url = reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])
    page = staff("ada", "approver").get(url).content.decode()
    assert why in page
    assert "Record the decision" not in page


# --- Consequences --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "effect", "allowed": ["approve", "reject"]}, "Yes, it happened"),
        ({"kind": "budget", "task": None, "attempt": None}, "the goal is cancelled"),
        ({"kind": "question", "context": {"exhausted": True}}, "it fails with your reason"),
        ({"kind": "verdict"}, "The output counts"),
    ],
)
def test_a_request_says_what_each_answer_leads_to(fields, said):
    row = asked(**fields)
    url = reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])
    assert said in staff("ada", "approver").get(url).content.decode()


# --- Also seen, and files ------------------------------------------------------------------------


def test_doubts_and_drift_are_shown_to_who_may_see_them():
    row = held(goal(objective="Tidy"))
    attempt = row.attempt
    assert attempt is not None
    Effect.objects.create(
        key="canary-effect", kind="canary.send", attempt_id=attempt.pk, fence=1, request={},
        request_hash="x", state="doubtful", settled_at=timezone.now(),
    )  # fmt: skip
    DriftScore.objects.create(
        lineage=attempt.lineage, step=9, attempt_id=attempt.pk, score=0.9, limit=0.6,
        outcome="drifted", coverage=0, off_scope=0, repeated=0, far=0, idle=0, distance=0,
    )  # fmt: skip
    page = shown(staff("ada", "approver"))
    assert "“canary.send”" in page
    assert "at step 9 its drift was 0.90, of 0.60 allowed" in page
    stranger = shown(staff("eve", "admin", where="beta"))
    assert "canary" not in stranger
    assert "drift was" not in stranger


def test_a_doubt_that_is_asked_about_is_not_shown_twice():
    row = held(goal(), kind="effect")
    Effect.objects.create(
        key=f"proposal-{row.proposal_id}", kind="send", attempt_id=row.attempt_id or 0, fence=1,
        request={}, request_hash="x", state="doubtful", settled_at=timezone.now(),
    )  # fmt: skip
    assert "nobody knows whether" not in shown(staff("ada", "approver"))


def test_the_inbox_is_saved_as_files_and_no_cell_is_a_formula(monkeypatch):
    monkeypatch.setattr(exports, "PAGE", 2)
    for text in ("=cmd|' /C calc'!A0", "+1", "@x", "plain"):
        asked(text)
    client = staff("ada", "approver")
    lines = _file(client, "jsonl").splitlines()
    assert [json.loads(line)["question"] for line in lines] == [
        "plain",
        "@x",
        "+1",
        "=cmd|' /C calc'!A0",
    ]
    rows = list(csv.DictReader(io.StringIO(_file(client, "csv"))))
    assert [row["question"] for row in rows] == ["plain", "'@x", "'+1", "'=cmd|' /C calc'!A0"]
    assert rows[0]["project"] == "alpha"


def test_a_file_that_was_cut_says_so():
    from django.test import RequestFactory

    rows = [asked(f"q{n}") for n in range(3)]
    export = exports.Export("x", ("id",), ApprovalRequest.objects.all(), lambda r: {"id": r.pk}, 2)
    response = exports.streamed(RequestFactory().get("/"), export, "jsonl")
    assert response["X-Agentsys-Cut"] == "2"
    lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
    assert [line.get("id") for line in lines] == [rows[2].pk, rows[1].pk, None]
    assert "cut after 2 rows" in lines[-1]["cut"]


def _file(client: Any, form: str) -> str:
    response = client.get(reverse(INBOX), {"export": form})
    assert "attachment" in response["Content-Disposition"]
    return b"".join(response.streaming_content).decode()


# --- Going through them --------------------------------------------------------------------------


def test_a_request_leads_to_those_before_and_after_that_one_may_decide():
    first, other, middle, last = asked(), asked(roles=["legal"]), asked(), asked()
    asked("canary", where="beta")
    client = staff("ada", "approver")
    url = reverse(f"{ADMIN}approvalrequest_change", args=[middle.pk])
    page = client.get(url).content.decode()
    assert f"‹ {first}</a>" in page
    assert f"{last} ›</a>" in page
    assert f"‹ {other}</a>" not in page
    response = client.post(
        reverse("admin:agentsys_approval_decide", args=[last.pk]),
        {"decision": "reject", "reason": "no"},
        follow=True,
    )
    assert f">{middle}</a>" in response.content.decode()
    assert "Next that you may decide" in response.content.decode()


def test_an_open_inbox_hears_of_ones_own_projects_only():
    asked()
    newest = asked()
    asked(where="beta")
    live = reverse("admin:agentsys_inbox_live")
    assert staff("ada", "viewer").get(live).json() == {"open": 2, "newest": newest.pk}
    assert console(person("newt", is_staff=True)).get(live).json() == {"open": 0, "newest": 0}


def test_the_numbers_of_a_budget_are_at_hand_and_in_nobodys_way():
    facts = {"kind": "seconds", "most": 8, "used": 9, "reserved": 0, "asked": 0}
    row = asked(kind="budget", proposal=None, context=facts)
    url = reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])
    shown = staff("ada", "approver").get(url).content.decode()
    assert "<details><summary>Context</summary>" in shown
    assert ">Context</h2>" not in shown
