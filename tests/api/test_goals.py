"""Goals over HTTP: submitted once per key, listed in pages, steered, refused with reasons."""

from __future__ import annotations

import pytest

from orchestration.models import Directive, Goal
from tests.api.people import api, goal, person, project

pytestmark = pytest.mark.django_db

PLAN = {
    "objective": "Say hello",
    "tasks": [{"key": "hello", "agent": "noop", "objective": "Say it", "inputs": {}}],
}


@pytest.fixture
def operator():
    return api(person("olga", "operator"))


def submit(client, body, **headers):
    return client.post("/api/v1/goals", {"project": "alpha", **body}, format="json", **headers)


def test_a_plan_that_is_submitted_runs(operator):
    response = submit(operator, {"plan": PLAN})
    assert response.status_code == 201, response.content
    row = Goal.objects.get()
    assert response["Location"].endswith(f"/api/v1/goals/{row.pk}")
    assert response.json()["id"] == row.pk
    assert (row.state, row.created_by, row.objective) == ("running", "olga", "Say hello")


def test_the_same_key_gives_the_same_goal(operator):
    first, second = (
        submit(operator, {"plan": PLAN}, HTTP_IDEMPOTENCY_KEY="k1").json() for _ in range(2)
    )
    other = submit(operator, {"plan": PLAN}, HTTP_IDEMPOTENCY_KEY="k2").json()
    assert first["id"] == second["id"] != other["id"]
    assert Goal.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({}, 400, "objective"),
        ({"objective": "x", "surprise": 1}, 400, "surprise"),
        ({"plan": PLAN, "playbook": "repo-care"}, 400, "not both"),
        ({"objective": "x", "priority": 10_000}, 400, "priority"),
        ({"objective": "x", "params": []}, 400, "params"),
        ({"plan": {"objective": "x", "tasks": [{"key": "a", "agent": "nobody"}]}}, 422, "nobody"),
        ({"objective": "x", "playbook": "no-such-playbook"}, 422, "no-such-playbook"),
    ],
)
def test_what_cannot_be_used_is_named_and_leaves_nothing(operator, body, status, word):
    response = submit(operator, body)
    problem = response.json()
    assert response.status_code in (status, 404), problem
    assert response["Content-Type"].startswith("application/problem+json")
    assert word in str(problem)
    assert {"code", "detail", "status", "title"} <= set(problem)
    assert not Goal.objects.exists()


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(operator, body):
    response = operator.generic("POST", "/api/v1/goals", body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["code"]


def test_a_project_that_is_not_yours_does_not_exist(operator):
    project("beta")
    response = operator.post("/api/v1/goals", {"project": "beta", "plan": PLAN}, format="json")
    assert response.status_code == 404
    assert not Goal.objects.exists()


def test_pages_go_backwards_by_id(operator):
    made = [goal().pk for _ in range(3)]
    first = operator.get("/api/v1/goals?limit=2").json()["goals"]
    assert [g["id"] for g in first] == [made[2], made[1]]
    rest = operator.get(f"/api/v1/goals?before={first[-1]['id']}").json()["goals"]
    assert [g["id"] for g in rest] == [made[0]]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "before=-1", "state=odd", "limit=9999"])
def test_a_wrong_parameter_is_named(operator, query):
    response = operator.get(f"/api/v1/goals?{query}")
    assert response.status_code == 400
    assert query.split("=", maxsplit=1)[0] in response.json()["detail"]


def test_a_goal_is_paused_directed_and_resumed(operator):
    row = goal()
    base = f"/api/v1/goals/{row.pk}"
    assert operator.post(f"{base}/pause", {"reason": "lunch"}, format="json").status_code == 200
    row.refresh_from_db()
    assert row.paused_at is not None
    assert operator.post(f"{base}/direct", {"text": "be quick"}, format="json").status_code == 200
    assert operator.post(f"{base}/priority", {"priority": 7}, format="json").status_code == 200
    assert operator.post(f"{base}/resume", {}, format="json").status_code == 200
    row.refresh_from_db()
    assert (row.paused_at, row.priority) == (None, 7)
    assert Directive.objects.get().author == "olga"
    events = operator.get(f"{base}/ledger").json()["entries"]
    assert [e["event"] for e in events if e["actor"] == "olga"] == [
        "goal.paused", "goal.directed", "goal.prioritised", "goal.resumed",
    ]  # fmt: skip


def test_what_the_state_does_not_allow_is_a_conflict(operator):
    row = goal()
    base = f"/api/v1/goals/{row.pk}"
    assert operator.post(f"{base}/cancel", {"reason": "enough"}, format="json").status_code == 200
    for verb in ("pause", "cancel", "retry"):
        response = operator.post(f"{base}/{verb}", {}, format="json")
        assert response.status_code == 409, verb
        assert response.json()["code"] == "illegal-move"


def test_a_plan_is_checked_and_nothing_written(operator):
    good = operator.post("/api/v1/plans/validate", {"plan": PLAN}, format="json").json()
    assert good == {"valid": True, "tasks": 1, "problems": []}
    bad = {"objective": "x", "tasks": [{**PLAN["tasks"][0], "depends_on": ["hello"]}]}
    report = operator.post("/api/v1/plans/validate", {"plan": bad}, format="json").json()
    assert report["valid"] is False
    assert "hello" in report["problems"][0]
    assert not Goal.objects.exists()


def test_memory_is_searched_in_the_callers_projects_only(operator):
    assert operator.get("/api/v1/memory/search").status_code == 400
    assert operator.get("/api/v1/memory/search?q=ruff").json() == {"hits": []}
    alpha = project("alpha").namespace
    assert list(operator.get("/api/v1/memory/stats").json()["namespaces"]) == [alpha]
