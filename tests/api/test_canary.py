"""Two projects with a canary in every text: nothing of one is seen from the other, on no route."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from memory import services as memory
from orchestration.services import goals
from tests.api.people import api, ended, entries, person
from tests.api.stocked import Stock, stocked
from tests.api.test_matrix import CELLS, NEEDS, QUERIES, ROLES, json

pytestmark = pytest.mark.django_db

CANARY = "kanarienvogel-{}-tweets"
OURS, THEIRS = "beta", "alpha"
# What says nothing that a person or an agent wrote.
SILENT = {"schema", "workers", "queues", "playbooks", "plans/validate", "pause", "resume", "tasks"}


def canary(where: str) -> str:
    return CANARY.format(where)


@pytest.fixture
def nests() -> dict[str, Stock]:
    """A stock of each project with its canary in all texts, the ledger and a board included."""
    made = {}
    for where in (OURS, THEIRS):
        decider = person(f"decider-{where}", "approver", where=where)
        made[where] = stocked(where, mark=canary(where), decider=decider)
        row = made[where].row
        goals.goal_direct(row.pk, canary(where), actor=canary(where))
        memory.blackboard_put(row.pk, canary(where), canary(where), actor=canary(where))
        definition = {"name": f"book-{where}", "description": canary(where), "tasks": []}
        memory.playbook_save(f"book-{where}", definition, namespace=row.project.namespace)
    return made


def read(response: Any) -> str:
    """All of the answer: status, headers, body; of a stream what has happened so far."""
    said = f"{response.status_code} {dict(response.headers)} "
    if response.streaming:
        for number, part in enumerate(response.streaming_content):
            said += part.decode()
            if number:  # the first says how to come back, the second has all entries
                break
    else:
        said += response.content.decode("utf-8", "replace")
    ended(response)
    return said


def asked(client: Any, cell: tuple[str, str], stock: Stock, more: str = "") -> str:
    method, route = cell
    query = QUERIES.get(route, "").format(**stock.ids)
    url = stock.path(route) + query + (f"{'&' if query else '?'}{more}" if more else "")
    mark = transaction.savepoint()
    try:
        if method == "GET":
            return read(client.get(url))
        body = json.dumps(NEEDS[cell][1]).replace('"alpha"', f'"{stock.ids["name"]}"')
        return read(client.generic(method, url, body, content_type="application/json"))
    finally:
        transaction.savepoint_rollback(mark)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: " ".join(cell))
def test_nothing_of_another_project_is_seen(nests: dict[str, Stock], cell: tuple[str, str]) -> None:
    for role in ROLES:
        client = api(person(f"{role}-here", role, where=OURS))
        for stock in nests.values():
            assert canary(THEIRS) not in asked(client, cell, stock), role


def test_the_canary_sings_where_it_may_be_heard(nests: dict[str, Stock]) -> None:
    """Else nothing above would say anything."""
    client = api(person("vera", "admin", where=THEIRS))
    reads = [cell for cell in CELLS if cell[0] == "GET" and cell[1] not in SILENT]
    silent = [cell for cell in reads if canary(THEIRS) not in asked(client, cell, nests[THEIRS])]
    figures = {"goals/<int:goal_id>/budget", "tasks/<int:task_id>/budget", "memory/stats"}
    figures |= {"projects", "projects/<slug:name>/budget", "goals/<int:goal_id>/plan"}
    figures |= {"goals/<int:goal_id>/why", "proposals/<int:proposal_id>/why"}
    assert {route for _, route in silent} <= figures


@pytest.mark.parametrize(
    "path",
    [
        "goals?q=kanarienvogel",
        "goals?created_by=kanarienvogel-alpha-tweets",
        "goals?project=alpha",
        "proposals?project=alpha",
        "approvals?state=all&project=alpha",
        "memory?q=kanarienvogel",
        "memory?state=all&actor=kanarienvogel-alpha-tweets",
        "memory?project=alpha",
        "memory/search?q=kanarienvogel-alpha-tweets",
        "memory/search?q=port&project=alpha",
        "memory/search?q=kanarienvogel&layer=working",
        "memory/stats?project=alpha",
        "goals?order=priority&limit=1",
    ],
)
def test_no_search_and_no_filter_reaches_over(nests: dict[str, Stock], path: str) -> None:
    for role in ROLES:
        response = api(person(f"{role}-here", role, where=OURS)).get(f"/api/v1/{path}")
        said = read(response)
        # What was asked for may be said again; a row may not.
        assert canary(THEIRS) not in said.replace(path, "") or response.status_code == 404


def test_pages_and_streams_do_not_run_over_into_another_project(nests: dict[str, Stock]) -> None:
    client = api(person("olga", "operator", where=OURS))
    cursor = api(person("root", is_superuser=True)).get("/api/v1/goals?limit=1").json()["next"]
    assert cursor
    assert canary(THEIRS) not in read(client.get(f"/api/v1/goals?cursor={cursor}"))
    entries(nests[THEIRS].row, 2)
    ours = nests[OURS].row.pk
    heard = read(client.get(f"/api/v1/events?goal={ours}"))
    assert canary(OURS) in heard
    assert canary(THEIRS) not in heard
    assert client.get(f"/api/v1/events?goal={nests[THEIRS].row.pk}").status_code == 404


def test_several_at_once_say_nothing_of_another_projects(nests: dict[str, Stock]) -> None:
    client = api(person("boss", "admin", where=OURS))
    theirs = nests[THEIRS].ids
    for path, body in (
        ("goals/bulk", {"act": "pause", "goals": [theirs["goal_id"]]}),
        ("approvals/bulk", {"decision": "approve", "approvals": [theirs["approval_id"]]}),
    ):
        told = client.post(f"/api/v1/{path}", body, format="json")
        assert told.json()["done"] == 0
        assert canary(THEIRS) not in told.content.decode()
