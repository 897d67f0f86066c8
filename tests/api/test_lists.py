"""Lists: pages without gaps, filters that are read strictly, orders, and fields."""

from __future__ import annotations

from typing import Any

import pytest

from agentsys.gateway.metering import Spent
from memory import services as memory
from orchestration.api.listing import Listing
from orchestration.models import Artifact, Attempt, Project, Proposal
from tests.api.people import api, entries, goal, held, person, project
from tests.api.stocked import Stock, stocked
from workers.services import blob_put, model_calls_record

pytestmark = pytest.mark.django_db

MANY = 7


@pytest.fixture
def stock() -> Stock:
    return stocked(decider=person("ada", "approver"))


@pytest.fixture
def viewer() -> Any:
    return api(person("vera", "viewer"))


def more_goals(_: Stock) -> None:
    for number in range(MANY):
        goal(objective=f"Goal {number}", priority=number % 2)


def more_tasks(_: Stock) -> None:
    """Its two tasks and a page of one make three pages."""


def more_attempts(stock: Stock) -> None:
    for number in range(2, 2 + MANY):
        Attempt.objects.create(
            task_id=stock.ids["task_id"], goal=stock.row, number=number, lineage="l", lane="cheap",
            state="failed", finished_at=stock.row.started_at,
        )  # fmt: skip


def more_proposals(_: Stock) -> None:
    for number in range(MANY):
        held(goal(objective=f"Goal {number}"))


def more_artifacts(stock: Stock) -> None:
    for number in range(MANY):
        Artifact.objects.create(
            goal=stock.row, attempt_id=stock.ids["attempt_id"], name=f"f{number}", kind="data",
            media_type="text/plain", sha256=blob_put(b"x"), size=1,
        )  # fmt: skip


def more_calls(stock: Stock) -> None:
    call = Spent("worker", "m", "ok", 1, 1, 0.1, 5)
    model_calls_record([call] * MANY, goal_id=stock.row.pk)


def more_entries(stock: Stock) -> None:
    entries(stock.row, MANY)


def more_memories(stock: Stock) -> None:
    for word in "seven little ducks went swimming one day".split():
        memory.remember(stock.row.project.namespace, "semantic", f"The {word} is on port 80")


def more_projects(_: Stock) -> None:
    for number in range(MANY):
        project(f"p{number}")


LISTS = {
    "goals": ("goals", more_goals),
    "goals/<int:goal_id>/tasks": ("tasks", more_tasks),
    "tasks/<int:task_id>/attempts": ("attempts", more_attempts),
    "approvals": ("approvals", more_proposals),
    "proposals": ("proposals", more_proposals),
    "goals/<int:goal_id>/artifacts": ("artifacts", more_artifacts),
    "goals/<int:goal_id>/calls": ("calls", more_calls),
    "goals/<int:goal_id>/ledger": ("entries", more_entries),
    "goals/<int:goal_id>/decisions": ("decisions", more_tasks),
    "memory": ("memories", more_memories),
    "projects": ("projects", more_projects),
}
WHOLE = {"playbooks": "playbooks", "workers": "workers", "queues": "queues"}


def listings() -> dict[str, Listing]:
    """Every list of the API's modules, by key."""
    from orchestration.api import approvals, changing, fleet, goals, ledger, lists, memory

    modules = (approvals, changing, fleet, goals, ledger, lists, memory)
    found = [v for m in modules for v in vars(m).values() if isinstance(v, Listing)]
    return {one.key: one for one in found}


def followed(client: Any, path: str, key: str, **asked: Any) -> list[dict[str, Any]]:
    """The rows of all pages."""
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(100):
        page = client.get(path, {**asked, **({"cursor": cursor} if cursor else {})})
        assert page.status_code == 200, page.json()
        found += page.json()[key]
        cursor = page.json()["next"] or ""
        if not cursor:
            return found
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("route", LISTS)
def test_pages_follow_each_other_without_a_gap_or_a_double(stock: Stock, route: str) -> None:
    key, more = LISTS[route]
    more(stock)
    root = api(person("root", is_superuser=True, is_staff=True))
    for order in (sign + name for name in listings()[key].orders or {} for sign in ("", "-")):
        whole = followed(root, stock.path(route), key, order=order)
        assert len(whole) >= (MANY if more is not more_tasks else 1)
        assert followed(root, stock.path(route), key, order=order, limit=2) == whole
        turned = order[1:] if order.startswith("-") else f"-{order}"
        assert followed(root, stock.path(route), key, order=turned, limit=3) == whole[::-1]


