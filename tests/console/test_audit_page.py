"""The audit: for auditors and administrators of a project, over a stretch of time, with files."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from agentsys import exports
from orchestration.models import LedgerEntry
from orchestration.services.approvals import approval_decide
from tests.api.people import entries, goal, held, person
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db


def staff(name: str, role: str, **more: Any) -> Any:
    return console(person(name, role, is_staff=True, **more))


def page(client: Any, **query: str) -> str:
    response = client.get(reverse("console-audit"), query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def saved(client: Any, form: str, **query: str) -> str:
    response = client.get(reverse("console-audit"), {**query, "export": form})
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def lines(client: Any, **query: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in saved(client, "jsonl", **query).splitlines()]


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", False),
        ("operator", False),
        ("approver", False),
        ("auditor", True),
        ("admin", True),
    ],
)
def test_it_is_for_auditors_and_administrators(role, may):
    goal()
    client = staff(role, role)
    for query in ({}, {"export": "csv"}):
        response = client.get(reverse("console-audit"), query)
        assert response.status_code == (200 if may else 403)


def test_only_projects_that_one_audits_are_in_it():
    held(goal(objective="canary"), question="canary question")
    mine = goal("beta")
    user = person("eve", "auditor", where="beta", is_staff=True)
    from orchestration.models import Membership, Project

    Membership.objects.create(project=Project.objects.get(name="alpha"), user=user, role="viewer")
    eve = console(user)
    for query in ({}, {"project": "alpha"}, {"what": "decisions"}, {"event": "goal.*"}):
        assert "canary" not in page(eve, **query)
        assert {line["goal"] for line in lines(eve, **query)} <= {mine.pk}
    assert {line["goal"] for line in lines(eve)} == {mine.pk}


def test_the_ledger_is_narrowed_by_time_actor_event_and_goal():
    one, other = goal(), goal()
    held_row = held(one)
    approval_decide(held_row.pk, user=person("ada", "approver"), decision="reject", reason="no")
    client = staff("aud", "auditor")
    everything = lines(client)
    assert {line["goal"] for line in everything} == {one.pk, other.pk}
    assert {line["goal"] for line in lines(client, goal=f"goal-{other.pk}")} == {other.pk}
    assert {line["actor"] for line in lines(client, actor="ada")} == {"ada"}
    assert {line["event"] for line in lines(client, event="approval.*")} == {"approval.decided"}
    assert {line["event"] for line in lines(client, event="goal.prioritised")} == {
        "goal.prioritised"
    }
    tomorrow = f"{timezone.now() + timedelta(days=1):%Y-%m-%d}"
    yesterday = f"{timezone.now() - timedelta(days=1):%Y-%m-%dT%H:%M}"
    assert (
        lines(client, since=tomorrow, until=f"{timezone.now() + timedelta(days=3):%Y-%m-%d}") == []
    )
    assert len(lines(client, since=yesterday, until=tomorrow)) == len(everything)
    assert "ledgers" not in everything[0]


def test_decisions_are_on_record_with_who_and_why():
    row = held(goal(), question="May it go?")
    approval_decide(row.pk, user=person("ada", "approver"), decision="reject", reason="=too risky")
    client = staff("aud", "auditor")
    text = page(client, what="decisions")
    assert "May it go?" in text
    assert "=too risky" in text
    (line,) = lines(client, what="decisions")
    assert (line["person"], line["decision"], line["approval"]) == ("ada", "reject", row.pk)
    (cell,) = csv.DictReader(io.StringIO(saved(client, "csv", what="decisions")))
    assert cell["reason"] == "'=too risky"
    assert lines(client, what="decisions", event="approve") == []
    assert lines(client, what="decisions", actor="abe") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"since": "soon"}, "`since=soon`: expected 2026-01-31"),
        ({"since": "2026-02-31"}, "`since=2026-02-31`: expected"),
        ({"until": "9999-12-31"}, "`until=9999-12-31`: expected"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "`until` is not after `since`"),
        ({"goal": "seven"}, "expected a goal&#x27;s number"),
    ],
)
def test_what_cannot_be_read_is_said_and_no_file_is_made_of_it(query, said):
    goal()
    client = staff("aud", "auditor")
    assert said in page(client, **query)
    response = client.get(reverse("console-audit"), {**query, "export": "csv"})
    assert response["Content-Type"].startswith("text/html")


def test_more_than_a_page_is_reached_by_going_on():
    row = goal()
    entries(row, 150)
    client = staff("aud", "auditor")
    first = page(client)
    assert first.count("goal.prioritised</td>") == 100
    before = LedgerEntry.objects.order_by("-pk")[99].pk
    assert f"before={before}" in first
    assert page(client, before=str(before)).count("goal.prioritised</td>") == 53


def test_a_file_holds_all_pages_in_order_and_is_read_in_parts(monkeypatch):
    monkeypatch.setattr(exports, "PAGE", 7)
    row = goal()
    entries(row, 40)
    found = lines(staff("aud", "auditor"))
    assert [line["seq"] for line in found] == list(range(43, 0, -1))
    assert found[0]["hash"] == LedgerEntry.objects.get(seq=43).hash


def test_hostile_text_is_inert_here_too():
    row = held(goal(objective="<script>alert(1)</script>"), question="<script>alert(1)</script>")
    approval_decide(
        row.pk,
        user=person("ada", "approver"),
        decision="reject",
        reason="<script>alert(1)</script>\u202e",
    )
    client = staff("aud", "auditor")
    for query in ({}, {"what": "decisions"}, {"actor": '"><script>alert(1)</script>'}):
        text = page(client, **query)
        assert "<script>alert" not in text
        assert "\u202e" not in text


def test_it_costs_the_same_however_much_happened():
    client = staff("aud", "auditor")
    counts = []
    for _ in range(2):
        row = held(goal())
        approval_decide(
            row.pk, user=person(f"p{row.pk}", "approver"), decision="reject", reason="x"
        )
        for what in ("ledger", "decisions"):
            page(client, what=what)
            with CaptureQueriesContext(connection) as seen:
                page(client, what=what)
            counts.append(len(seen))
        for _ in range(30):
            goal()
    assert counts[:2] == counts[2:]
    assert max(counts) <= 50
