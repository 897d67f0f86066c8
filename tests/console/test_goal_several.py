"""One deed done to several goals from their list: what follows for each first, then a result for each."""

from __future__ import annotations

import html
import re
import time

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestration.admin.goal_several import TITLES
from orchestration.admin.several import PICKED_MAX
from orchestration.models import Goal, LedgerEntry
from orchestration.services.pausing import goal_pause
from orchestration.services.stepup import GIVEN_AT
from tests import factories as make
from tests.api.people import goal, held, person
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db

LIST = reverse("admin:agentsys_orchestration_goal_changelist")


@pytest.fixture
def client():
    return console(person("olga", "operator", is_staff=True))


def text(response):
    assert response.status_code == 200, response
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split()))


def chosen(client, action, *rows, **more):
    """What the list sends."""
    ids = [row.pk for row in rows]
    return client.post(LIST, {"action": action, "index": "0", "_selected_action": ids, **more})


def sent(client, action, *rows, **fields):
    """What the page that says what follows sends, with its seal where it has shown some."""
    return chosen(client, action, *rows, shown="1", **fields)


def seal(response):
    return re.search(r'name="seal" value="(\w+)"', response.content.decode())[1]


def test_what_follows_is_said_for_each_and_nothing_is_done_yet(client):
    one, two = held(goal(tasks=3)).goal, goal(tasks=1)
    said = text(chosen(client, "cancel", one, two))
    assert "3 tasks will not be done" in said
    assert "1 open question will be withdrawn" in said
    assert "1 task will not be done" in said
    assert "It cannot be undone" in said
    said = text(chosen(client, "pause", one, two))
    assert "3 unfinished tasks will stand still" in said
    assert "1 unfinished task will stand still" in said
    assert not LedgerEntry.objects.filter(actor="olga").exists()


def test_each_goal_is_paused_by_itself_with_the_reason_and_has_a_result(client):
    going, foreign, stands = goal(), goal("beta"), goal()
    over = goal(state="failed", finished_at=going.started_at)
    goal_pause(stands.pk, actor="ada")
    picked = (going, over, stands, foreign)
    said = text(chosen(client, "pause", *picked))
    assert "Left as it is: it is failed" in said
    assert "Left as it is: it is paused" in said
    said = text(sent(client, "pause", *picked, reason="the weekend"))
    assert "1 done, 2 left as they are" in said
    assert f"goal-{going.pk} is paused" in said
    assert f"goal-{foreign.pk}" not in said
    entry = LedgerEntry.objects.get(event="goal.paused", actor="olga")
    assert (entry.goal_id, entry.payload["reason"]) == (going.pk, "the weekend")
    assert LogEntry.objects.get().object_id == str(going.pk)
    said = text(sent(client, "resume", *picked))
    assert "2 done, 1 left as they are" in said
    assert not Goal.objects.filter(paused_at__isnull=False).exists()


def test_a_refusal_of_the_service_is_that_goals_result_and_keeps_no_other(client):
    short, fine = goal(), goal()
    goal_pause(short.pk, actor="orchestrator", by="budget")
    goal_pause(fine.pk, actor="ada")
    assert "Its budget of seconds is used up" in text(chosen(client, "resume", short, fine))
    said = text(sent(client, "resume", short, fine))
    assert "1 done, 1 left as they are" in said
    assert "out of seconds" in said
    assert list(Goal.objects.filter(paused_at__isnull=True)) == [fine]


def test_what_failed_is_tried_again_in_each(client):
    rows = [make.goal(project=make.project("alpha"), state="failed") for _ in range(2)]
    make.task(rows[0], "broke", state="failed")
    said = text(chosen(client, "retry", *rows))
    assert "1 failed task will be tried again, with all its patience: broke" in said
    assert "There is no failed task to try again" in said
    said = text(sent(client, "retry", *rows))
    assert "1 done, 1 left as they are" in said
    assert "it has no failed task to retry" in said
    assert [Goal.objects.get(pk=row.pk).state for row in rows] == ["running", "failed"]


