"""Several requests decided at once: each by itself, with a result each."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestration.models import ApprovalRequest, Decision, LedgerEntry, Task
from orchestration.services.approvals import approval_decide
from tests import factories as given
from tests.api.people import goal, held, person
from tests.console.test_inbox import asked, staff
from tests.console.test_pages import ADMIN, console

pytestmark = pytest.mark.django_db

SEVERAL = "admin:agentsys_approval_several"


def several(client: Any, *rows: ApprovalRequest | int, **fields: str) -> str:
    ids = [row if isinstance(row, int) else row.pk for row in rows]
    response = client.post(reverse(SEVERAL), {"pick": ids, **fields})
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_several_are_shown_once_more_before_anything_is_decided():
    rows = [asked("one"), asked("two")]
    page = several(staff("ada", "approver"), *rows)
    assert "Record 2 decisions" in page
    assert "<code>rm</code>" in page
    assert not Decision.objects.exists()


def test_who_says_whether_an_output_counts_reads_it_and_what_it_was_made_from():
    task = given.task(
        given.goal(),
        "odd",
        state="held",
        with_attempt=False,
        definition={"inputs": {"words": "of the plan"}},
    )
    given.attempt(task, state="reported", report={"outcome": "done", "output": {"a": "<b>42</b>"}})
    row = given.approval(task, kind="verdict")
    client = console(person("ada", "admin", is_staff=True, is_superuser=True))
    one = client.get(reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])).content.decode()
    for page in (one, several(client, row)):
        assert "What was handed in" in page
        assert "&lt;b&gt;42&lt;/b&gt;" in page
        assert "of the plan" in page


def test_an_output_that_is_long_is_cut_and_says_so():
    row = held(goal(), output={"answer": "x" * 9000}, kind="verdict", proposal=None)
    page = several(staff("ada", "approver"), row)
    assert re.search(r"10\d\d characters more; the attempt", page)


def test_each_of_several_has_its_own_result():
    open_one, closed = asked(), asked(state="rejected", decided_at=timezone.now())
    risky, narrow = asked(risk="irreversible"), asked(allowed=["reject"])
    foreign, two, mine = asked("canary", where="beta"), asked(quorum=2), asked(quorum=2)
    ada = person("ada", "approver", is_staff=True)
    approval_decide(mine.pk, user=ada, decision="approve")
    rows = (open_one, closed, risky, narrow, foreign, two, mine)
    page = several(console(ada), *rows, 999_999, decision="approve")
    assert "1 decided, 1 recorded and waiting for others, 6 left as they are" in page
    for said in (
        "it is approved",
        f"{closed} is rejected; nothing was changed",
        "irreversible: it is approved by itself, on its own page",
        "`approve` is not possible here; use one of reject",
        "there is no such request here, or it is not yours to see",
        "recorded: 1 of 2 agree, 1 more must",
        "decided by ada already",
    ):
        assert said in page, said
    assert "canary" not in page
    states = dict(ApprovalRequest.objects.values_list("pk", "state"))
    assert states[open_one.pk] == "approved"
    assert {states[row.pk] for row in (risky, narrow, foreign, two, mine)} == {"open"}
    decided = LedgerEntry.objects.filter(event="approval.decided", actor="ada")
    assert {entry.payload["approval"] for entry in decided} == {open_one.pk, two.pk, mine.pk}


def test_a_quorum_is_reached_by_another_person_in_bulk():
    row = asked(quorum=2)
    approval_decide(row.pk, user=person("abe", "admin"), decision="approve")
    assert "it is approved" in several(staff("ada", "approver"), row, decision="approve")


def test_irreversible_ones_may_be_rejected_together():
    rows = [asked(risk="irreversible"), asked(risk="irreversible")]
    page = several(staff("ada", "approver"), *rows, decision="reject", reason="not today")
    assert "2 decided" in page
    assert {row.reason for row in Decision.objects.all()} == {"not today"}
    tasks = Task.objects.filter(pk__in=[row.task_id for row in rows])
    assert {task.state for task in tasks} == {"failed"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"decision": "reject", "reason": " "}, "A rejection needs a reason"),
        ({"decision": "edit"}, "Choose one of approve, reject, respond"),
        ({"decision": "approve", "reason": "x" * 2001}, "at most 2000 are kept"),
        ({"decide": "1"}, "Choose one of"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_decided(fields, said):
    row = asked()
    page = several(staff("ada", "approver"), row, **fields)
    assert said in page
    assert "Nothing was decided" in page
    assert not Decision.objects.exists()


def test_nothing_chosen_is_said():
    client = staff("ada", "approver")
    assert "No request was chosen" in several(client, decision="approve")
    assert "No request was chosen" in several(client)


@pytest.mark.parametrize("role", ["viewer", "operator", "auditor"])
def test_who_may_not_decide_decides_nothing_in_bulk(role):
    row = asked()
    page = several(staff(role, role), row, decision="approve")
    assert "deciding needs the role approver or admin in alpha" in page
    assert not Decision.objects.exists()


def test_deciding_several_needs_a_post_and_its_token():
    row, user = asked(), person("ada", "approver", is_staff=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    fields = {"pick": [row.pk], "decision": "approve"}
    assert client.post(reverse(SEVERAL), fields).status_code == 403
    assert client.get(reverse(SEVERAL), fields).status_code == 405
    assert not Decision.objects.exists()
