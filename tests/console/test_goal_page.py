"""The goal's page, tab by tab: what it shows, for how many statements, and never more with more rows."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestration.admin.goalpage import CONTENTS
from orchestration.models import Attempt, Dependency, Goal, Task
from tests import factories as make
from tests.api.people import goal, held, person
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db

QUERIES_MAX = 50


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


def url(row, tab="tasks", **asked):
    query = "&".join(f"{name}={value}" for name, value in {"tab": tab, **asked}.items())
    return reverse("admin:agentsys_orchestration_goal_change", args=[row.pk]) + f"?{query}"


def page(client, *args, **asked):
    response = client.get(url(*args, **asked))
    assert response.status_code == 200, response.headers.get("Location")
    return response.content.decode()


def big(tasks=1000, done=950):
    """A goal of many tasks in ten phases, a chain of each phase's first; most are done."""
    row = goal(tasks=0)
    plan = row.plans.get()
    now = timezone.now()
    definition = {"objective": "x", "inputs": {}}
    made = Task.objects.bulk_create(
        Task(
            goal=row, plan=plan, key=f"task-{n:04}", phase=f"phase-{n * 10 // tasks}", agent="noop",
            lane="cheap", definition=definition, definition_hash="x", state="ready", attempts_count=1,
            started_at=now - timedelta(seconds=tasks - n),
        )
        for n in range(tasks)
    )  # fmt: skip
    over = made[:done]
    tries = Attempt.objects.bulk_create(
        Attempt(
            task=task, goal=row, number=1, lineage=f"t{task.pk}", lane="cheap", state="accepted",
            started_at=task.started_at, reported_at=task.started_at, finished_at=now, report={},
        )
        for task in over
    )  # fmt: skip
    for task, each in zip(over, tries, strict=True):
        task.state, task.accepted_attempt, task.finished_at = "done", each, now
    Task.objects.bulk_update(over, ["state", "accepted_attempt", "finished_at"], batch_size=200)
    heads = made[:: tasks // 10]
    Dependency.objects.bulk_create(
        Dependency(task=after, needs=before)
        for before, after in zip(heads, heads[1:], strict=False)
    )
    return row


# --- Every tab -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tab", CONTENTS)
def test_a_goal_of_a_thousand_tasks_is_shown_for_fifty_statements(root, tab):
    row = big()
    root.get(url(row, tab))
    with CaptureQueriesContext(connection) as seen:
        text = page(root, row, tab)
    assert len(seen) <= QUERIES_MAX, [q["sql"][:100] for q in seen.captured_queries]
    assert len(text) < 1_500_000
    assert "style=" not in text[text.index('class="as-page"') :].split("</main>")[0]


@pytest.mark.parametrize("tab", CONTENTS)
def test_a_tab_costs_the_same_however_much_there_is(root, tab):
    row = held(goal(tasks=2)).goal
    root.get(url(row, tab))
    with CaptureQueriesContext(connection) as few:
        root.get(url(row, tab))
    more = make.task(row, "more", state="done")
    for number in range(8):
        one = make.task(row, f"again-{number}", state="running", needs=[more])
        make.proposal(one, state="applied")
        make.entry(row, "task.retried", task_id=one.pk, delay_seconds=2.0)
    with CaptureQueriesContext(connection) as many:
        root.get(url(row, tab))
    assert len(many) <= len(few) + 2, [q["sql"][:120] for q in many.captured_queries]


@pytest.mark.parametrize("tab", CONTENTS)
def test_nothing_of_it_is_seen_from_another_project(tab):
    row = goal(objective="Canary one")
    stranger = console(person("eve", "admin", where="beta", is_staff=True))
    response = stranger.get(url(row, tab))
    assert response.status_code == 302
    for name in ("agentsys_goal_tail", "agentsys_goal_live"):
        answer = stranger.get(reverse(f"admin:{name}", args=[row.pk]))
        assert (answer.status_code, b"step-0" in answer.content) == (404, False)


def test_a_tab_that_is_not_there_is_the_first(root):
    assert 'id="tasks"' in page(root, goal(), "nonsense")


# --- Tasks ---------------------------------------------------------------------------------------


def test_what_is_over_is_folded_and_can_be_unfolded(root):
    row = big(tasks=200, done=100)
    folded = page(root, row)
    assert folded.count('class="as-node') == 5 + 100
    assert "Unfold it" in folded
    assert page(root, row, fold="no").count('class="as-node') == 200


def test_a_group_is_followed_to_its_tasks(root):
    row = big(tasks=1000, done=1000)
    text = page(root, row)
    assert text.count('class="as-node') == 10
    assert "group=phase-3" in text
    one = page(root, row, group="phase-3")
    assert one.count('class="as-node') == 100
    drawn = one.split("data-graph")[1]
    assert ">task-0300<" in drawn
    assert ">task-0400<" not in drawn


def test_tasks_are_found_by_words_and_by_state(root):
    row = big(tasks=200, done=100)
    found = page(root, row, q="task-0007")
    assert (found.count('class="as-node'), ">task-0007<" in found) == (1, True)
    assert ">task-0150<" in page(root, row, state="ready")
    assert ">task-0007<" not in page(root, row, state="ready")
    assert "No task is like that" in page(root, row, q="nowhere")


def test_the_table_is_paged_and_keeps_what_was_asked(root):
    row = big(tasks=250, done=0)
    second = page(root, row, p=2, state="ready")
    assert "101–200 of 250" in second
    assert "state=ready&amp;p=3" in second


def test_the_critical_path_is_said_in_words_too(root):
    text = page(root, goal(tasks=3))
    chain = text.split("Critical path")[1].split("</p>")[0]
    assert [chain.index(f"step-{n}") for n in range(3)] == sorted(
        chain.index(f"step-{n}") for n in range(3)
    )


def test_the_script_is_told_of_the_nodes_that_are_drawn(root):
    row = big(tasks=200, done=100)
    for asked in ({}, {"q": "task-00"}, {"group": "phase-1"}, {"fold": "no"}):
        text = page(root, row, **asked)
        live = text.split('data-live="')[1].split('"')[0].replace("&amp;", "&")
        nodes = root.get(live).json()["nodes"]
        assert {each["name"] for each in nodes} == {
            part.split('"')[0] for part in text.split('data-node="')[1:]
        }


def test_a_blocked_task_says_what_it_waits_for_in_no_more_statements(root):
    row = make.goal()
    done = make.task(row, "done-before", state="done")
    given_up = make.task(row, "given-up", state="failed", optional=True)
    left = [make.task(row, f"left-{number}", state="running") for number in range(5)]
    one = make.task(row, "waits", needs=[done, given_up, left[0]])
    many = make.task(row, "waits-long", needs=left)
    make.task(row, "refused", state="blocked", needs=[left[0]], reason="a person said no")
    text = page(root, row)
    said = dict(re.findall(r'data-row="t(\d+)".*?data-part="waits">(.*?)<', text))
    assert said[str(one.pk)] == "waits for left-0"
    assert said[str(many.pk)] == "waits for left-0, left-1, left-2 +2"
    assert said[str(left[0].pk)] == ""
    assert "a person said no" in text
    live = reverse("admin:agentsys_goal_live", args=[row.pk])
    nodes = {each["name"]: each["waits"] for each in root.get(live).json()["nodes"]}
    assert nodes[f"t{many.pk}"] == "left-0, left-1, left-2 +2"
    Task.objects.filter(pk=one.pk).update(state="ready")
    assert 'waits">waits for left-0<' not in page(root, row)


# --- Timeline and grid ---------------------------------------------------------------------------


def test_the_timeline_draws_every_attempt_and_says_the_same_in_a_table(root):
    row = make.goal()
    one = make.task(row, "one", state="ready", with_attempt=False)
    make.attempt(one, state="failed")
    make.attempt(one, state="rejected")
    make.attempt(one, state="queued")
    make.approval(one)
    text = page(root, row, "timeline")
    drawn, table = text.split("The same as a table")
    for each in one.attempts.all():
        link = reverse("admin:agentsys_orchestration_attempt_change", args=[each.pk])
        assert link in drawn
        assert link in table
    assert "as-g-held" in drawn
    assert "as-g-queued" in drawn


def test_a_pause_is_shaded_and_tasks_that_have_not_begun_are_counted(root):
    row = make.goal()
    make.task(row, "one", state="done")
    make.task(row, "two")
    make.entry(row, "goal.paused", by="goal")
    text = page(root, row, "timeline")
    assert "The goal was paused" in text
    assert "1 task has not been tried yet" in text


def test_of_a_task_that_was_tried_often_the_latest_are_drawn(root):
    row = make.goal()
    one = make.task(row, "one", state="ready", with_attempt=False)
    for _ in range(9):
        make.attempt(one, state="failed")
    text = page(root, row, "timeline")
    assert text.count("attempt 9 (failed)") == 1
    assert "attempt 3 (failed)" not in text
    assert "9 attempts; 3 earlier ones are not drawn" in text


def test_a_backoff_is_told_from_the_ledger(root):
    row = make.goal()
    one = make.task(row, "one", state="ready", with_attempt=False)
    make.attempt(one, state="failed")
    make.entry(row, "task.retried", task_id=one.pk, delay_seconds=3600.0)
    make.attempt(one, state="queued")
    text = page(root, row, "timeline")
    assert "attempt 2 (queued): waited before it was tried again" in text


def test_the_timeline_can_be_of_the_last_hour(root):
    row = make.goal(started_at=timezone.now() - timedelta(days=3))
    long_ago = timezone.now() - timedelta(days=2)
    old = make.task(row, "old", state="done", started_at=long_ago, finished_at=long_ago)
    make.task(row, "new", state="done")
    whole, last = page(root, row, "timeline"), page(root, row, "timeline", window="1h")
    assert (">old<" in whole, ">old<" in last, ">new<" in last) == (True, False, True)
    assert old.finished_at == long_ago


def test_the_grid_has_a_cell_an_attempt_and_a_sign_in_each(root):
    row = make.goal()
    one = make.task(row, "one", state="ready", with_attempt=False)
    make.attempt(one, state="failed")
    make.attempt(one, state="accepted")
    make.task(row, "two", state="done")
    text = page(root, row, "grid")
    assert text.count('class="as-cell') == 3
    assert 'aria-label="one, attempt 1: failed">✕' in text
    narrowed = page(root, row, "grid", only="retried")
    assert narrowed.count('class="as-cell') == 2


def test_the_grid_is_capped_to_its_columns(root):
    row = make.goal()
    one = make.task(row, "one", state="ready", with_attempt=False)
    for _ in range(20):
        make.attempt(one, state="failed")
    text = page(root, row, "grid")
    assert text.count('class="as-cell') == 11
    assert "9 earlier" in text
    assert "attempt 20: failed" in text


def test_the_grid_is_paged(root):
    text = page(root, big(tasks=250, done=250), "grid", p=3)
    assert text.count('class="as-cell') == 50
    assert "201–250 of 250" in text


def test_commands_in_the_sentence_about_a_goal_are_told_apart_from_its_words(root):
    row = make.goal(state="failed", reason="failed: lint")
    make.task(row, "lint", state="failed", reason="broke")
    assert f"<code>goals retry {row.pk}</code> tries the failed tasks again" in page(root, row)
    Goal.objects.filter(pk=row.pk).update(reason="`<b>` and `")
    assert "`&lt;b&gt;` and `" in page(root, Goal.objects.get())