def test_a_priority_is_previewed_for_each_and_set_as_it_was_shown(client):
    one, two = goal(), goal(priority=5)
    asked = text(chosen(client, "priority", one, two))
    assert "It has 0 now. 1 other goal" in asked
    assert "It has 5 now" in asked
    shown = sent(client, "priority", one, two, priority="5")
    assert "0 becomes 5" in text(shown)
    assert "0 would be served before it, 1 in turn with it and 0 after it" in text(shown)
    assert "Left as it is: its priority is 5 already" in text(shown)
    assert "Nothing was changed yet" in text(shown)
    changed = sent(client, "priority", one, two, priority="9", seal=seal(shown))
    assert "0 becomes 9" in text(changed)
    assert set(Goal.objects.values_list("priority", flat=True)) == {0, 5}
    done = sent(client, "priority", one, two, priority="9", seal=seal(changed))
    assert "2 done, 0 left as they are" in text(done)
    assert set(Goal.objects.values_list("priority", flat=True)) == {9}


def test_what_cannot_be_read_is_said_beside_each_and_the_form_stays(client):
    row = goal()
    said = text(sent(client, "priority", row, priority="high"))
    assert "A valid integer is required" in said
    assert "Show what would happen" in said
    response = sent(client, "pause", row, reason="x" * 2001)
    assert "no more than 2000 characters" in text(response)
    assert 'name="reason" value="xx' in response.content.decode()
    assert Goal.objects.get().paused_at is None


def test_stopping_several_is_never_held_up_by_a_password(client):
    rows = [goal(), goal()]
    session = client.session
    session[GIVEN_AT] = time.time() - 3600
    session.save()
    assert 'type="password"' not in chosen(client, "cancel", *rows).content.decode()
    assert "2 done" in text(sent(client, "cancel", *rows, reason="enough"))
    assert set(Goal.objects.values_list("state", "reason")) == {("cancelled", "enough")}


@pytest.mark.parametrize("name", TITLES)
def test_who_may_not_steer_is_told_so_for_each_and_changes_nothing(name):
    vera, row = console(person("vera", "viewer", is_staff=True)), goal()
    assert "you may not steer this project's goals" in text(chosen(vera, name, row))
    said = text(sent(vera, name, row, priority="5", seal=""))
    assert "you may not steer" in said
    assert not LedgerEntry.objects.filter(actor="vera").exists()
    assert Goal.objects.get().state == "running"


@pytest.mark.parametrize("name", TITLES)
def test_the_page_costs_the_same_however_many_are_chosen(client, name):
    rows = [held(goal(priority=number)).goal for number in range(12)]
    if name == "resume":
        Goal.objects.update(paused_at=rows[0].started_at, paused_by="goal")
    chosen(client, name, *rows)
    counts = []
    for some in (rows[:2], rows):
        with CaptureQueriesContext(connection) as seen:
            chosen(client, name, *some)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 50


def test_no_more_than_a_hundred_are_changed_at_once(client):
    one = goal()
    Goal.objects.bulk_create(
        Goal(
            project=one.project, objective="x", contract={}, contract_hash="x", state="running",
            started_at=one.started_at,
        )
        for _ in range(PICKED_MAX)
    )  # fmt: skip
    said = text(chosen(client, "pause", one, select_across="1"))
    assert "1 more were chosen than are changed at once" in said


def test_goals_of_others_are_not_there(client):
    foreign = goal("beta")
    response = sent(client, "pause", foreign)
    assert (response.status_code, response["Location"]) == (302, LIST)
    assert Goal.objects.get().paused_at is None


def test_nothing_chosen_leads_back_to_the_list(client):
    goal()
    assert client.post(LIST, {"action": "pause", "index": "0", "shown": "1"}).status_code == 302
