"""Several at once: each is done or refused by itself, with a result."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from orchestration.models import ApprovalRequest, Decision, Goal, LedgerEntry
from tests.api.people import api, goal, held, person

pytestmark = pytest.mark.django_db


def post(client: Any, path: str, **body: Any) -> Any:
    return client.post(f"/api/v1/{path}", body, format="json")


def test_goals_are_paused_each_by_itself() -> None:
    olga = api(person("olga", "operator"))
    first, second = goal(), goal()
    over = goal(state="cancelled", finished_at=timezone.now())
    alien = goal("beta")
    told = post(
        olga, "goals/bulk", act="pause", goals=[first.pk, over.pk, alien.pk, 10**12, second.pk]
    )
    assert told.status_code == 200
    assert (told.json()["done"], told.json()["refused"]) == (2, 3)
    results = {row["id"]: row for row in told.json()["results"]}
    assert results[first.pk] == {"id": first.pk, "done": True, "state": "running", "problem": None}
    assert results[over.pk]["problem"]["status"] == 409
    assert results[alien.pk]["problem"]["code"] == "not-found"
    assert results[10**12]["problem"]["status"] == 404
    paused = Goal.objects.filter(paused_at__isnull=False).values_list("pk", flat=True)
    assert set(paused) == {first.pk, second.pk}
    told = post(olga, "goals/bulk", act="resume", goals=[first.pk, second.pk])
    assert told.json()["done"] == 2
    told = post(olga, "goals/bulk", act="cancel", goals=[first.pk], reason="enough")
    assert told.json()["results"][0]["state"] == "cancelled"
    assert "enough" in Goal.objects.get(pk=first.pk).reason


def test_requests_are_decided_each_by_itself() -> None:
    ada = api(person("ada", "approver"))
    rows = [held(goal()) for _ in range(3)]
    post(ada, f"approvals/{rows[1].pk}/decide", decision="reject", reason="no")
    told = post(
        ada, "approvals/bulk", decision="reject", reason="too risky",
        approvals=[row.pk for row in rows],
    )  # fmt: skip
    assert [row["done"] for row in told.json()["results"]] == [True, False, True]
    assert told.json()["results"][1]["problem"]["code"] == "already-decided"
    assert set(ApprovalRequest.objects.values_list("state", flat=True)) == {"rejected"}
    assert LedgerEntry.objects.filter(event="approval.decided", actor="ada").count() == 3


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("goals/bulk", {"act": "explode", "goals": [1]}, "explode"),
        ("goals/bulk", {"act": "pause", "goals": []}, "goals"),
        ("goals/bulk", {"act": "pause", "goals": list(range(1, 102))}, "goals"),
        ("goals/bulk", {"act": "pause", "goals": ["x"]}, "goals"),
        ("approvals/bulk", {"decision": "reject", "approvals": [1]}, "reason"),
        ("approvals/bulk", {"decision": "edit", "approvals": [1]}, "edit"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(path: str, body: Any, word: str) -> None:
    row = held(goal())
    both = person("boss", "admin")
    refused = post(api(both), path, **body)
    assert refused.status_code == 400
    assert word in refused.json()["detail"]
    assert not Decision.objects.exists()
    assert Goal.objects.get().paused_at is None
    assert ApprovalRequest.objects.get(pk=row.pk).state == "open"


def test_who_may_not_is_refused_for_each() -> None:
    row = held(goal())
    for path, body in (
        ("goals/bulk", {"act": "cancel", "goals": [row.goal_id]}),
        ("approvals/bulk", {"decision": "approve", "approvals": [row.pk]}),
    ):
        viewer = api(person(f"v{len(path)}", "viewer"))
        (result,) = post(viewer, path, **body).json()["results"]
        assert result["problem"]["status"] == 403
    assert Goal.objects.get().state == "running"
    assert not Decision.objects.exists()


def test_one_that_is_named_twice_is_done_once() -> None:
    pk = goal().pk
    told = post(api(person("olga", "operator")), "goals/bulk", act="pause", goals=[pk, pk])
    assert len(told.json()["results"]) == 1
