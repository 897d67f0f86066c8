"""Workers and queues: who works on what and what waits, each with what one's own projects have of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from agentsys import doorbells
from agentsys.gateway import roles
from orchestration.models import Attempt, Goal, WorkerSession
from orchestration.models.recovery import Outage
from orchestration.services.sessions import LOCK_CLASS
from tests.api.people import goal, person
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db


def staff(name: str, role: str = "viewer", **more: Any) -> Any:
    return console(person(name, role, is_staff=True, **more))


@pytest.fixture
def root() -> Any:
    return console(person("root", is_staff=True, is_superuser=True))


def page(client: Any) -> str:
    response = client.get(reverse("console-workers"))
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def worker(*, alive: bool = True, **fields: Any) -> WorkerSession:
    """A session; alive: its lock is held, here by this test's own connection."""
    row = WorkerSession.objects.create(host="box", pid=17, **fields)
    if alive:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, row.pk])
    return row


def runs(session: WorkerSession, row: Goal, **fields: Any) -> Attempt:
    task = row.tasks.order_by("id")[0]
    now = timezone.now()
    return Attempt.objects.create(
        task=task, goal=row, number=1, lineage="x", lane="agent", state="running",
        owner=session.pk, lease_until=now + timedelta(seconds=30), started_at=now, **fields,
    )  # fmt: skip


def queued(row: Goal) -> None:
    task = row.tasks.order_by("id")[0]
    Attempt.objects.create(task=task, goal=row, number=1, lineage="x", lane="cheap", state="queued")


def test_a_worker_is_shown_with_what_it_runs(root):
    attempt = runs(worker(), goal(), note="reading <b>files</b>")
    text = page(root)
    assert "1 worker alive" in text
    assert "box:17" in text
    assert str(attempt) in text
    assert "reading &lt;b&gt;files&lt;/b&gt;" in text
    assert "▶</span> works" in text


def test_the_states_of_workers_are_told_apart(root, settings):
    long_ago = timezone.now() - timedelta(seconds=settings.AGENTSYS.lease_seconds + 60)
    shown = [
        worker(),
        worker(seen_at=long_ago),
        worker(alive=False),
        worker(alive=False, ended_at=timezone.now()),
    ]
    gone = worker(alive=False, ended_at=timezone.now() - timedelta(hours=2))
    text = page(root)
    for said in ("idle", "silent: not heard", "gone without a word", "⊘</span> ended"):
        assert said in text, said
    for one in shown:
        assert f"session {one.pk}<" in text
    assert f"session {gone.pk}<" not in text


def test_work_without_a_worker_is_said_first(root):
    assert "nothing waits for one" in page(root)
    queued(goal())
    assert "1 waits and no worker is alive" in page(root)
    worker()
    assert "no worker is alive" not in page(root)


def test_what_waits_is_counted_by_queue_and_paused_work_apart(root):
    queued(goal())
    queued(goal(paused_at=timezone.now()))
    goal(state="planning")
    text = page(root)
    assert 'waiting for a worker (cheap)</td><td class="as-num">1<' in text
    assert 'of goals that are paused</td><td class="as-num">1<' in text
    assert 'waiting for a planner</td><td class="as-num">1<' in text


def test_a_member_sees_the_work_of_own_projects_and_no_host(root):
    session = worker()
    attempt = runs(session, goal(objective="canary"), note="canary note")
    queued(goal("beta"))
    text = page(staff("vera"))
    assert f"worker {session.pk}" in text
    assert str(attempt) in text
    assert "box:17" not in text
    assert "waiting for a worker" not in text
    text = page(staff("eve", "admin", where="beta"))
    assert "canary" not in text
    assert str(attempt) not in text
    assert "waiting for a worker (cheap)" in text


def test_messages_are_counted_in_the_broker(root, settings):
    from redis import Redis

    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {**options, "global_keyprefix": "counted:"}
    url = settings.CELERY_BROKER_URL.replace("redis+socket://", "unix://").replace(
        "virtual_host=", "db="
    )
    with Redis.from_url(url) as client:
        client.rpush("counted:agents", "a", "b", "c")
        client.hset("counted:unacked", "tag", "x")
        try:
            seen = doorbells.doorbells()
        finally:
            client.delete("counted:agents", "counted:unacked")
    assert dict(seen.queues) == {"control": 0, "agents": 3, "verify": 0, "memory": 0}
    assert (seen.unacknowledged, seen.problem) == (1, "")


def test_a_broker_that_is_away_is_said(root, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    assert "The broker cannot be asked" in page(root)


def test_providers_and_outages_are_for_superusers(root, settings):
    settings.AGENTSYS = replace(
        settings.AGENTSYS, model="openai:canary-model?requests_per_minute=7"
    )
    roles.forget()
    now = timezone.now()
    Outage.objects.create(source="canary-place", probe_at=now)
    text = page(root)
    assert "canary-model" in text
    assert "7 requests a minute" in text
    assert "canary-place" in text
    assert "canary" not in page(staff("vera"))
    settings.AGENTSYS = replace(settings.AGENTSYS, model="nonsense")
    roles.forget()
    assert "nonsense" in page(root)


def test_flower_is_linked_where_it_is_known(root, settings):
    assert "Flower</a>" not in page(root)
    settings.AGENTSYS = replace(settings.AGENTSYS, flower_url="http://127.0.0.1:5555/")
    assert '<a href="http://127.0.0.1:5555/" rel="noreferrer">Flower</a>' in page(root)


def test_it_costs_the_same_however_many_work(root):
    counts = []
    for _ in range(2):
        runs(worker(), goal())
        page(root)
        with CaptureQueriesContext(connection) as seen:
            page(root)
        counts.append(len(seen))
        for _ in range(10):
            runs(worker(), goal())
            queued(goal())
    assert counts[0] == counts[1] <= 50


def test_who_has_no_project_is_refused():
    assert console(person("newt", is_staff=True)).get(reverse("console-workers")).status_code == 403
