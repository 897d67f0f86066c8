"""What is done with its consequence first: a page that says what follows, then the act, and no other."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from orchestration.admin.goal_deeds import GOAL_DEEDS
from orchestration.models import Attempt, Budget, Goal, LedgerEntry, Task
from orchestration.services.overrides import output_to_edit
from tests import factories as make
from tests.api.people import api, goal, held, person
from tests.console.test_pages import ADMIN, console
from tests.orchestration.pump import pump

pytestmark = pytest.mark.django_db

PLAN = {
    "objective": "Say hello",
    "tasks": [
        {"key": "a", "agent": "noop", "objective": "one\nmore", "inputs": {"n": 1}},
        {"key": "b", "agent": "noop", "objective": "two", "depends_on": ["a"]},
        {"key": "c", "agent": "noop", "objective": "three"},
    ],
}


@pytest.fixture
def olga():
    return person("olga", "operator", is_staff=True)


@pytest.fixture
def client(olga):
    return console(olga)


@pytest.fixture
def row(olga) -> Goal:
    body = {"project": "alpha", "plan": PLAN}
    return Goal.objects.get(pk=api(olga).post("/api/v1/goals", body, format="json").json()["id"])


def url(row, name):
    kind = "goal" if isinstance(row, Goal) else "task"
    return reverse(f"admin:agentsys_{kind}_deed", args=[row.pk, name])


def fields(text):
    """What the page's own form would send."""
    form = text.split('<form class="as-decide"')[1].split("</form>")[0]
    found = re.findall(r'<input[^>]*name="(\w+)" value="([^"]*)"', form)
    found += re.findall(r'<textarea name="(\w+)"[^>]*>(.*?)</textarea>', form, re.DOTALL)
    return {name: html.unescape(value) for name, value in found if name != "csrfmiddlewaretoken"}


def shown(client, row, name):
    response = client.get(url(row, name))
    assert response.status_code == 200
    return response.content.decode()


def sent(client, row, name, **changed):
    return client.post(url(row, name), {**fields(shown(client, row, name)), **changed})


def confirmed(client, row, name, **changed):
    """Look at what would happen, then do it."""
    first = sent(client, row, name, **changed)
    assert first.status_code == 200
    text = first.content.decode()
    assert "Nothing was changed yet" in text
    return text, client.post(url(row, name), {**fields(text), **changed})


def task(row, key="a"):
    return Task.objects.exclude(state="superseded").get(goal=row, key=key)


# --- A goal --------------------------------------------------------------------------------------


def test_a_budget_is_raised_after_what_is_used_and_what_the_limit_becomes(client, row):
    Budget.objects.filter(goal=row).update(tokens_spent=1_900_000)
    assert "1,900,000 tokens used of 2,000,000 tokens (95 %)" in shown(client, row, "budget")
    text, done = confirmed(client, row, "budget", tokens="5000000")
    assert "2,000,000 tokens becomes 5,000,000 tokens: 3,100,000 tokens more can be used" in text
    assert done.status_code == 302
    assert Budget.objects.get(goal=row).tokens_max == 5_000_000
    (entry,) = LedgerEntry.objects.filter(event="budget.set")
    assert (entry.actor, entry.payload["is"]) == ("olga", {"tokens": 5_000_000})
    assert LogEntry.objects.count() == 1


def test_only_limits_that_differ_are_set_and_an_empty_one_is_none(client, row):
    _, done = confirmed(client, row, "budget", cost_usd="")
    assert done.status_code == 302
    budget = Budget.objects.get(goal=row)
    assert (budget.cost_usd_max, budget.tokens_max) == (None, 2_000_000)
    assert "no limit differs" in sent(client, row, "budget").content.decode()
    assert "tokens" in sent(client, row, "budget", tokens="many").content.decode()
    assert LedgerEntry.objects.filter(event="budget.set").count() == 1


def test_a_limit_below_what_is_used_says_what_that_does(client, row):
    Budget.objects.filter(goal=row).update(tokens_spent=500)
    text = sent(client, row, "budget", tokens="100").content.decode()
    assert "no call will be made" in text


