"""The goal's page in a real browser: every tab at 360 px, and tabs that keep themselves true."""

from __future__ import annotations

import pytest
from django.urls import reverse

from orchestration.admin.goal_deeds import GOAL_DEEDS
from orchestration.admin.goalpage import CONTENTS
from orchestration.services.pausing import goal_pause
from tests import factories as make
from tests.api.people import entries, goal, person
from tests.console.test_browser import browser, page, pytestmark, sign_in
from tests.console.test_cost_tab import done
from tests.console.test_pages import console

__all__ = ["browser", "page", "pytestmark"]


def url(live_server, row, tab, kind="goal"):
    path = reverse(f"admin:agentsys_orchestration_{kind}_change", args=[row.pk])
    return f"{live_server.url}{path}?tab={tab}"


@pytest.fixture
def row(live_server):
    """A goal with something on every tab, under names that are long."""
    row = make.goal(
        project=make.project("alpha"), objective="Tidy up the house, " + "every-room-" * 20
    )
    first = make.task(row, "a-task-with-a-rather-long-key-that-goes-on-and-on", state="done")
    for number in range(6):
        done(row, f"done-{number}")
    again = make.task(row, "again", state="ready", with_attempt=False, needs=[first])
    for state in ("failed", "rejected", "queued"):
        make.attempt(again, state=state, reason="x" * 200)
    make.approval(again)
    make.entry(row, "goal.paused", by="goal", reason="y" * 300)
    make.entry(row, "goal.resumed", paused_seconds=1.0)
    make.proposal(make.task(row, "proposes", state="held", needs=[again]))
    return row


def telephone(browser, live_server, *, scripts):
    client = console(person("olga", "operator", is_staff=True))
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, java_script_enabled=scripts
    )
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    context.add_cookies([{**session, "url": live_server.url}])
    return context


@pytest.mark.parametrize("scripts", [False, True])
def test_no_page_of_a_goal_scrolls_sideways_on_a_telephone(browser, live_server, row, scripts):
    context = telephone(browser, live_server, scripts=scripts)
    page = context.new_page()
    task = row.tasks.get(key="again")
    deeds = [("goal", row.pk, name) for name in GOAL_DEEDS]
    deeds += [("task", task.pk, name) for name in ("pause", "edit")]
    pages = [url(live_server, row, tab) for tab in CONTENTS]
    pages += [
        url(live_server, task, "", "task"),
        url(live_server, task.attempts.first(), "", "attempt"),
        *(
            live_server.url + reverse(f"admin:agentsys_{kind}_deed", args=[pk, name])
            for kind, pk, name in deeds
        ),
    ]
    pages += [
        live_server.url + reverse(f"console-{name}") for name in ("notices", "password", "reading")
    ]
    wide = {}
    for each in pages:
        page.goto(each)
        assert page.locator(".as-page h1").count() == 1, each
        wide[each] = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert {each: width for each, width in wide.items() if width > 360} == {}


def test_the_log_grows_while_it_is_open_and_stops_when_told(page, live_server, row):
    sign_in(page, live_server, "olga", "operator")
    page.goto(url(live_server, row, "log"))
    before = page.locator("#as-log > li").count()
    page.wait_for_selector("#as-follow")
    make.entry(row, "goal.directed", directive=1, text="look <here>", actor="ada")
    page.wait_for_selector("#as-log > li:first-child:has-text('look <here>')", timeout=15_000)
    assert page.locator("#as-log > li").count() == before + 1
    page.uncheck("#as-follow")
    entries(row, 2)
    page.check("#as-follow")
    page.wait_for_function(f"document.querySelectorAll('#as-log > li').length == {before + 3}")


def test_the_timeline_is_read_anew_when_something_happens(page, live_server, row):
    sign_in(page, live_server, "olga", "operator")
    page.goto(url(live_server, row, "timeline"))
    assert page.locator("svg title:text('came-later')").count() == 0
    page.click("summary:has-text('The same as a table')")
    make.task(row, "came-later", state="done")
    entries(row, 1)
    page.wait_for_selector(
        "th:has-text('came-later')", timeout=20_000
    )  # and the table is open still


def test_a_new_task_appears_in_the_graph_and_the_state_is_patched(page, live_server, row):
    sign_in(page, live_server, "olga", "operator")
    page.goto(url(live_server, row, "tasks"))
    drawn = page.locator("svg .as-node").count()
    make.task(row, "came-later", state="done")
    entries(row, 1)
    page.wait_for_function(
        f"document.querySelectorAll('svg .as-node').length == {drawn + 1}", timeout=20_000
    )
    goal_pause(row.pk, actor="somebody else")
    page.wait_for_selector("h1 .as-chip:has-text('paused')", timeout=15_000)


def test_a_budget_is_raised_without_a_script(browser, live_server, row):
    context = telephone(browser, live_server, scripts=False)
    page = context.new_page()
    page.goto(url(live_server, row, "tasks"))
    page.click("a:has-text('Change the budget')")
    page.fill("input[name=tokens]", "7000000")
    page.click("button:has-text('Show what would happen')")
    page.wait_for_selector("text=becomes 7,000,000 tokens")
    page.click("button:has-text('Set these limits')")
    page.wait_for_selector("text=7,000,000 tokens")
    row.budget.refresh_from_db()
    assert row.budget.tokens_max == 7_000_000
    context.close()


def test_the_overview_of_a_large_graph_follows_the_scrolling_and_leads_it(page, live_server):
    row = goal(tasks=210)
    sign_in(page, live_server, "olga", "operator")
    page.goto(url(live_server, row, "tasks") + "&fold=no")
    assert page.locator("[data-map] [data-mini]").count() == 210
    frame = page.locator("[data-map] .as-view")
    assert float(frame.get_attribute("width")) == page.evaluate(
        "document.querySelector('[data-graph]').clientWidth"
    )
    page.evaluate("document.querySelector('[data-graph]').scrollLeft = 3000")
    page.wait_for_function(
        "document.querySelector('[data-map] .as-view').getAttribute('x') === '3000'"
    )
    box = page.locator("[data-map]").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    page.wait_for_function("document.querySelector('[data-graph]').scrollLeft > 6000")
    page.wait_for_function("document.querySelector('[data-map] .as-view').getAttribute('x') > 6000")