def test_what_comes_meanwhile_moves_no_page(viewer: Any) -> None:
    old = [goal(objective=f"Goal {number}").pk for number in range(4)]
    first = viewer.get("/api/v1/goals?limit=2").json()
    goal(objective="new")
    then = viewer.get("/api/v1/goals", {"limit": 2, "cursor": first["next"]}).json()
    assert [row["id"] for row in first["goals"] + then["goals"]] == old[::-1]


@pytest.mark.parametrize("route", [*LISTS, *WHOLE])
def test_rows_are_what_the_schema_says_and_fields_trims_them(stock: Stock, route: str) -> None:
    key = LISTS[route][0] if route in LISTS else WHOLE[route]
    root = api(person("root", is_superuser=True, is_staff=True))
    rows = root.get(stock.path(route)).json()[key]
    known = set(_row_of(route)().fields)
    assert all(set(row) == known for row in rows)
    assert rows or route == "workers"
    name = min(known)
    trimmed = root.get(stock.path(route), {"fields": name}).json()[key]
    assert trimmed == [{name: row[name]} for row in rows]
    refused = root.get(stock.path(route), {"fields": f"{name},colour"})
    assert refused.status_code == 400
    assert "`fields=colour`: expected one of" in refused.json()["detail"]


def _row_of(route: str) -> Any:
    from orchestration.api import rows

    if route in LISTS:
        return listings()[LISTS[route][0]].row
    return {"playbooks": rows.PlaybookRow, "workers": rows.WorkerRow, "queues": rows.QueueRow}[
        route
    ]


@pytest.mark.parametrize("route", [*LISTS, *WHOLE])
def test_what_is_not_a_parameter_is_named(stock: Stock, route: str) -> None:
    root = api(person("root", is_superuser=True, is_staff=True))
    refused = root.get(stock.path(route), {"feilds": "id"})
    assert refused.status_code == 400
    assert (
        "`feilds` is not a parameter of this list; did you mean `fields`?"
        in refused.json()["detail"]
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("state=fnished", "one or several of draft"),
        ("order=colour", "one of id, created_at, priority"),
        ("limit=0", "a whole number from 1 to 200"),
        ("limit=201", "from 1 to 200"),
        ("limit=x", "from 1 to 200"),
        ("paused=perhaps", "true or false"),
        ("since=yesterday", "a date or a time"),
        ("before=-1", "a whole number"),
        ("before=99999999999999999999", "a whole number"),
        ("cursor=abc", "`next` of a page of this list"),
        ("q=" + "x" * 301, "at most 300 characters"),
    ],
)
def test_a_value_that_cannot_be_used_is_a_400_that_says_what_was_expected(
    viewer: Any, asked: str, expected: str
) -> None:
    refused = viewer.get(f"/api/v1/goals?{asked}")
    assert refused.status_code == 400
    assert refused.json()["code"] == "bad-input"
    assert expected in refused.json()["detail"]


def test_everything_that_is_wrong_is_said_at_once(viewer: Any) -> None:
    told = viewer.get("/api/v1/goals?limit=0&order=x&state=y&colour=z").json()
    assert len(told["problems"]) == 4


def test_a_cursor_holds_for_its_list_and_its_order_only(viewer: Any) -> None:
    for number in range(3):
        held(goal(objective=f"Goal {number}"))
    cursor = viewer.get("/api/v1/goals?limit=1").json()["next"]
    for path in ("/api/v1/goals?order=priority", "/api/v1/approvals?x", "/api/v1/proposals?x"):
        refused = viewer.get(path.replace("?x", ""), {"cursor": cursor})
        assert refused.status_code == 400 or "order" in path
    assert viewer.get(f"/api/v1/goals?order=id&cursor={cursor}").status_code == 400
    assert viewer.get(f"/api/v1/goals?cursor={cursor[:-2]}xx").status_code == 400


def test_filters_narrow(stock: Stock, viewer: Any) -> None:
    other = goal(objective="Sweep the yard", state="failed", finished_at=stock.row.started_at)

    def ids(path: str, key: str = "goals") -> list[int]:
        found = viewer.get(f"/api/v1/{path}")
        assert found.status_code == 200, found.json()
        return [row["id"] for row in found.json()[key]]

    assert ids("goals?state=failed,cancelled") == [other.pk]
    assert ids("goals?q=sweep") == [other.pk]
    assert ids("goals?over=false") == [stock.row.pk]
    assert ids("goals?until=2020-01-01") == []
    assert ids(f"proposals?goal={other.pk}", "proposals") == []
    assert ids(f"proposals?task={stock.ids['task_id']}&state=in_review", "proposals") == [
        stock.ids["proposal_id"]
    ]
    assert ids("approvals?state=approved", "approvals") == []
    assert ids("approvals?state=all&kind=proposal&risk=irreversible", "approvals") == [
        stock.ids["approval_id"]
    ]
    held_now = ids(f"goals/{stock.row.pk}/tasks?state=held", "tasks")
    assert held_now == [stock.ids["task_id"]]
    pattern = f"/api/v1/goals/{stock.row.pk}/ledger?event=goal.*&order=-seq&limit=1"
    assert viewer.get(pattern).json()["entries"][0]["event"] == "goal.prioritised"
    assert viewer.get(f"/api/v1/goals/{stock.row.pk}/ledger?event=go.l*").json()["entries"] == []
    assert ids("memory?q=8443&layer=semantic", "memories") == [stock.ids["memory_id"]]
    assert ids("memory?state=gone", "memories") == []


