"""Plans, tasks and outputs are changed over HTTP; projects and everything are paused."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User

from agentsys.gateway import roles
from agentsys.gateway.models import Profile
from orchestration.api import bodies
from orchestration.api.expected import expected
from orchestration.models import Goal, LedgerEntry, Project, Standstill, Task
from tests.api.people import api, person

pytestmark = pytest.mark.django_db

PLAN = {
    "objective": "Say hello",
    "tasks": [
        {"key": "a", "agent": "noop", "objective": "one", "inputs": {"n": 1}},
        {"key": "b", "agent": "noop", "objective": "two", "depends_on": ["a"]},
    ],
}
MORE = {"objective": "Say hello", "tasks": [{"key": "c", "agent": "noop", "depends_on": ["a"]}]}


@pytest.fixture
def operator():
    return api(person("olga", "operator"))


@pytest.fixture
def goal(operator) -> Goal:
    body = {"project": "alpha", "plan": PLAN}
    return Goal.objects.get(pk=operator.post("/api/v1/goals", body, format="json").json()["id"])


def post(client, path, body=None, status=200):
    response = client.post(f"/api/v1/{path}", body or {}, format="json")
    assert response.status_code == status, response.content
    return response.json()


def test_a_plan_is_revised_from_the_version_in_force(operator, goal):
    tasks = [*PLAN["tasks"], *MORE["tasks"]]
    body = {"plan": {**PLAN, "tasks": tasks}, "base_version": 1}
    told = post(operator, f"goals/{goal.pk}/plan", body)
    assert (told["version"], told["new"], told["kept"]) == (2, ["c"], ["a", "b"])
    again = post(operator, f"goals/{goal.pk}/plan", body, status=409)
    assert again["code"] == "plan-moved"
    shown = operator.get(f"/api/v1/goals/{goal.pk}/plan").json()
    assert {task["key"] for task in shown["tasks"]} == {"a", "b", "c"}


def test_tasks_are_added_and_edited_with_a_preview(operator, goal):
    assert post(operator, f"goals/{goal.pk}/tasks", {"plan": MORE})["new"] == ["c"]
    task = Task.objects.get(goal=goal, key="a")
    body = {"changes": {"inputs": {"n": 2}}, "preview": True}
    shown = post(operator, f"tasks/{task.pk}/edit", body)
    assert shown["preview"]
    assert Task.objects.filter(goal=goal).count() == 3
    done = post(operator, f"tasks/{task.pk}/edit", {**body, "preview": False})
    assert done["again"] == shown["again"] == ["a", "b", "c"]
    post(operator, f"tasks/{task.pk}/edit", body, status=404)  # it is superseded
    assert len(operator.get(f"/api/v1/goals/{goal.pk}/tasks").json()["tasks"]) == 3


def test_an_output_is_overridden_by_those_who_may(operator, goal):
    task = Task.objects.get(goal=goal, key="a")
    body = {"output": {"n": 1}, "reason": "I know"}
    post(operator, f"tasks/{task.pk}/override", body, status=403)
    olga = User.objects.get(username="olga")
    olga.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    client = api(User.objects.get(pk=olga.pk))
    post(client, f"tasks/{task.pk}/override", body, status=409)  # it is ready: nothing to override


def test_a_task_a_project_and_everything_are_paused(operator, goal):
    task = Task.objects.get(goal=goal, key="b")
    assert post(operator, f"tasks/{task.pk}/pause", {"reason": "wait"})["goals"] == 1
    task.refresh_from_db()
    assert task.paused_at is not None
    assert post(operator, f"tasks/{task.pk}/resume")["goals"] == 1
    told = post(operator, "projects/alpha/pause")
    assert (told["goals"], told["in_flight"], told["tasks"]) == (1, 0, [])
    assert Project.objects.get(name="alpha").paused_at is not None
    assert post(operator, "projects/alpha/resume")["goals"] == 1
    post(operator, "pause", status=403)
    root = api(person("root", is_superuser=True))
    assert post(root, "pause", {"reason": "fire"})["goals"] == 1
    assert Standstill.objects.exists()
    assert post(root, "resume")["goals"] == 1


def test_who_asks_for_a_project_that_is_not_there_is_not_told_which_are(operator, goal):
    Project.objects.create(name="secret")
    root = api(person("root", is_superuser=True))
    for client in (operator, root):
        told = post(client, "projects/nosuch/pause", status=404)
        assert "secret" not in str(told)


@pytest.mark.parametrize(
    "path", ["goals/{goal}/plan", "goals/{goal}/tasks", "tasks/{task}/edit", "tasks/{task}/pause",
             "projects/alpha/pause"],
)  # fmt: skip
def test_a_viewer_may_change_nothing(goal, path):
    task = Task.objects.get(goal=goal, key="a")
    viewer, stranger = api(person("vera", "viewer")), api(person("otto"))
    url = path.format(goal=goal.pk, task=task.pk)
    post(viewer, url, status=403)
    post(stranger, url, status=404)


def test_budgets_are_read_and_set(operator, goal):
    path = f"/api/v1/goals/{goal.pk}/budget"
    assert operator.get(path).json()["limits"]["tokens"] == 2_000_000
    told = operator.patch(path, {"tokens": 5000, "cost_usd": None}, format="json").json()
    assert (told["limits"]["tokens"], told["limits"]["cost_usd"]) == (5000, None)
    task = Task.objects.get(goal=goal, key="a")
    of_task = operator.patch(f"/api/v1/tasks/{task.pk}/budget", {"calls": 2}, format="json")
    assert of_task.json()["limits"]["calls"] == 2
    of_project = "/api/v1/projects/alpha/budget"
    assert operator.patch(of_project, {"tokens": 9}, format="json").json()["limits"]["tokens"] == 9
    assert operator.patch(of_project, {"seconds": 9}, format="json").status_code == 422
    for wrong, status in (
        ({"tokens": -1}, 400),
        ({"tokens": "x"}, 400),
        ({"wishes": 1}, 400),
        ({}, 422),
    ):
        assert operator.patch(path, wrong, format="json").status_code == status
    assert operator.get("/api/v1/projects/nowhere/budget").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("goals/{}/priority", {"priority": "high"},
         '`priority`: A valid integer is required: given "high", expected a whole number'
         " from -100 to 100, such as 5"),
        ("goals/{}/priority", {"priority": 400}, "given 400, expected a whole number from -100"),
        ("goals/{}/priority", {}, "`priority`: This field is required: expected a whole number"),
        ("goals/{}/direct", {"text": ["a"]}, 'given ["a"], expected a text that is not empty'),
        ("goals", {"plan": 5}, 'given 5, expected an object, such as {"name": "value"}'),
        ("goals", {"objective": "x", "review": "perhaps"}, 'given "perhaps", expected true or false'),
        ("goals", {"objective": "x", "deadline_at": "soon"}, "a moment, such as"),
        ("goals", {"objective": "x", "project": "a b"}, 'given "a b", expected at most 80 letters'),
        ("goals/bulk", {"act": "pause", "goals": [1, "x"]},
         '`goals.1`: A valid integer is required: given "x", expected a whole number from 1'),
        ("goals/bulk", {"act": "sing", "goals": [1]}, 'given "sing", expected one of pause, resume'),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_what_is_expected(operator, goal, path, body, says):
    told = post(operator, path.format(goal.pk), body, status=400)
    assert says in told["detail"]
    assert says in "; ".join(told["problems"])


def test_a_number_that_is_none_is_shown_with_one_that_is(operator, goal):
    path = f"/api/v1/goals/{goal.pk}/budget"
    told = operator.patch(path, {"cost_usd": "abc"}, format="json").json()["detail"]
    assert told == (
        '`cost_usd`: A valid number is required: given "abc", expected a number from 0, such as 2.5'
    )
    long = operator.patch(path, {"cost_usd": "9" * 5000 + "x"}, format="json").json()["detail"]
    assert len(long) < 200


def test_every_field_of_every_request_says_what_it_expects():
    kinds = [kind for kind in vars(bodies).values() if isinstance(kind, type)]
    fields = [
        (kind.__name__, name, field)
        for kind in kinds
        if issubclass(kind, bodies.Body)
        for name, field in kind().fields.items()
    ]
    assert len(fields) > 40
    for kind, name, field in fields:
        told = expected(field)
        assert "None" not in told, (kind, name)
        assert told != "JSON" or name == "payload", (kind, name)


def test_the_budget_of_a_goal_that_is_over_is_read_and_not_set(operator, goal):
    post(operator, f"goals/{goal.pk}/cancel")
    path, length = f"/api/v1/goals/{goal.pk}/budget", goal.ledger.count()
    refused = operator.patch(path, {"tokens": 5000}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal-move")
    assert "is cancelled, where `budget` is not allowed; allowed: fork" in refused.json()["detail"]
    assert operator.get(path).json()["limits"]["tokens"] == 2_000_000
    assert goal.ledger.count() == length


def test_a_viewer_reads_a_budget_and_does_not_set_it(goal):
    viewer = api(person("vera", "viewer"))
    path = f"/api/v1/goals/{goal.pk}/budget"
    assert viewer.get(path).status_code == 200
    assert viewer.patch(path, {"tokens": 1}, format="json").status_code == 403
    stranger = api(User.objects.create_user("stan"))
    assert stranger.get(path).status_code == 404


def test_a_goal_is_submitted_with_a_budget(operator):
    body = {"project": "alpha", "plan": PLAN, "budget": {"tokens": 77}}
    made = operator.post("/api/v1/goals", body, format="json").json()
    assert Goal.objects.get(pk=made["id"]).budget.tokens_max == 77
    wrong = {**body, "budget": {"wishes": 1}}
    assert operator.post("/api/v1/goals", wrong, format="json").status_code == 422


@pytest.fixture
def model():
    """A model that is known here."""
    Profile.objects.create(role="planner", model="openai:x")
    roles.forget()
    yield "openai:x"
    roles.forget()


def test_how_many_tasks_run_at_once_and_which_model_is_asked_are_set(operator, goal, model):
    pk, client = goal.pk, operator
    for verb, body in (("concurrency", {"running_max": 2}), ("model", {"model": model})):
        told = client.post(f"/api/v1/goals/{pk}/{verb}", body, format="json")
        assert told.status_code == 200
        (name,) = body
        assert told.json()[name] == body[name]
        assert LedgerEntry.objects.get(goal=pk, event=f"goal.{verb}_set").actor == "olga"
    for verb, body, status in (
        ("concurrency", {"running_max": 0}, 400),
        ("model", {"model": "nobody:x"}, 422),
    ):
        refused = client.post(f"/api/v1/goals/{pk}/{verb}", body, format="json")
        assert refused.status_code == status
    assert Goal.objects.values_list("running_max", "model").get(pk=pk) == (2, model)
