"""A goal's page is told what changed: only to those who may see the goal, and to its end."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from orchestration.admin import streams
from orchestration.models import Goal
from tests.api.people import entries, goal, person, project
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db(transaction=True)


def told(text):
    """(seq, document) of each picture in a stream."""
    blocks = [block.splitlines() for block in text.split("\n\n") if "event: live" in block]
    return [
        (int(b[0].removeprefix("id: ")), json.loads(b[2].removeprefix("data: "))) for b in blocks
    ]


def test_the_stream_of_a_goal_that_is_over_shows_it_once_and_ends():
    row = goal()
    Goal.objects.filter(pk=row.pk).update(state="cancelled", finished_at="2026-01-01T00:00:00Z")
    client = console(person("vera", "viewer", is_staff=True))
    answer = client.get(reverse("console-goal-stream", args=[row.pk]))
    assert answer["Content-Type"] == "text/event-stream"
    text = b"".join(answer.streaming_content).decode()
    ((seq, shown),) = told(text)
    assert (seq, shown["state"], shown["over"], shown["total"]) == (3, "cancelled", True, 2)
    assert shown["why"] == {
        "en": f"goal-{row.pk} cancelled",
        "de": f"goal-{row.pk} ist abgebrochen",
    }


def test_what_changes_while_the_page_is_open_is_told():
    row = goal()
    client = console(person("vera", "viewer", is_staff=True))
    lines = iter(client.get(reverse("console-goal-stream", args=[row.pk])).streaming_content)
    text = ""
    while not told(text):
        text += next(lines).decode()
    row.tasks.filter(key="step-0").update(state="ready")
    Goal.objects.filter(pk=row.pk).update(state="failed", finished_at="2026-01-01T00:00:00Z")
    entries(row, 1)
    text = "".join(line.decode() for line in lines)
    seq, shown = told(text)[-1]
    assert (seq, shown["state"], shown["over"]) == (4, "failed", True)
    assert [node["state"] for node in shown["nodes"]] == ["ready", "blocked"]


def test_a_goal_of_another_project_has_no_stream():
    row = goal("beta")
    project("alpha")
    client = console(person("vera", "viewer", is_staff=True))
    assert client.get(reverse("console-goal-stream", args=[row.pk])).status_code == 404
    assert client.get(reverse("console-goal-stream", args=[99_999])).status_code == 404


def test_nobody_who_has_not_signed_in_is_told_anything(client):
    row = goal()
    answer = client.get(reverse("console-goal-stream", args=[row.pk]))
    assert answer.status_code == 302
    assert "login" in answer["Location"]


def test_a_picture_says_where_the_ledger_stood():
    row = goal()
    assert json.loads(streams.drawn(row.pk).text)["total"] == 2
