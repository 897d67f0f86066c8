"""Home: how it went by agent and by model, what fails and why, when goals may be done, the first goal."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from orchestration.admin import home
from orchestration.models import Attempt, Budget, Goal, Project, Standstill, Task
from orchestration.services.forecasts import forecasts
from orchestration.services.progress import progress_of
from orchestration.services.trends import failures, trends
from tests.api.people import goal, held, person
from tests.console.test_pages import console
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from verification.services import VerdictRow, verdicts_insert
from workers.models import ModelCall

pytestmark = pytest.mark.django_db


def tried(row: Goal, **fields: Any) -> Attempt:
    """An attempt of the goal's first task that took ten seconds and ended an hour ago."""
    task = row.tasks.order_by("id")[0]
    ended = timezone.now() - timedelta(hours=1)
    number = task.attempts.count() + 1
    given = {
        "state": "accepted", "started_at": ended - timedelta(seconds=10), "reported_at": ended,
        "finished_at": ended, "tokens": 100, "lane": "cheap", **fields,
    }  # fmt: skip
    return Attempt.objects.create(task=task, goal=row, number=number, lineage=f"l{number}", **given)


def called(attempt: Attempt, model: str = "openai:m", **fields: Any) -> None:
    given = {
        "role": "model",
        "input_tokens": 70,
        "output_tokens": 30,
        "latency_ms": 500,
        "outcome": "ok",
    }
    ModelCall.objects.create(
        attempt_id=attempt.pk, goal_id=attempt.goal_id, model=model, **{**given, **fields}
    )


def grounded(attempt: Attempt, claims: int, ungrounded: int) -> None:
    draft = VerdictDraft(
        verifier="grounding", kind=Kind.GROUNDING, outcome=VerdictOutcome.PASS,
        evidence={"claims": claims, "ungrounded": ungrounded},
    )  # fmt: skip
    row = VerdictRow(
        attempt_id=attempt.pk, goal_id=attempt.goal_id, verifier="grounding", voter="",
        kind=Kind.GROUNDING, draft=draft, spec_hash="s", artifact_hash="a",
    )  # fmt: skip
    verdicts_insert([row])


def whole(by: str, projects: list[int] | None = None) -> dict[str, dict[str, float | None]]:
    """chart → agent or model → figure of the last day."""
    return {
        chart.key: {series.name: series.whole for series in chart.series}
        for chart in trends("24h", by, projects).charts
    }


@pytest.fixture
def worked() -> Goal:
    row = goal()
    tried(row, state="failed", reason="it broke at line 17 of 0a1b2c3d4e5f")
    tried(row, state="failed", reason="it broke at line 99 of deadbeef0000")
    last = tried(row)
    called(last)
    called(last, outcome="timeout", latency_ms=1500, output_tokens=0, input_tokens=0)
    called(last, "openai:judge", role="verifier", output_tokens=900)
    grounded(last, 4, 1)
    return row


def test_each_chart_counts_what_it_says_by_agent(worked):
    seen = whole("agent")
    assert seen["tokens"] == {"": 300, "command": 300}
    assert seen["latency"] == {"": 10, "command": 10}
    assert seen["errors"] == {"": pytest.approx(2 / 3), "command": pytest.approx(2 / 3)}
    assert seen["hallucination"] == {"": 0.25, "command": 0.25}
    assert seen["quality"] == {"": 0, "command": 0}  # the third attempt is not the first


def test_each_chart_counts_what_it_says_by_model(worked):
    first = tried(goal())
    called(first, "openai:m")
    seen = whole("model")
    assert seen["tokens"]["openai:m"] == 200
    assert seen["errors"]["openai:m"] == pytest.approx(1 / 3)
    assert seen["latency"]["openai:m"] == 0.5
    assert seen["hallucination"] == {"": 0.25, "openai:m": 0.25}  # a judge wrote none of it
    assert seen["quality"] == {"": 0.5, "openai:m": 0.5}