def test_seconds_below_what_is_used_say_that_the_goal_is_paused_and_a_person_asked(client, row):
    Goal.objects.filter(pk=row.pk).update(started_at=timezone.now() - timedelta(hours=1))
    text = sent(client, row, "budget", seconds="60").content.decode()
    assert "the goal is paused at once and a person is asked" in text
    assert "no call will be made" not in text
    Goal.objects.filter(pk=row.pk).update(paused_at=timezone.now(), paused_by="goal")
    text = sent(client, row, "budget", seconds="60").content.decode()
    assert "as soon as it goes on it is paused again and a person is asked" in text


def test_where_there_is_no_limit_none_is_said_to_be_used_of_or_to_become_one(client, row):
    Budget.objects.filter(goal=row).update(cost_usd_max=None)
    assert "$0.00 used; there is no limit." in shown(client, row, "budget")
    Budget.objects.filter(goal=row).update(cost_usd_reserved=1)
    held_back = "$0.00 used, $1.00 set aside for calls under way; there is no limit."
    assert held_back in shown(client, row, "budget")
    Budget.objects.filter(goal=row).update(cost_usd_reserved=0)
    text = sent(client, row, "budget", cost_usd="3").content.decode()
    assert "There was no limit; now it is $3.00: $3.00 more can be used." in text


@pytest.mark.parametrize("by", ["budget", "project", "everything"])
def test_resuming_is_offered_only_where_it_is_allowed(client, row, by):
    Goal.objects.filter(pk=row.pk).update(paused_at=timezone.now(), paused_by=by)
    page = reverse("admin:agentsys_orchestration_goal_change", args=[row.pk])
    text = client.get(page).content.decode()
    assert "Change the budget…" in text
    assert "Resume the goal…" not in text
    assert "may go on" not in shown(client, row, "resume")
    Goal.objects.filter(pk=row.pk).update(paused_by="deadline")
    assert "Resume the goal…" in client.get(page).content.decode()


def test_what_was_changed_after_it_was_shown_is_shown_again(client, row):
    first = sent(client, row, "budget", tokens="3000000").content.decode()
    second = client.post(url(row, "budget"), {**fields(first), "tokens": "9000000"})
    assert "2,000,000 tokens becomes 9,000,000 tokens" in second.content.decode()
    assert Budget.objects.get(goal=row).tokens_max == 2_000_000


def test_a_fork_says_what_it_takes_along_and_leads_to_the_new_goal(client, row):
    assert "3 tasks would run there" in shown(client, row, "fork")
    text, done = confirmed(client, row, "fork")
    fork = Goal.objects.order_by("pk").last()
    assert f"after entry {row.ledger_seq}" in text
    assert fork.forked_from == row
    assert done["Location"] == reverse("admin:agentsys_orchestration_goal_change", args=[fork.pk])
    assert "its ledger has entries" in sent(client, row, "fork", at_seq="99999").content.decode()
    assert Goal.objects.count() == 2


def test_cancelling_counts_what_ends_and_needs_no_second_look(client):
    asked = held(goal(tasks=3))
    text = shown(client, asked.goal, "cancel")
    assert "1 open question will be withdrawn" in text
    assert "3 tasks will not be done" in text
    assert sent(client, asked.goal, "cancel", reason="enough").status_code == 302
    assert Goal.objects.get().state == "cancelled"


def test_retrying_names_what_failed(client):
    row = make.goal(project=make.project("alpha"), state="failed", reason="one failed")
    make.task(row, "one", state="failed")
    make.task(row, "two", state="done")
    text = shown(client, row, "retry")
    assert "1 failed task will be tried again, with all its patience: one" in text
    assert sent(client, row, "retry").status_code == 302
    row.refresh_from_db()
    assert row.state == "running"


def test_each_way_to_steer_says_first_what_follows(client, row):
    assert "3 unfinished tasks will stand still" in shown(client, row, "pause")
    assert "0 unfinished tasks of agents with a model will read it" in shown(client, row, "direct")
    assert "at most" not in shown(client, row, "concurrency")
    assert "They ask what is configured now" in shown(client, row, "model")
    make.goal(project=row.project, state="running", priority=7)
    text, done = confirmed(client, row, "priority", priority="5")
    assert "0 becomes 5" in text
    assert "1 would be served before it, 0 in turn with it and 0 after it" in text
    assert done.status_code == 302
    row.refresh_from_db()
    assert row.priority == 5
    assert "is 5 already" in sent(client, row, "priority").content.decode()


