"""Decisions over HTTP: allowed, bound, final, and in the ledger with who made them."""

from __future__ import annotations

import pytest

from orchestration.models import ApprovalRequest, Decision, LedgerEntry
from tests.api.people import api, goal, held, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return api(person("ada", "approver"))


def decide(client, row, **body):
    return client.post(f"/api/v1/approvals/{row.pk}/decide", body, format="json")


def test_a_rejection_is_recorded_with_its_reason(ada):
    row = held(goal())
    assert decide(ada, row, decision="reject", reason="too risky").status_code == 200
    row.refresh_from_db()
    assert row.state == "rejected"
    assert row.task.state == "failed"
    entry = LedgerEntry.objects.get(event="approval.decided")
    assert (entry.actor, entry.payload["reason"]) == ("ada", "too risky")


def test_an_approval_approves_the_proposal(ada):
    row = held(goal())
    assert decide(ada, row, decision="approve").status_code == 200
    row.proposal.refresh_from_db()
    assert row.proposal.state in ("approved", "applied", "stale")
    assert Decision.objects.get().action_hash == row.proposal.payload_hash


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"decision": "reject"}, "reason"),
        ({"decision": "maybe"}, "maybe"),
        ({"decision": "approve", "silently": True}, "silently"),
        ({}, "decision"),
    ],
)
def test_a_decision_that_cannot_stand_changes_nothing(ada, body, word):
    row = held(goal())
    response = decide(ada, row, **body)
    assert response.status_code == 400
    assert word in response.json()["detail"]
    assert not Decision.objects.exists()
    assert ApprovalRequest.objects.get().state == "open"


def test_a_decision_that_the_request_does_not_take_is_refused(ada):
    row = held(goal(), allowed=["approve", "reject"])
    response = decide(ada, row, decision="respond", reason="hm")
    assert response.status_code == 422
    assert "approve, reject" in response.json()["detail"]


def test_a_second_decision_comes_too_late(ada):
    row = held(goal())
    decide(ada, row, decision="reject", reason="no")
    response = decide(ada, row, decision="approve")
    assert response.status_code == 409
    assert response.json()["code"] == "already-decided"


def test_the_inbox_lists_what_is_open(ada):
    row = held(goal())
    assert [r["id"] for r in ada.get("/api/v1/approvals").json()["approvals"]] == [row.pk]
    decide(ada, row, decision="reject", reason="no")
    assert ada.get("/api/v1/approvals").json()["approvals"] == []
    assert len(ada.get("/api/v1/approvals?state=all").json()["approvals"]) == 1
