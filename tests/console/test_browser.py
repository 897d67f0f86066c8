"""The console in a real browser: signing in, deciding, and a goal's page that keeps itself true."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from memory import services as memory
from orchestration.api import events
from orchestration.models import ApprovalRequest, Goal
from orchestration.services.pausing import goal_pause
from tests.api.people import entries, goal, held, person, project
from tests.console.test_pages import console

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium at /usr/bin/chromium"),
]


@pytest.fixture
def browser(monkeypatch):
    # Its synchronous interface runs a loop in this thread; the ORM is used here all the same.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()
        connections.close_all()  # inside the loop this thread has a connection of its own
    for thread in threading.enumerate():  # the server's, each with a connection to the database
        if "process_request_thread" in thread.name:
            thread.join(timeout=15)


@pytest.fixture
def page(browser, live_server):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    tab = context.new_page()
    tab.on("pageerror", lambda error: problems.append(str(error)))
    yield tab
    context.close()
    streams_end()
    assert not problems


def streams_end():
    """Wait until no event stream is open: a reader's leaving is noticed late here."""
    for row in Goal.objects.filter(finished_at=None):
        Goal.objects.filter(pk=row.pk).update(state="cancelled", finished_at=timezone.now())
        entries(row, 1)
    taken = 0
    try:
        while taken < events.STREAMS_MAX:
            assert events._places.acquire(timeout=40)  # two heartbeats, and a busy machine
            taken += 1
    finally:
        for _ in range(taken):
            events._places.release()


def sign_in(page, live_server, name="ada", role="approver"):
    person(name, role, is_staff=True)
    page.goto(live_server.url)
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", "pass")
    page.click("button[type=submit], input[type=submit]")
    page.wait_for_selector("#as-inbox")


def test_one_request_is_approved_and_another_rejected(page, live_server):
    first, second = held(goal()), held(goal(objective="Tidy more"))
    sign_in(page, live_server)
    assert "Waits for you (2)" in page.inner_text("#as-inbox")
    page.click("text=Open the inbox")
    page.click(f"a:text-is('{first}')")
    assert "rm" in page.inner_text(".as-argv")
    page.check("input[value=approve]")
    page.fill("textarea[name=reason]", "looks right")
    page.click("text=Record the decision")
    page.wait_for_url("**/approvalrequest/")
    page.click(f"a:text-is('{second}')")
    page.check("input[value=reject]")
    page.fill("textarea[name=reason]", "not today")
    page.click("text=Record the decision")
    page.wait_for_url("**/approvalrequest/")
    states = dict(ApprovalRequest.objects.values_list("pk", "state"))
    assert states == {first.pk: "approved", second.pk: "rejected"}
    page.goto(
        live_server.url
        + reverse("admin:agentsys_orchestration_approvalrequest_change", args=[second.pk])
    )
    assert "not today" in page.inner_text(".as-page")
    assert page.locator("text=Record the decision").count() == 0


def test_a_goals_page_draws_its_tasks_and_follows_the_goal(page, live_server):
    row = goal(tasks=5)
    sign_in(page, live_server, "olga", "operator")
    page.goto(live_server.url + reverse("admin:agentsys_orchestration_goal_change", args=[row.pk]))
    assert page.locator("svg .as-node").count() == 5
    assert page.locator("svg .as-edges:not(.as-critical) path").count() == 4
    goal_pause(row.pk, actor="somebody else")
    page.wait_for_selector("h1 .as-chip:has-text('paused')", timeout=15_000)


def test_a_goal_is_steered_on_a_telephone(browser, live_server):
    row = goal()
    client = console(person("olga", "operator", is_staff=True))
    context = browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    context.add_cookies([{**session, "url": live_server.url}])
    page = context.new_page()
    page.goto(live_server.url + reverse("admin:agentsys_orchestration_goal_change", args=[row.pk]))
    page.click("text=Pause the goal…")
    page.wait_for_selector("text=will stand still")
    page.click("button:text-is('Pause')")
    page.wait_for_selector("h1 .as-chip:has-text('paused')")
    assert Goal.objects.get().paused_at is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_a_memory_is_corrected_on_a_telephone(browser, live_server):
    pk = memory.remember(project("alpha").namespace, "semantic", "The port is 80 " + "x" * 200)
    client = console(person("ada", "admin", is_staff=True))
    context = browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    context.add_cookies([{**session, "url": live_server.url}])
    page = context.new_page()
    page.goto(live_server.url + reverse("console-memory") + "?q=port")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click(f"a:text-is('Memory {pk}')")
    page.fill("textarea[name=text]", "The port is 8443")
    page.click("button:text-is('Correct')")
    page.wait_for_selector("text=The newer version holds from now on.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