def test_how_much_runs_at_once_is_limited_and_freed_again(client, row):
    text, done = confirmed(client, row, "concurrency", running_max="1")
    assert "It had no limit of its own, and would have at most 1" in text
    assert "0 run now: 1 more can begin at once" in text
    assert done.status_code == 302
    assert "1 task at most" in client.get(done["Location"]).content.decode()
    for wrong in ("0", "-1", "many", "99999"):
        text = sent(client, row, "concurrency", running_max=wrong).content.decode()
        seal = fields(text)
        assert (
            "expected" in text
            or "is outside"
            in client.post(url(row, "concurrency"), {**seal, "running_max": wrong}).content.decode()
        )
    assert Goal.objects.get(pk=row.pk).running_max == 1
    confirmed(client, row, "concurrency", running_max="")
    assert Goal.objects.get(pk=row.pk).running_max is None
    told = LedgerEntry.objects.filter(event="goal.concurrency_set").order_by("seq")
    assert [e.payload["to"] for e in told] == [1, None]


def test_the_model_of_a_goal_is_one_that_is_known_here(client, row):
    assert "expected PROVIDER:NAME" in html.unescape(
        sent(client, row, "model", model="gpt").content.decode()
    )
    elsewhere = "openai:m?base_url=http://evil.example/v1"
    assert "for administrators" in sent(client, row, "model", model=elsewhere).content.decode()
    text, done = confirmed(client, row, "model", model="ollama:llama3.2")
    assert "what is configured becomes ollama:llama3.2" in text
    assert done.status_code == 302
    assert "ollama:llama3.2" in client.get(done["Location"]).content.decode()
    assert Goal.objects.get(pk=row.pk).model == "ollama:llama3.2"


# --- A task --------------------------------------------------------------------------------------


def test_a_task_is_paused_with_what_follows_from_it_and_resumed(client, row):
    assert "2 tasks will stand still: a, b" in shown(client, task(row), "pause")
    assert sent(client, task(row), "pause", reason="lunch").status_code == 302
    assert [task(row, key).paused_at is not None for key in "abc"] == [True, True, False]
    assert "2 tasks will go on: a, b" in shown(client, task(row), "resume")
    sent(client, task(row), "resume")
    assert not Task.objects.filter(paused_at__isnull=False).exists()


def test_a_task_is_edited_after_what_runs_again_was_shown(client, row):
    text, done = confirmed(client, task(row), "edit", inputs='{"n": 2}')
    assert "Changed: inputs" in text
    assert "runs, for the first time: a, b" in text
    fresh = task(row)
    assert fresh.definition["inputs"] == {"n": 2}
    assert fresh.definition["objective"] == "one\nmore"
    assert done["Location"] == reverse("admin:agentsys_orchestration_task_change", args=[fresh.pk])


def test_an_edit_that_changes_nothing_or_cannot_be_read_is_refused(client, row):
    posted = fields(shown(client, task(row), "edit"))
    posted["objective"] = posted["objective"].replace("\n", "\r\n")  # as a browser sends it
    same = client.post(url(task(row), "edit"), posted).content.decode()
    assert "no field differs" in same
    assert "not JSON" in sent(client, task(row), "edit", inputs="{").content.decode()
    assert (
        "cannot be edited" in sent(client, task(row), "edit", rest='{"key": "z"}').content.decode()
    )
    assert Task.objects.count() == 3


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": NaN}', "not JSON"),
        ('{"a": 1e999}', "not JSON"),
        ('{"a":' * 900 + "1" + "}" * 900, "nested too deeply"),
    ],
)
def test_json_that_nothing_can_hold_is_refused_where_it_is_typed(client, olga, row, text, why):
    olga.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    for name, given in (("edit", {"inputs": text}), ("override", {"output": text, "reason": "x"})):
        refused = console(User.objects.get(pk=olga.pk)).post(
            url(task(row), name), {"objective": "one", **given}
        )
        assert (refused.status_code, why in refused.content.decode()) == (200, True), name
    assert Task.objects.count() == 3


