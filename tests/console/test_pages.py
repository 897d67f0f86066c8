"""The console's pages: each can be seen, by whom, and with a fixed number of statements."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agentsys.gateway import breakers, roles
from orchestration.models import (
    Artifact,
    Budget,
    LedgerEntry,
    Plan,
    Project,
    Proposal,
    Task,
    WorkerSession,
)
from tests import factories as make
from tests.api.people import goal, held, person
from workers.services import blob_put, drift_record

pytestmark = pytest.mark.django_db

ADMIN = "admin:agentsys_orchestration_"
LISTS = (
    "goal", "approvalrequest", "proposal", "task", "attempt", "artifact", "ledgerentry", "plan",
    "directive", "scopelease",
)  # fmt: skip
TABS = ("tasks", "claims", "board", "ledger", "proposals", "artifacts", "decisions")


def console(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


@pytest.fixture
def request_row():
    row = held(goal(objective="Tidy up the house"))
    sha = blob_put(b"# Report\n<script>alert(1)</script>\n", "text/markdown")
    Artifact.objects.create(
        goal=row.goal, attempt=row.attempt, name="report.md", kind="report",
        media_type="text/markdown", sha256=sha, size=35,
    )  # fmt: skip
    return row


def pages(row):
    yield reverse("admin:index")
    yield from (reverse(f"{ADMIN}{name}_changelist") for name in LISTS)
    one = reverse(f"{ADMIN}goal_change", args=[row.goal_id])
    yield from (f"{one}?tab={tab}" for tab in TABS)
    yield reverse("admin:agentsys_goal_live", args=[row.goal_id])
    yield reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])
    yield reverse(f"{ADMIN}proposal_change", args=[row.proposal_id])
    yield reverse("admin:agentsys_proposal_diff", args=[row.proposal_id])
    yield reverse(f"{ADMIN}task_change", args=[row.task_id])
    yield reverse(f"{ADMIN}attempt_change", args=[row.attempt_id])
    artifact = Artifact.objects.get()
    yield reverse(f"{ADMIN}artifact_change", args=[artifact.pk])
    yield reverse("admin:agentsys_artifact_download", args=[artifact.pk])
    yield reverse(f"{ADMIN}ledgerentry_change", args=[LedgerEntry.objects.first().pk])
    yield reverse(f"{ADMIN}plan_change", args=[Plan.objects.get().pk])
    yield reverse("console-memory")


def test_every_page_can_be_seen_by_a_superuser_and_by_a_member(root, request_row):
    member = console(person("mia", "viewer", is_staff=True))
    for url in pages(request_row):
        for client in (root, member):
            response = client.get(url)
            assert response.status_code == 200, (url, response.headers.get("Location"))


def test_a_stranger_sees_nothing_of_another_project(request_row):
    stranger = console(person("eve", "admin", where="beta", is_staff=True))
    for url in pages(request_row):
        response = stranger.get(url)
        assert response.status_code in (200, 302, 403, 404), url
        assert "Tidy up" not in response.content.decode(errors="replace"), url
        assert "build folder" not in response.content.decode(errors="replace"), url


def test_who_is_no_staff_or_nobody_is_sent_to_sign_in(request_row):
    plain = console(person("pat", "admin"))
    for url in pages(request_row):
        for client in (Client(), plain):
            response = client.get(url)
            assert response.status_code == 302, url
            assert "/login/" in response["Location"]


def test_staff_without_a_project_sees_an_empty_console(request_row):
    newcomer = console(person("newt", is_staff=True))
    assert newcomer.get(reverse("admin:index")).status_code == 200
    assert newcomer.get(reverse(f"{ADMIN}goal_changelist")).status_code == 403


@pytest.mark.parametrize("name", LISTS)
def test_a_list_costs_the_same_however_long_it_is(root, name):
    url = reverse(f"{ADMIN}{name}_changelist") + ("?is=all" if name == "approvalrequest" else "")
    held(goal())
    root.get(url)
    with CaptureQueriesContext(
        connection,
    ) as few:
        root.get(url)
    for _ in range(5):
        held(goal())
    with CaptureQueriesContext(connection) as many:
        root.get(url)
    assert len(many) <= len(few) + 1, [q["sql"] for q in many.captured_queries]


def test_a_goals_page_costs_the_same_however_many_tasks_it_has(root):
    counts = []
    for tasks in (3, 60):
        url = reverse(f"{ADMIN}goal_change", args=[goal(tasks=tasks).pk])
        root.get(url)
        with CaptureQueriesContext(connection) as seen:
            root.get(url)
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_the_home_page_says_what_waits(root, request_row):
    page = root.get(reverse("admin:index")).content.decode()
    assert "Waits for you (1)" in page
    assert "No worker is alive" in page
    WorkerSession.objects.create(host="here", pid=1)
    assert "1 worker alive" in root.get(reverse("admin:index")).content.decode()


def test_the_home_page_says_which_provider_is_left_alone(root, settings, monkeypatch):
    """To superusers: where models are is theirs to know. Of AGENTSYS_MODEL, too, which has no row."""
    settings.AGENTSYS = replace(settings.AGENTSYS, model="openai:m", breaker_outages=1)
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    own = {**options, "global_keyprefix": f"{options['global_keyprefix']}{uuid4().hex[:8]}:"}
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = own
    monkeypatch.setattr(breakers, "_local", breakers.LocalStore())
    roles.forget()
    says = "openai is not asked for a while (open: 1 outages"
    assert says not in root.get(reverse("admin:index")).content.decode()
    breakers.failed("openai")
    assert says in root.get(reverse("admin:index")).content.decode()
    ada = console(person("ada", "viewer"))
    assert says not in ada.get(reverse("admin:index")).content.decode()
    settings.AGENTSYS = replace(settings.AGENTSYS, model="nonsense")
    assert root.get(reverse("admin:index")).status_code == 200


def test_an_empty_console_teaches_the_first_command(root):
    assert "agentsys goals submit" in root.get(reverse("admin:index")).content.decode()


def test_the_root_leads_to_the_console():
    assert Client().get("/")["Location"] == reverse("admin:index")


def test_pages_carry_no_inline_script_of_ours(root, request_row):
    for name, pk in (("goal", request_row.goal_id), ("approvalrequest", request_row.pk)):
        page = root.get(reverse(f"{ADMIN}{name}_change", args=[pk])).content.decode()
        ours = page[page.index('class="as-page"') :]
        assert "onclick" not in ours
        assert "style=" not in ours.split("</main>")[0].split('id="footer"')[0][:20_000]


def test_projects_are_kept_by_their_admins(request_row):
    admin = console(person("amy", "admin", is_staff=True))
    mine = Project.objects.get(name="alpha")
    other = Project.objects.create(name="beta")
    assert admin.get(reverse(f"{ADMIN}project_change", args=[mine.pk])).status_code == 200
    assert admin.get(reverse(f"{ADMIN}project_change", args=[other.pk])).status_code == 302
    viewer = console(person("vic", "viewer", is_staff=True))
    assert viewer.get(reverse(f"{ADMIN}project_change", args=[mine.pk])).status_code == 403
    assert Proposal.objects.count() == 1


def test_limits_moved_in_the_console_are_in_the_ledger(request_row):
    goal = request_row.goal
    wide = Budget.objects.create(project=goal.project, tokens_max=None)
    narrow = Budget.objects.create(task=request_row.task or Task.objects.filter(goal=goal)[0])
    foreign = Budget.objects.create(project=Project.objects.create(name="beta"))
    admin = console(person("amy", "admin", is_staff=True))
    for budget in (wide, narrow, Budget.objects.get(goal=goal)):
        path = reverse(f"{ADMIN}budget_change", args=[budget.pk])
        assert admin.get(path).status_code == 200
        assert admin.post(path, {"tokens_max": 77, "cost_usd_max": "1.5"}).status_code == 302
        budget.refresh_from_db()
        assert (budget.tokens_max, float(budget.cost_usd_max)) == (77, 1.5)
    assert admin.get(reverse(f"{ADMIN}budget_change", args=[foreign.pk])).status_code == 302
    told = goal.ledger.filter(event="budget.set", actor="amy")
    assert {e.payload["budget"].split("-")[0] for e in told} == {"project", "goal", "task"}


def test_an_attempts_page_charts_its_drift(root, request_row):
    attempt = request_row.attempt
    url = reverse(f"{ADMIN}attempt_change", args=[attempt.pk])
    assert b"as-drift" not in root.get(url).content
    facts = dict.fromkeys(("coverage", "off_scope", "repeated", "far", "idle", "distance"), 0.5)
    for step, score, outcome in ((3, 0.1, "on"), (6, 0.5, "leaning"), (9, 0.9, "drifted")):
        drift_record(
            lineage=attempt.lineage, step=step, attempt_id=attempt.pk, score=score, limit=0.6,
            outcome=outcome, reasons=["<b>far</b>"], **facts,
        )  # fmt: skip
    page = root.get(url).content.decode()
    assert page.count("<circle") == 3
    assert "step 9: 0.90, drifted" in page
    assert "<b>far</b>" not in page


def test_a_goal_that_only_a_person_moves_says_so_wherever_its_state_stands(root, request_row):
    one = request_row.goal
    shown = f"{ADMIN}goal"
    pages = (
        reverse("admin:index"),
        reverse(f"{shown}_changelist"),
        reverse(f"{shown}_change", args=[one.pk]),
    )
    says = "</span> waiting</span>"
    assert [says in root.get(page).content.decode() for page in pages] == [True] * 3
    live = reverse("admin:agentsys_goal_live", args=[one.pk])
    assert root.get(live).json()["state"] == "waiting"
    make.task(one, "beside", state="running")
    assert [says in root.get(page).content.decode() for page in pages] == [False] * 3
    assert root.get(live).json()["state"] == "running"


def test_the_way_back_leads_over_the_console_and_never_to_a_bare_list_of_tables(root, request_row):
    bare = reverse("admin:app_list", args=["agentsys_orchestration"])
    for path in (reverse(f"{ADMIN}goal_changelist"), reverse(f"{ADMIN}schedule_add")):
        header = root.get(path).content.decode().split("<h1", 1)[1].split("</h1>")[0]
        assert f'href="{bare}"' not in header
        assert f'href="{reverse("admin:index")}"' in header
    assert root.get(bare).url == reverse("admin:index")  # where Django's own breadcrumbs lead
