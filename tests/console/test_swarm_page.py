"""A swarm's page: exact counts, what failed and why, and what nobody looked at."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestration.models import Goal, Swarm, SwarmItem, SwarmShift
from orchestration.services.advance import advance
from orchestration.services.swarm_views import swarm_page
from tests.api.people import person
from tests.orchestration.pump import submit, task_named
from tests.orchestration.swarming import forget_micro_agents, over, run
from workers.micro import ItemRefused, micro_register

pytestmark = pytest.mark.django_db(transaction=True)

_forget = pytest.fixture(autouse=True)(forget_micro_agents)


def console(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root() -> Client:
    return console(person("root", is_staff=True, is_superuser=True))


def picky(given: str) -> Any:
    if given == "bad":
        raise ItemRefused(reason="no <b>such</b> thing\u202e")
    return {"said": given}


def ran(items: list[str], **swarm: Any) -> Goal:
    micro_register("picky", picky)
    return run(submit(over(items, micro="picky", failed_max=1, **swarm)))


def page_of(goal: Goal) -> str:
    return reverse("admin:agentsys_swarm", args=[task_named(goal, "map").pk])


def shown(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, response.headers.get("Location")
    return " ".join(response.content.decode().split())


def test_it_counts_every_item_and_says_what_was_only_sampled(root: Client) -> None:
    goal = ran([*(f"i{n}" for n in range(30)), "i3"], sample=4)
    text = shown(root, page_of(goal))
    assert "31/31" in text
    assert "31 of 31 items are accepted" in text
    found = swarm_page(task_named(goal, "map").pk)
    assert found is not None
    assert found.seen["passed"] + found.seen["unsampled"] == 31
    assert found.seen["unsampled"] >= 26
    assert f"{found.seen['unsampled']:,} unsampled" in text
    assert len(found.sample) == 4
    assert [each["sampled"] for each in found.inspections] == [4]
    assert found.inspections[0]["accepted"] == 30


def test_what_failed_is_there_with_its_reason_and_nothing_of_it_is_markup(root: Client) -> None:
    text = shown(root, page_of(ran(["a", "bad", "b"])))
    assert "1 failed" in text
    assert "no &lt;b&gt;such&lt;/b&gt; thing" in text
    assert "U+202E" in text
    assert "No item has failed" not in text


def test_goal_and_task_lead_to_it(root: Client) -> None:
    goal = ran(["a", "b"])
    task = task_named(goal, "map")
    for name, pk in (("goal", goal.pk), ("task", task.pk)):
        url = reverse(f"admin:agentsys_orchestration_{name}_change", args=[pk])
        assert f'href="{page_of(goal)}"' in shown(root, url)


def test_it_says_when_it_may_be_done_from_what_shifts_took_so_far(root: Client) -> None:
    goal = submit(over([f"i{n}" for n in range(100)]))
    advance(goal.pk)
    task = task_named(goal, "map")
    page = swarm_page(task.pk)
    assert page is not None and page.eta_seconds is None  # nobody has begun
    SwarmItem.objects.filter(task=task, path__0__lt=50).update(state="answered", output_hash="x")
    shift = SwarmShift.objects.create(task=task, goal=goal, owner=1, lease_until=goal.created_at)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agentsys_orchestration_swarmshift SET started_at = now() - interval '100 s'"
            " WHERE id = %s",
            [shift.pk],
        )
    page = swarm_page(task.pk)
    assert page is not None and page.eta_seconds is not None
    assert round(page.eta_seconds, -1) == 100
    assert "about 2 min, at the pace so far" in shown(root, page_of(goal))


def test_a_stranger_and_a_task_without_swarm_get_no_page(root: Client) -> None:
    goal = ran(["secret item"])
    stranger = console(person("eve", "admin", where="beta", is_staff=True))
    assert stranger.get(page_of(goal)).status_code == 302
    Swarm.objects.filter(goal=goal).delete()
    assert root.get(page_of(goal)).status_code == 302


def test_it_costs_the_same_however_many_items_there_are(root: Client) -> None:
    few, many = ran(["a", "b"]), ran([f"i{n}" for n in range(200)])
    root.get(page_of(few))
    with CaptureQueriesContext(connection) as less:
        root.get(page_of(few))
    with CaptureQueriesContext(connection) as more:
        root.get(page_of(many))
    assert len(more) == len(less)
