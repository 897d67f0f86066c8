"""Who reaches what: every route, by nobody, a stranger and each role."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from memory import services as memory
from orchestration.models import Attempt
from tests.api.people import api, goal, held, person

pytestmark = pytest.mark.django_db

READS = (
    "/api/v1/goals/{goal}",
    "/api/v1/goals/{goal}/tasks",
    "/api/v1/goals/{goal}/ledger",
    "/api/v1/goals/{goal}/plan",
    "/api/v1/tasks/{task}",
    "/api/v1/attempts/{attempt}",
    "/api/v1/proposals/{proposal}",
    "/api/v1/approvals/{approval}",
    "/api/v1/memory/{memory}",
    "/api/v1/memory/{memory}/history",
    "/api/v1/events?goal={goal}",
)
STEERS = (
    ("/api/v1/goals/{goal}/pause", {}),
    ("/api/v1/goals/{goal}/resume", {}),
    ("/api/v1/goals/{goal}/cancel", {}),
    ("/api/v1/goals/{goal}/retry", {}),
    ("/api/v1/goals/{goal}/priority", {"priority": 3}),
    ("/api/v1/goals/{goal}/direct", {"text": "be quick"}),
    ("/api/v1/goals/{goal}/fork", {}),
    ("/api/v1/memory/{memory}/pin", {}),
    ("/api/v1/memory/{memory}/unpin", {}),
    ("/api/v1/memory/{memory}/supersede", {"text": "The port is 9000"}),
)
FORGETS = (("/api/v1/memory/{memory}/forget", {"reason": "wrong"}),)  # takes both rights
DECIDES = (
    ("/api/v1/approvals/{approval}/decide", {"decision": "reject", "reason": "no"}),
    *FORGETS,
)
OVERRULES = (
    (
        "/api/v1/attempts/{attempt}/overrule",
        {"verifier": "schema", "outcome": "pass", "reason": "it is fine"},
    ),
)
WRITES = STEERS + DECIDES + OVERRULES
ROUTES = [(path, None) for path in READS] + list(WRITES)


@pytest.fixture
def ids():
    row = goal()
    request = held(row)
    return {
        "goal": row.pk,
        "task": request.task_id,
        "attempt": request.attempt_id,
        "proposal": request.proposal_id,
        "approval": request.pk,
        "memory": memory.remember(row.project.namespace, "semantic", "Tidy up the port: 8443"),
    }


def called(client, path, body, ids):
    url = path.format(**ids)
    return client.get(url) if body is None else client.post(url, body, format="json")


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_nobody_is_asked_to_sign_in(ids, path, body):
    response = called(api(None), path, body, ids)
    assert response.status_code == 401
    assert response.json()["code"] == "not-authenticated"


def test_a_path_that_is_none_is_refused_in_the_apis_own_form():
    response = api(None).post("/api/v1/goals/1/nothing")
    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not-found"
    assert "<html" in api(None).get("/nothing").content.decode()


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_what_belongs_to_another_project_does_not_exist(ids, path, body):
    response = called(api(person("eve", "admin", where="beta")), path, body, ids)
    assert response.status_code == 404
    assert response["Content-Type"].startswith("application/problem+json")
    assert "Tidy up" not in response.content.decode()


@pytest.mark.parametrize(("path", "body"), WRITES)
def test_a_viewer_and_an_auditor_change_nothing(ids, path, body):
    for role in ("viewer", "auditor"):
        response = called(api(person(role, role)), path, body, ids)
        assert response.status_code == 403, role
        assert response.json()["code"] == "not-allowed"


@pytest.mark.parametrize("path", READS[:-1])
def test_every_member_may_look(ids, path):
    for role in ("viewer", "auditor", "operator", "approver", "admin"):
        assert called(api(person(role, role)), path, None, ids).status_code == 200, role


@pytest.mark.parametrize(("path", "body"), STEERS + FORGETS)
def test_an_approver_does_not_steer(ids, path, body):
    assert called(api(person("ada", "approver")), path, body, ids).status_code == 403


@pytest.mark.parametrize(("path", "body"), DECIDES + OVERRULES)
def test_an_operator_does_not_decide(ids, path, body):
    assert called(api(person("olga", "operator")), path, body, ids).status_code == 403


def test_a_permission_widens_what_a_member_may_do_but_opens_no_other_project(ids):
    right = Permission.objects.get(codename="control_goal")
    inside, outside = person("vera", "viewer"), person("zoe", "viewer", where="beta")
    for user in (inside, outside):
        user.user_permissions.add(right)
    path, body = STEERS[0]
    assert called(api(inside), path, body, ids).status_code == 200
    assert called(api(outside), path, body, ids).status_code == 404


def test_lists_hold_only_what_is_the_callers(ids):
    goal("beta", objective="Secret of beta")
    for url in ("/api/v1/goals", "/api/v1/approvals"):
        mine = api(person(f"m{len(url)}", "viewer")).get(url).content.decode()
        assert "Secret" not in mine
    theirs = api(person("bob", "viewer", where="beta"))
    assert [g["objective"] for g in theirs.get("/api/v1/goals").json()["goals"]] == [
        "Secret of beta"
    ]
    assert theirs.get("/api/v1/approvals").json()["approvals"] == []
    assert theirs.get("/api/v1/goals?project=alpha").status_code == 404


def test_somebody_who_was_locked_out_may_do_nothing(ids):
    user = person("gone", "admin", is_active=False)
    assert called(api(user), READS[0], None, ids).status_code in (401, 403, 404)
    assert Attempt.objects.count() == 1