def test_a_board_is_listed_by_its_goal(stock: Stock, viewer: Any) -> None:
    note = memory.blackboard_put(stock.row.pk, "k", "a note", actor="x")
    rows = viewer.get(f"/api/v1/memory?goal={stock.row.pk}").json()["memories"]
    assert [row["id"] for row in rows] == [note]


def test_a_goal_of_another_project_narrows_nothing_it_does_not_exist(stock: Stock) -> None:
    eve = api(person("eve", "admin", where="beta"))
    for path in ("proposals", "approvals", "memory"):
        assert eve.get(f"/api/v1/{path}?goal={stock.row.pk}").status_code == 404
        assert eve.get(f"/api/v1/{path}?project=alpha").status_code == 404


def test_an_artifact_is_saved_not_opened(stock: Stock, viewer: Any) -> None:
    told = viewer.get(stock.path("artifacts/<int:artifact_id>/content"))
    assert told.content == b"Tidy up"
    assert told["Content-Type"] == "application/octet-stream"
    assert told["Content-Disposition"].startswith("attachment")
    assert told["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in told["Content-Security-Policy"]
    assert viewer.get("/api/v1/artifacts/999999/content").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["goals?", "approvals?", "proposals?", "schedules?", "deliveries?", "memory?", "memory/stats?",
     "memory/search?q=port&"],
)  # fmt: skip
@pytest.mark.parametrize("who", [{}, {"is_superuser": True}])
def test_a_project_that_is_not_there_is_not_found_in_any_list(path: str, who: Any) -> None:
    client = api(person("pat", "viewer", **who))
    assert client.get(f"/api/v1/{path}project=alpha").status_code == 200
    answer = client.get(f"/api/v1/{path}project=nope")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["detail"].startswith("no project nope")


def test_costs_say_where_it_went(stock: Stock, viewer: Any) -> None:
    told = viewer.get(stock.path("goals/<int:goal_id>/cost")).json()
    assert told["models"] == [{"name": "Tidy up", "calls": 1, "tokens": 7, "cost_usd": 0.5}]
    assert told["agents"] == [{"name": "command", "tokens": 7, "cost_usd": 1.0}]
    assert [row["name"] for row in told["tasks"]] == ["step-0"]


def test_a_project_is_shown_with_ones_role(stock: Stock, viewer: Any) -> None:
    (row,) = viewer.get("/api/v1/projects").json()["projects"]
    assert (row["name"], row["role"], row["goals_open"], row["paused"]) == (
        "alpha", "viewer", 1, False,
    )  # fmt: skip


def test_playbooks_are_those_that_ship_and_ones_own(viewer: Any) -> None:
    definition = {"name": "ours", "description": "Of alpha", "objective": "x", "tasks": []}
    memory.playbook_save("ours", definition, namespace=project("alpha").namespace)
    memory.playbook_save(
        "theirs", {**definition, "name": "theirs"}, namespace=project("beta").namespace
    )
    rows = viewer.get("/api/v1/playbooks").json()["playbooks"]
    assert {("ops-checks", None), ("ours", "alpha")} <= {(r["name"], r["project"]) for r in rows}
    assert "theirs" not in {row["name"] for row in rows}


def test_fleets_are_for_staff(viewer: Any) -> None:
    assert viewer.get("/api/v1/workers").status_code == 403
    root = api(person("root", is_staff=True))
    queues = {row["name"]: row["waiting"] for row in root.get("/api/v1/queues").json()["queues"]}
    assert set(queues) == {"control", "agents", "verify", "memory"}


def test_a_list_of_nothing_is_a_page(viewer: Any) -> None:
    assert viewer.get("/api/v1/proposals").json() == {"proposals": [], "next": None}
    assert not Proposal.objects.exists()
    assert Project.objects.count() == 1
