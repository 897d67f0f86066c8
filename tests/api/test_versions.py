"""ETags: they move when what a person decides on does, and a change of what has moved is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from orchestration.models import Attempt, Decision, Goal, LedgerEntry, Task
from orchestration.services import goals
from tests.api.people import api, goal, held, person


@pytest.fixture
def operator() -> Any:
    return api(person("olga", "operator"))


def tag(client: Any, path: str) -> str:
    return str(client.get(f"/api/v1/{path}")["ETag"])


def post(client: Any, path: str, body: Any = None, *, seen: str) -> Any:
    return client.post(f"/api/v1/{path}", body or {}, format="json", HTTP_IF_MATCH=seen)


@pytest.mark.django_db
def test_a_goal_that_is_as_it_was_seen_is_changed_and_has_a_new_tag(operator: Any) -> None:
    pk = goal().pk
    seen = tag(operator, f"goals/{pk}")
    done = post(operator, f"goals/{pk}/pause", seen=seen)
    assert done.status_code == 200
    assert done["ETag"] == tag(operator, f"goals/{pk}") != seen


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("pause", {}),
        ("cancel", {}),
        ("priority", {"priority": 9}),
        ("concurrency", {"running_max": 2}),
        ("model", {"model": ""}),
        ("direct", {"text": "x"}),
        ("fork", {}),
        ("tasks", {"plan": {"objective": "x", "tasks": [{"key": "z", "agent": "noop"}]}}),
    ],
)
def test_a_goal_that_has_moved_is_not_changed(operator: Any, path: str, body: Any) -> None:
    pk = goal().pk
    seen = tag(operator, f"goals/{pk}")
    goals.goal_prioritise(pk, 5, actor="somebody else")
    entries = LedgerEntry.objects.count()
    refused = post(operator, f"goals/{pk}/{path}", body, seen=seen)
    assert (refused.status_code, refused.json()["code"]) == (412, "moved-on")
    assert tag(operator, f"goals/{pk}") in refused.json()["detail"]
    assert LedgerEntry.objects.count() == entries
    assert Goal.objects.count() == 1


@pytest.mark.django_db
def test_work_that_goes_on_moves_no_tag_of_its_goal(operator: Any) -> None:
    row = goal()
    seen = tag(operator, f"goals/{row.pk}")
    held(row)  # a task has run, and something waits
    assert tag(operator, f"goals/{row.pk}") == seen


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [{"tokens": 5}, {"seconds": 9}])
def test_a_limit_is_part_of_what_was_seen(operator: Any, limit: Any) -> None:
    pk = goal().pk
    seen = tag(operator, f"goals/{pk}")
    for expected in (200, 412):
        told = operator.patch(
            f"/api/v1/goals/{pk}/budget", limit, format="json", HTTP_IF_MATCH=seen
        )
        assert told.status_code == expected


@pytest.mark.django_db
def test_any_of_several_tags_will_do_and_a_star_is_any(operator: Any) -> None:
    pk = goal().pk
    seen = tag(operator, f"goals/{pk}")
    assert post(operator, f"goals/{pk}/pause", seen=f'"x", {seen}').status_code == 200
    assert post(operator, f"goals/{pk}/resume", seen="*").status_code == 200
    assert post(operator, f"goals/{pk}/pause", seen="nonsense").status_code == 412
    weak = f"W/{tag(operator, f'goals/{pk}')}"
    assert post(operator, f"goals/{pk}/pause", seen=weak).status_code == 412


@pytest.mark.django_db
def test_a_tasks_tag_moves_with_its_fence(operator: Any) -> None:
    row = held(goal()).task
    assert row is not None
    seen = tag(operator, f"tasks/{row.pk}")
    Task.objects.filter(pk=row.pk).update(fence=9)
    assert post(operator, f"tasks/{row.pk}/pause", seen=seen).status_code == 412
    assert Task.objects.get(pk=row.pk).paused_at is None
    now = tag(operator, f"tasks/{row.pk}")
    assert post(operator, f"tasks/{row.pk}/pause", seen=now).status_code == 200


@pytest.mark.django_db
def test_a_request_that_somebody_has_decided_meanwhile_is_not_what_was_seen() -> None:
    row = held(goal(), quorum=2)
    ada, bob = api(person("ada", "approver")), api(person("bob", "approver"))
    seen = tag(ada, f"approvals/{row.pk}")
    first = post(bob, f"approvals/{row.pk}/decide", {"decision": "approve"}, seen=seen)
    assert first.status_code == 200
    refused = post(ada, f"approvals/{row.pk}/decide", {"decision": "approve"}, seen=seen)
    assert refused.status_code == 412
    assert Decision.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_that_have_seen_the_same_one_is_refused() -> None:
    """Both at once: the goal's lock is taken before the look."""
    pk = goal().pk
    clients = [api(person(name, "operator")) for name in ("olga", "otto")]
    seen = tag(clients[0], f"goals/{pk}")
    start, told = threading.Barrier(2), []

    def prioritise(client: Any, priority: int) -> None:
        start.wait(30)
        try:
            answer = post(client, f"goals/{pk}/priority", {"priority": priority}, seen=seen)
            told.append(answer.status_code)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=prioritise, args=(client, number))
        for number, client in enumerate(clients, start=1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(told) == [200, 412]
    assert LedgerEntry.objects.filter(goal=pk, actor__in=("olga", "otto")).count() == 1
    assert not Attempt.objects.exists()