def test_what_is_older_than_the_span_is_in_the_week_only(worked):
    Attempt.objects.update(reported_at=timezone.now() - timedelta(days=3))
    assert whole("agent")["tokens"] == {}
    (chart, *_) = trends("7d", "agent", None).charts
    values = chart.series[0].values
    assert (len(values), chart.series[0].whole) == (28, 300)
    assert [value for value in values if value] == [300]


def test_figures_are_those_of_ones_own_projects(worked):
    mine = Project.objects.create(name="beta").pk
    assert all(not found for found in whole("agent", [mine]).values())
    assert all(not found for found in whole("model", [mine]).values())
    assert failures("24h", [mine]) == []
    assert whole("agent", [worked.project_id])["tokens"][""] == 300


def test_failures_that_differ_in_numbers_only_are_one(worked):
    other = tried(worked, state="rejected", reason="another thing")
    first, second = failures("24h", None)
    assert (first.count, first.goals, first.states) == (2, 1, ["failed"])
    assert first.reason == "it broke at line 99 of deadbeef0000"
    assert (second.attempt_id, second.reason) == (other.pk, "another thing")


@pytest.mark.parametrize("by", ["agent", "model", "nonsense"])
def test_home_draws_them_without_a_script_and_with_their_numbers(worked, by):
    client = console(person("vera", "viewer", is_staff=True))
    page = client.get(reverse("admin:index"), {"by": by, "span": "7d"}).content.decode()
    for title in (
        "Token usage",
        "Execution latency",
        "Error rate",
        "Hallucination",
        "Completion quality",
    ):
        assert title in page
    assert page.count('<svg role="img"') >= 8
    assert "over the whole time" in page
    assert "it broke at line" in page
    ours = page[page.index("as-home") : page.index("as-decided") if "as-decided" in page else None]
    assert (
        "style=" not in ours.split("</main>")[0][:60_000].split('id="content-related"')[0][:20_000]
    )


def test_a_stranger_sees_no_figure_of_another_project(worked):
    Attempt.objects.filter(state="failed").update(reason="canary reason")
    called(Attempt.objects.latest("pk"), "canary:model")
    goal("beta")
    eve = console(person("eve", "admin", where="beta", is_staff=True))
    for by in ("agent", "model"):
        page = eve.get(reverse("admin:index"), {"by": by}).content.decode()
        assert "canary" not in page
        assert "Nothing to show for this time" in page


def test_home_costs_the_same_however_much_there_is(worked):
    client = console(person("ada", "approver", is_staff=True))
    counts = []
    for _ in range(2):
        client.get(reverse("admin:index"))
        with CaptureQueriesContext(connection) as seen:
            client.get(reverse("admin:index"))
        counts.append(len(seen))
        for number in range(12):
            row = held(goal(objective=f"goal {number}")).goal
            tried(row, state="failed", reason=f"{'x' * number} broke")
            called(tried(row, state="lost"), f"openai:m{number}")
    assert counts[1] <= counts[0] <= 50, counts


# --- When it may be done --------------------------------------------------------------------------


def paced(seconds: list[float], left: int = 4) -> Goal:
    """A goal whose first tasks took these seconds, one after the other, with `left` to come."""
    row = goal(tasks=len(seconds) + left)
    begun = timezone.now() - timedelta(seconds=sum(seconds))
    for task, took in zip(row.tasks.order_by("id"), seconds, strict=False):
        attempt = Attempt.objects.create(
            task=task, goal=row, number=1, lineage="x", lane="cheap", state="accepted",
            started_at=begun, reported_at=begun + timedelta(seconds=took),
            finished_at=begun + timedelta(seconds=took),
        )  # fmt: skip
        Task.objects.filter(pk=task.pk).update(
            state="done", accepted_attempt=attempt, started_at=begun, finished_at=timezone.now()
        )
        begun += timedelta(seconds=took)
    return row


