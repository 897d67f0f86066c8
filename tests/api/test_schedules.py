"""Schedules over the API: made once, changed as they were seen, paused, resumed, run and forgotten."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from orchestration.models import Goal, Schedule
from tests.api.people import api, person, project

pytestmark = pytest.mark.django_db
URL = "/api/v1/schedules"
MORNING = {
    "project": "alpha",
    "name": "morning",
    "cron": "0 7 * * 1-5",
    "time_zone": "Europe/Berlin",
    "objective": "Look after the servers",
    "playbook": "ops-checks",
    "params": {"min_free_mb": 50},
}


@pytest.fixture
def operator() -> Any:
    return api(person("olga", "operator"))


def post(client: Any, body: Any, path: str = "", **headers: str) -> Any:
    return client.post(f"{URL}{path}", body, format="json", **headers)


def patch(client: Any, pk: int, body: Any, **headers: str) -> Any:
    return client.patch(f"{URL}/{pk}", body, format="json", **headers)


def test_a_schedule_is_made_and_says_when_it_comes(operator: Any) -> None:
    made = post(operator, MORNING)
    assert made.status_code == 201
    told = made.json()
    assert {name: told[name] for name in MORNING} == MORNING
    assert (told["when"], told["created_by"]) == ("At 07:00 on Monday through Friday", "olga")
    assert told["due_at"] is not None
    assert made["Location"].endswith(f"{URL}/{told['id']}")
    shown = operator.get(made["Location"])
    assert (shown.json(), shown["ETag"]) == (told, made["ETag"])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"cron": "7 * *"}, 422, "expected minute, hour, day, month, weekday"),
        ({"time_zone": "Mars/Olympus"}, 422, "is no time zone"),
        ({"objective": ""}, 400, "`objective`"),
        ({"params": [1]}, 400, "`params`"),
        ({"when": "now"}, 400, "is not a field of this request"),
        ({"project": "nowhere"}, 404, "no project nowhere"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_written(
    operator: Any, body: Any, status: int, said: str
) -> None:
    refused = post(operator, {**MORNING, **body})
    assert (refused.status_code, refused["Content-Type"]) == (status, "application/problem+json")
    assert said in refused.json()["detail"]
    assert not Schedule.objects.exists()


def test_a_name_is_one_schedules_in_its_project(operator: Any) -> None:
    post(operator, MORNING)
    refused = post(operator, MORNING)
    assert refused.status_code == 422
    assert "is there already" in refused.json()["detail"]
    assert Schedule.objects.count() == 1


def test_the_same_key_gives_the_same_schedule_and_is_refused_for_another(operator: Any) -> None:
    first = post(operator, MORNING, HTTP_IDEMPOTENCY_KEY="one")
    patch(operator, first.json()["id"], {"priority": 5})
    again = post(operator, MORNING, HTTP_IDEMPOTENCY_KEY="one")
    assert again.status_code == 201
    assert (again.json()["id"], again.json()["priority"]) == (first.json()["id"], 5)
    refused = post(operator, {**MORNING, "name": "evening"}, HTTP_IDEMPOTENCY_KEY="one")
    assert refused.status_code == 422
    assert "a key of its own" in refused.json()["detail"]
    assert Schedule.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_at_once_with_the_same_key_make_one_schedule() -> None:
    clients = [api(person(name, "operator")) for name in ("olga", "otto")]
    start, told = threading.Barrier(2), []

    def make(client: Any) -> None:
        start.wait(30)
        try:
            told.append(post(client, MORNING, HTTP_IDEMPOTENCY_KEY="one").json()["id"])
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == [Schedule.objects.get().pk] * 2


def test_only_what_is_named_is_changed_and_only_as_it_was_seen(operator: Any) -> None:
    made = post(operator, MORNING)
    pk = made.json()["id"]
    changed = patch(operator, pk, {"cron": "0 9 * * *"}, HTTP_IF_MATCH=made["ETag"])
    assert changed.status_code == 200
    assert changed.json()["cron"] == "0 9 * * *"
    assert changed.json()["due_at"] != made.json()["due_at"]
    assert changed.json()["objective"] == MORNING["objective"]
    assert changed["ETag"] != made["ETag"]
    refused = patch(operator, pk, {"objective": "Else"}, HTTP_IF_MATCH=made["ETag"])
    assert (refused.status_code, refused.json()["code"]) == (412, "moved-on")
    assert Schedule.objects.get().objective == MORNING["objective"]


def test_that_it_came_moves_no_tag(operator: Any) -> None:
    made = post(operator, MORNING)
    assert post(operator, {}, f"/{made.json()['id']}/run").status_code == 201
    assert operator.get(made["Location"])["ETag"] == made["ETag"]


@pytest.mark.parametrize("act", ["patch", "delete", "pause", "resume", "run"])
def test_nothing_is_done_to_what_was_changed_meanwhile(operator: Any, act: str) -> None:
    made = post(operator, MORNING)
    pk = made.json()["id"]
    patch(operator, pk, {"priority": 5})
    seen = {"HTTP_IF_MATCH": made["ETag"]}
    before = Schedule.objects.values().get()
    if act == "patch":
        refused = patch(operator, pk, {"overlap": True}, **seen)
    elif act == "delete":
        refused = operator.delete(f"{URL}/{pk}", **seen)
    else:
        refused = post(operator, {}, f"/{pk}/{act}", **seen)
    assert refused.status_code == 412
    assert Schedule.objects.values().get() == before
    assert not Goal.objects.exists()


def test_a_schedule_that_is_paused_has_no_next_time_until_it_is_resumed(operator: Any) -> None:
    pk = post(operator, MORNING).json()["id"]
    paused = post(operator, {}, f"/{pk}/pause").json()
    assert (paused["enabled"], paused["due_at"]) == (False, None)
    resumed = post(operator, {}, f"/{pk}/resume").json()
    assert resumed["enabled"]
    assert resumed["due_at"] is not None


def test_a_goal_of_it_is_submitted_now_once_for_a_key(operator: Any) -> None:
    made = post(operator, MORNING).json()
    path = f"/{made['id']}/run"
    goals = [post(operator, {}, path, HTTP_IDEMPOTENCY_KEY="now").json() for _ in range(2)]
    assert goals[0]["id"] == goals[1]["id"] == Goal.objects.get().pk
    assert (goals[0]["objective"], goals[0]["created_by"]) == (MORNING["objective"], "olga")
    shown = operator.get(f"{URL}/{made['id']}").json()
    assert (shown["last_goal"], shown["due_at"]) == (goals[0]["id"], made["due_at"])


def test_one_that_is_forgotten_is_gone_and_its_goals_stay(operator: Any) -> None:
    pk = post(operator, MORNING).json()["id"]
    post(operator, {}, f"/{pk}/run")
    gone = operator.delete(f"{URL}/{pk}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert operator.get(f"{URL}/{pk}").status_code == 404
    assert operator.delete(f"{URL}/{pk}").status_code == 404
    assert Goal.objects.count() == 1


def test_a_list_has_those_of_ones_projects_and_narrows(operator: Any) -> None:
    project("beta")
    other = api(person("bob", "operator", where="beta"))
    post(other, {**MORNING, "project": "beta"})
    post(operator, MORNING)
    post(operator, {**MORNING, "name": "evening", "objective": "Close up", "enabled": False})

    def names(query: str) -> list[str]:
        rows = operator.get(f"{URL}{query}").json()["schedules"]
        return [row["name"] for row in rows]

    assert names("") == ["morning", "evening"]
    assert names("?order=name&limit=1") == ["evening"]
    assert names("?enabled=true") == ["morning"]
    assert names("?q=close") == ["evening"]
    assert operator.get(f"{URL}?project=beta").status_code == 404