def test_an_output_is_overridden_after_what_ran_on_it_was_named(olga, row):
    olga.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    client = console(User.objects.get(pk=olga.pk))
    first = pump(row).tasks.get(key="a")
    # As if more were to do.
    Goal.objects.filter(pk=row.pk).update(state="running", finished_at=None)
    made = {"output": '{"echo": {"mine": 1}}', "reason": "by hand", "rerun": "on"}
    text, done = confirmed(client, first, "override", **made)
    assert "On the old output ran: b" in text
    assert done.status_code == 302, done.content.decode()
    assert Attempt.objects.filter(task=first, state="accepted").get().report["output"] == {
        "echo": {"mine": 1}
    }
    assert "reason" in sent(client, first, "override", reason="").content.decode()
    page = client.get(reverse(f"{ADMIN}task_change", args=[first.pk])).content.decode()
    assert page.split("Needed by")[1].split("</dd>")[0].count(">b</a>") == 1  # the one in force
    by_hand = re.search(r"<th scope=\"row\">schema.*?</tr>", page, re.DOTALL)[0].rpartition("<td>")[
        2
    ]
    assert "pass" in by_hand and "overruled" not in by_hand  # nobody said otherwise
    assert "-0.0 s" not in page


def test_an_override_says_which_questions_it_takes_back(olga):
    olga.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    asked = held(goal())
    output = json.dumps(output_to_edit(asked.task_id))
    client = console(User.objects.get(pk=olga.pk))
    answer = client.post(url(asked.task, "override"), {"output": output, "reason": "by hand"})
    assert "1 open question will be withdrawn." in answer.content.decode()


def test_an_override_of_what_failed_begins_with_the_form_of_what_was_handed_in(olga, row):
    olga.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    failed = make.task(make.goal(project=row.project), "a", state="failed")
    make.attempt(failed, state="failed", report={"outcome": "failed", "output": {"exit_code": 3}})
    text = console(User.objects.get(pk=olga.pk)).get(url(failed, "override")).content.decode()
    assert "&quot;exit_code&quot;: 3" in text


def test_an_override_of_what_never_ran_begins_with_an_example_of_its_form(olga, row):
    olga.user_permissions.add(Permission.objects.get(codename="override_verdict"))
    failed = make.task(make.goal(project=row.project), "a", agent="command", state="failed")
    text = console(User.objects.get(pk=olga.pk)).get(url(failed, "override")).content.decode()
    assert "&quot;exit_code&quot;: 0" in text
    gone = make.task(failed.goal, "b", agent="of-a-package-that-is-gone", state="failed")
    assert console(User.objects.get(pk=olga.pk)).get(url(gone, "override")).status_code == 200


def test_what_failed_is_tried_again_from_its_own_page_too(client, row):
    broken = make.task(make.goal(project=row.project, state="failed"), "a", state="failed")
    page = f"{ADMIN}task_change"
    again = reverse("admin:agentsys_goal_deed", args=[broken.goal_id, "retry"])
    assert again in client.get(reverse(page, args=[broken.pk])).content.decode()
    vera = console(person("vera", "viewer", where=row.project.name, is_staff=True))
    assert again not in vera.get(reverse(page, args=[broken.pk])).content.decode()


def test_a_deed_leads_back_to_what_it_is_about(client, row):
    crumbs = shown(client, row, "pause").split('class="as-crumbs"')[1].split("</nav>")[0]
    way = reverse("admin:agentsys_orchestration_goal_change", args=[row.pk])
    assert f'<a href="{way}">{row}</a>' in crumbs


def test_who_may_not_is_refused_at_the_door(row):
    vera = console(person("vera", "viewer", is_staff=True))
    eve = console(person("eve", "admin", where="beta", is_staff=True))
    for name in GOAL_DEEDS:
        assert vera.get(url(row, name)).status_code == 403
        assert vera.post(url(row, name)).status_code == 403
        assert eve.post(url(row, name)).status_code == 302
    for name in ("pause", "edit", "override"):
        assert vera.post(url(task(row), name)).status_code == 403
        assert eve.post(url(task(row), name)).status_code == 302
    assert Goal.objects.count() == 1
    assert not LedgerEntry.objects.filter(actor__in=("vera", "eve")).exists()


def test_an_operator_may_not_override(client, row):
    assert client.get(url(task(row), "override")).status_code == 403


def test_buttons_are_those_that_make_sense(client, row):
    page = client.get(reverse("admin:agentsys_orchestration_task_change", args=[task(row).pk]))
    text = page.content.decode()
    assert "Pause the task…" in text
    assert "Edit the task…" in text
    assert "Override the output…" not in text
    vera = console(person("vera", "viewer", is_staff=True))
    page = vera.get(reverse("admin:agentsys_orchestration_task_change", args=[task(row).pk]))
    assert "Pause the task…" not in page.content.decode()


def test_a_deed_that_there_is_not_leads_away(client, row):
    assert client.get(url(row, "explode")).status_code == 302