def test_the_middle_of_a_range_is_what_progress_says():
    row = paced([10, 12, 8, 10, 11, 9])
    seen = forecasts([row.pk])[row.pk]
    assert seen.seconds == pytest.approx(progress_of(row.pk).eta_seconds, rel=0.05)
    assert seen.soonest < seen.seconds < seen.latest
    assert (seen.done, seen.total) == (6, 10)


def test_the_range_is_wider_where_attempts_differ_more():
    calm, wild = paced([10] * 6), paced([1, 19, 2, 18, 3, 17])
    seen = forecasts([calm.pk, wild.pk])
    assert seen[calm.pk].latest - seen[calm.pk].soonest < 1
    assert seen[wild.pk].latest - seen[wild.pk].soonest > 20


def test_there_is_no_range_before_there_is_a_pace_and_home_says_so():
    row = paced([10, 10])
    assert forecasts([row.pk])[row.pk].seconds is None
    held(goal(tasks=1))
    Budget.objects.filter(goal=row).update(tokens_spent=1234, cost_usd_spent="0.5", cost_usd_max=2)
    page = console(person("vera", "viewer", is_staff=True)).get(reverse("admin:index"))
    for said in ("learning the pace", "waits for people", "1,234 tokens, $0.50 of $2.00"):
        assert said in page.content.decode()
    with translation.override("de"):
        assert "$0,50" in home.spent(Budget.objects.get(goal=row))


# --- What stands still, and the first goal ------------------------------------------------------


def test_home_looks_as_the_other_pages_do_and_has_their_line_for_the_reader():
    seen = console(person("vera", "viewer", is_staff=True)).get(reverse("admin:index"))
    home = seen.content.decode()
    assert home.count("console/console.css") == 1
    assert home.count("console/reader.js") == 1
    assert 'class="as-reader"' in home


def test_home_says_what_is_paused_as_a_whole():
    Project.objects.filter(pk=goal().project_id).update(
        paused_at=timezone.now(), paused_actor="amy", paused_reason="an audit"
    )
    Standstill.objects.create(pk=1, actor="ada", reason="the disk")
    page = console(person("vera", "viewer", is_staff=True)).get(reverse("admin:index"))
    assert "Everything is paused by ada: the disk" in page.content.decode()
    assert "Project alpha is paused by amy: an audit" in page.content.decode()
    other = console(person("eve", "viewer", where="beta", is_staff=True)).get(
        reverse("admin:index")
    )
    assert "an audit" not in other.content.decode()


@pytest.fixture
def checkout(tmp_path, settings):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    words = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "x",
    ]
    subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    settings.BASE_DIR = tmp_path
    return tmp_path


def test_the_demo_begins_by_a_button_and_only_once(checkout):
    client = console(person("olga", "operator", is_staff=True))
    assert "Start the demo goal" in client.get(reverse("admin:index")).content.decode()
    for _ in range(2):
        response = client.post(reverse("admin:index"))
        (row,) = Goal.objects.all()
        assert response["Location"].endswith(f"/goal/{row.pk}/change/")
    assert (row.contract["playbook"], row.created_by) == ("repo-care", "olga")
    assert (row.repository, row.project.name, row.state) == (str(checkout), "alpha", "running")
    assert "Start the demo goal" not in client.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("role", ["viewer", "approver", "auditor"])
def test_who_may_not_submit_is_offered_no_demo(role, checkout):
    client = console(person(role, role, is_staff=True))
    assert "Start the demo goal" not in client.get(reverse("admin:index")).content.decode()
    assert client.post(reverse("admin:index")).status_code == 403
    assert not Goal.objects.exists()


def test_a_demo_without_a_repository_is_refused_with_the_reason(tmp_path, settings):
    settings.BASE_DIR = tmp_path / "nowhere"
    client = console(person("root", is_staff=True, is_superuser=True))
    page = client.post(reverse("admin:index"), follow=True).content.decode()
    assert "The demo cannot begin" in page
    assert not Goal.objects.exists()
