"""The event stream: in order, each entry once, resumable, and at its end when the goal is."""

from __future__ import annotations

import asyncio
import http.client
import json
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient, Client

from orchestration.api import events
from orchestration.api.events import Cursor
from orchestration.models import Goal
from tests.api.people import api, entries, goal, person

pytestmark = pytest.mark.django_db


def over(row):
    Goal.objects.filter(pk=row.pk).update(state="cancelled", finished_at="2026-01-01T00:00:00Z")


def read(response):
    """The events of a whole stream as (id, kind, data)."""
    text = b"".join(response.streaming_content).decode()
    return parse(text)


def parse(text):
    found = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if "event" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture
def vera():
    return api(person("vera", "viewer"))


def test_a_finished_goals_stream_has_every_entry_and_ends(vera):
    row = goal()
    over(row)
    response = vera.get(f"/api/v1/events?goal={row.pk}", headers={"Accept": "text/event-stream"})
    assert response["Content-Type"] == "text/event-stream"
    got = read(response)
    assert [(seq, kind) for seq, kind, _ in got] == [
        (1, "ledger"), (2, "ledger"), (3, "ledger"), (3, "over"),
    ]  # fmt: skip
    assert (got[0][2]["event"], got[0][2]["payload_version"]) == ("goal.prioritised", 1)


@pytest.mark.parametrize("how", ["header", "query"])
def test_a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(vera, how):
    row = goal()
    entries(row, 2)
    over(row)
    url = f"/api/v1/events?goal={row.pk}"
    if how == "header":
        response = vera.get(url, headers={"Last-Event-ID": "3"})
    else:
        response = vera.get(f"{url}&after=3")
    assert [seq for seq, kind, _ in read(response) if kind == "ledger"] == [4, 5]


def test_new_entries_come_while_the_stream_is_open():
    row = goal()
    cursor = Cursor(row.pk, 0)
    assert len(parse(cursor.next())) == 3
    assert cursor.next() == ""
    entries(row, 1)
    assert [seq for seq, _, _ in parse(cursor.next())] == [4]
    assert not cursor.over


def test_a_stream_ends_in_time(monkeypatch):
    cursor = Cursor(goal().pk, 3)
    monkeypatch.setattr(events, "STREAM_SECONDS", 0.0)
    cursor.next()
    assert cursor.over


@pytest.mark.django_db(transaction=True)
def test_under_wsgi_a_reader_who_left_is_noticed_while_nothing_happens(live_server, monkeypatch):
    """A server without a loop learns of it by writing: silence is broken by comments."""
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(events, "_places", events.threading.BoundedSemaphore(1))
    row, client = goal(), Client()
    client.force_login(person("vera", "viewer"))
    reader = http.client.HTTPConnection(urlsplit(live_server.url).netloc, timeout=60)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    reader.request("GET", f"/api/v1/events?goal={row.pk}", headers={"Cookie": cookie})
    answer = reader.getresponse()
    while b"still here" not in answer.readline():
        pass
    assert not events._places.acquire(blocking=False)
    answer.close()
    reader.close()
    assert events._places.acquire(timeout=60)


def test_a_place_is_given_back_and_too_many_readers_are_told(vera, monkeypatch):
    row = goal()
    over(row)
    monkeypatch.setattr(events, "_places", events.threading.BoundedSemaphore(1))
    url = f"/api/v1/events?goal={row.pk}"
    first = vera.get(url)
    assert vera.get(url).status_code == 503
    assert read(first)
    assert read(vera.get(url))


@pytest.mark.django_db(transaction=True)
def test_the_stream_is_served_under_asgi():
    row, user = goal(), person("ina", "viewer")
    over(row)

    async def fetch():
        client = AsyncClient()
        await client.aforce_login(user)
        response = await client.get(f"/api/v1/events?goal={row.pk}")
        text = "".join([part.decode() async for part in response.streaming_content])
        await sync_to_async(connections.close_all)()  # those of the thread that served it
        return text

    assert [kind for _, kind, _ in parse(asyncio.run(fetch()))] == ["ledger"] * 3 + ["over"]


def test_a_goal_must_be_named(vera):
    assert vera.get("/api/v1/events").status_code == 400
