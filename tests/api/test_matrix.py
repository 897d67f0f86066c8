"""Every route and method of the API by every kind of caller: nobody, a stranger, each role, a superuser.

The rows come from the URL conf. A route that is added and not entered in `NEEDS` fails, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.urls import get_resolver

from tests.api.people import api, ended, person
from tests.api.stocked import Stock, stocked

pytestmark = pytest.mark.django_db

ROLES = ("viewer", "auditor", "operator", "approver", "admin")
PEOPLE = ("nobody", "stranger", *ROLES, "superuser")
EVERYBODY = {*ROLES, "stranger", "superuser"}

# What a route needs, and who has it.
ALLOWED = {
    "sign in": EVERYBODY,
    "view": {*ROLES, "superuser"},
    "control": {"operator", "admin", "superuser"},
    "decide": {"approver", "admin", "superuser"},
    "control and decide": {"admin", "superuser"},
    "overrule": {"superuser"},
    "staff": {"superuser"},
    "superuser": {"superuser"},
    "superuser of it": {"superuser"},
}
OF_NO_PROJECT = ("staff", "superuser")  # a stranger is as any other member there

PLAN = {"objective": "x", "tasks": [{"key": "z", "agent": "noop"}]}
OVERRULED = {"verifier": "schema", "outcome": "pass", "reason": "fine"}
SCHEDULE = {"project": "alpha", "name": "new", "cron": "0 7 * * *", "objective": "x"}
REJECTED = {"decision": "reject", "reason": "no"}

# (method, route): what it needs, and a body with which it is more than a check of the body.
NEEDS: dict[tuple[str, str], tuple[str, Any]] = {
    ("GET", "schema"): ("sign in", None),
    ("GET", "goals"): ("sign in", None),
    ("POST", "goals"): ("control", {"objective": "x", "project": "alpha", "plan": PLAN}),
    ("POST", "goals/bulk"): ("sign in", {"act": "pause", "goals": [1]}),  # refused one by one
    ("GET", "goals/<int:goal_id>"): ("view", None),
    ("GET", "goals/<int:goal_id>/tasks"): ("view", None),
    ("POST", "goals/<int:goal_id>/tasks"): ("control", {"plan": PLAN}),
    ("GET", "goals/<int:goal_id>/brief"): ("view", None),
    ("GET", "goals/<int:goal_id>/why"): ("view", None),
    ("GET", "tasks/<int:task_id>/why"): ("view", None),
    ("GET", "attempts/<int:attempt_id>/why"): ("view", None),
    ("GET", "proposals/<int:proposal_id>/why"): ("view", None),
    ("GET", "approvals/<int:approval_id>/why"): ("view", None),
    ("GET", "goals/<int:goal_id>/claims"): ("view", None),
    ("GET", "goals/<int:goal_id>/artifacts"): ("view", None),
    ("GET", "goals/<int:goal_id>/calls"): ("view", None),
    ("GET", "goals/<int:goal_id>/cost"): ("view", None),
    ("GET", "goals/<int:goal_id>/decisions"): ("view", None),
    ("GET", "goals/<int:goal_id>/ledger"): ("view", None),
    ("GET", "goals/<int:goal_id>/plan"): ("view", None),
    ("POST", "goals/<int:goal_id>/plan"): ("control", {"plan": PLAN, "base_version": 1}),
    ("POST", "goals/<int:goal_id>/pause"): ("control", {}),
    ("POST", "goals/<int:goal_id>/resume"): ("control", {}),
    ("POST", "goals/<int:goal_id>/cancel"): ("control", {}),
    ("POST", "goals/<int:goal_id>/retry"): ("control", {}),
    ("POST", "goals/<int:goal_id>/priority"): ("control", {"priority": 3}),
    ("POST", "goals/<int:goal_id>/concurrency"): ("control", {"running_max": 3}),
    ("POST", "goals/<int:goal_id>/model"): ("control", {"model": ""}),
    ("POST", "goals/<int:goal_id>/direct"): ("control", {"text": "be quick"}),
    ("POST", "goals/<int:goal_id>/fork"): ("control", {}),
    ("GET", "goals/<int:goal_id>/budget"): ("view", None),
    ("PATCH", "goals/<int:goal_id>/budget"): ("control", {"tokens": 5}),
    ("POST", "plans/validate"): ("sign in", {"plan": PLAN}),
    ("GET", "tasks/<int:task_id>"): ("view", None),
    ("GET", "tasks/<int:task_id>/attempts"): ("view", None),
    ("POST", "tasks/<int:task_id>/edit"): ("control", {"changes": {"inputs": {}}}),
    ("POST", "tasks/<int:task_id>/override"): ("overrule", {"output": {}, "reason": "x"}),
    ("POST", "tasks/<int:task_id>/pause"): ("control", {}),
    ("POST", "tasks/<int:task_id>/resume"): ("control", {}),
    ("GET", "tasks/<int:task_id>/budget"): ("view", None),
    ("PATCH", "tasks/<int:task_id>/budget"): ("control", {"tokens": 5}),
    ("GET", "artifacts/<int:artifact_id>/content"): ("view", None),
    ("GET", "deliveries"): ("sign in", None),
    ("POST", "deliveries/<int:delivery_id>/again"): ("superuser of it", {}),
    ("GET", "schedules"): ("sign in", None),
    ("POST", "schedules"): ("control", SCHEDULE),
    ("GET", "schedules/<int:schedule_id>"): ("view", None),
    ("PATCH", "schedules/<int:schedule_id>"): ("control", {"priority": 3}),
    ("DELETE", "schedules/<int:schedule_id>"): ("control", None),
    ("POST", "schedules/<int:schedule_id>/pause"): ("control", {}),
    ("POST", "schedules/<int:schedule_id>/resume"): ("control", {}),
    ("POST", "schedules/<int:schedule_id>/run"): ("control", {}),
    ("GET", "projects"): ("sign in", None),
    ("POST", "projects/<slug:name>/pause"): ("control", {}),
    ("POST", "projects/<slug:name>/resume"): ("control", {}),
    ("GET", "projects/<slug:name>/budget"): ("view", None),
    ("PATCH", "projects/<slug:name>/budget"): ("control", {"tokens": 5}),
    ("GET", "playbooks"): ("sign in", None),
    ("GET", "workers"): ("staff", None),
    ("GET", "queues"): ("staff", None),
    ("POST", "pause"): ("superuser", {}),
    ("POST", "resume"): ("superuser", {}),
    ("GET", "attempts/<int:attempt_id>"): ("view", None),
    ("POST", "attempts/<int:attempt_id>/overrule"): ("overrule", OVERRULED),
    ("GET", "proposals"): ("sign in", None),
    ("GET", "proposals/<int:proposal_id>"): ("view", None),
    ("GET", "approvals"): ("sign in", None),
    ("POST", "approvals/bulk"): ("sign in", {**REJECTED, "approvals": [1]}),  # one by one
    ("GET", "approvals/<int:approval_id>"): ("view", None),
    ("POST", "approvals/<int:approval_id>/decide"): ("decide", REJECTED),
    ("GET", "memory/search"): ("sign in", None),
    ("GET", "memory/stats"): ("sign in", None),
    ("GET", "memory"): ("sign in", None),
    ("POST", "memory"): ("control", {"text": "The port is 9000", "project": "alpha"}),
    ("GET", "memory/<int:memory_id>"): ("view", None),
    ("GET", "memory/<int:memory_id>/history"): ("view", None),
    ("POST", "memory/<int:memory_id>/pin"): ("control", {}),
    ("POST", "memory/<int:memory_id>/unpin"): ("control", {}),
    ("POST", "memory/<int:memory_id>/supersede"): ("control", {"text": "The port is 9000"}),
    ("POST", "memory/<int:memory_id>/forget"): ("control and decide", {"reason": "wrong"}),
    ("GET", "events"): ("view", None),
}
QUERIES = {"events": "?goal={goal_id}", "memory/search": "?q=port"}
PAGES = {"docs"}  # HTML, with a redirect to the sign-in page: see test_schema


def routes() -> Iterator[tuple[str, str]]:
    """Every (method, route) that the URL conf serves below `api/v1/`."""
    for resolver in get_resolver().url_patterns:
        if str(resolver.pattern) != "api/v1/":
            continue
        for one in resolver.url_patterns:
            route = str(one.pattern)
            view = getattr(one.callback, "cls", None) or getattr(one.callback, "view_class", None)
            methods = () if view is None else view.http_method_names
            served = [m.upper() for m in methods if hasattr(view, m)]
            yield from ((m, route) for m in served if m not in ("OPTIONS", "HEAD"))


CELLS = sorted(NEEDS)


def test_every_route_is_in_the_matrix() -> None:
    there = {cell for cell in routes() if cell[1] not in PAGES}
    new = there - set(NEEDS)
    assert not new, f"say in NEEDS of {__name__} what these need: {sorted(new)}"
    assert set(NEEDS) - there == set()


@pytest.fixture
def stock() -> Stock:
    return stocked(decider=person("first", "approver"))


def somebody(who: str) -> Any:
    if who == "nobody":
        return None
    if who == "superuser":
        return person(who, is_superuser=True, is_staff=True)
    if who == "stranger":
        return person(who, "admin", where="beta")
    return person(who, who)


def expected(who: str, need: str) -> str:
    if who == "nobody":
        return "401"
    if who in ALLOWED[need]:
        return "allowed"
    return "404" if who == "stranger" and need not in OF_NO_PROJECT else "403"


def told(client: Any, method: str, url: str, body: Any) -> str:
    """What came of a request, which is taken back."""
    mark = transaction.savepoint()
    try:
        if method == "GET":
            response = client.get(url)
        else:
            response = client.generic(
                method, url, json.dumps(body), content_type="application/json"
            )
        number = response.status_code
        ended(response)
    finally:
        transaction.savepoint_rollback(mark)
    assert number < 500, f"{method} {url}: {number}"
    return str(number) if number in (401, 403, 404) else "allowed"


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: " ".join(cell))
def test_each_kind_of_caller_gets_what_the_matrix_says(stock: Stock, cell: tuple[str, str]) -> None:
    method, route = cell
    need, body = NEEDS[cell]
    url = stock.path(route) + QUERIES.get(route, "").format(**stock.ids)
    seen = {who: told(api(somebody(who)), method, url, body) for who in PEOPLE}
    assert seen == {who: expected(who, need) for who in PEOPLE}


def test_no_role_is_missing_from_the_matrix() -> None:
    """Roles that the models know, each with a column."""
    from orchestration.models.goals import ROLES as KNOWN

    assert set(KNOWN) == set(ROLES)
