"""Every screen in a real browser, and the acts at them that people do: edit, answer, decide as the second."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from orchestration.models import ApprovalRequest, Decision, Goal
from orchestration.services.pausing import task_pause, task_resume
from tests.api.people import goal, held, person
from tests.console.test_browser import browser, page, pytestmark, sign_in, streams_end
from tests.console.test_home_figures import checkout
from tests.console.test_pages import ADMIN, console
from tests.orchestration.pump import node, pump, submit, task_named
from tests.orchestration.swarming import over, run
from tests.permissions.console_stock import filled
from tests.permissions.test_console_matrix import MODELS, PAGES, Console
from verification import policies
from workers.services import drift_record

__all__ = ["browser", "checkout", "page", "pytestmark"]

# Not ours, or no page: the admin's own about itself, pieces and streams that scripts ask for, files.
PIECES = re.compile(r"live/|tail/|stream/|jsi18n|autocomplete|/search/$|diff/|download/|swarm/")


def narrow(browser, live_server, user, **options):
    """A tab 360 px wide of somebody who is signed in."""
    client = console(user)
    context = browser.new_context(viewport={"width": 360, "height": 740}, **options)
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    context.add_cookies([{**session, "url": live_server.url}])
    return context.new_page()


def screens(stock: Any, keys: Any) -> list[str]:
    """The address of every list, row and form of the admin, and of every page of ours."""
    found = []
    for label, pages in MODELS.items():
        name = f"admin:{label.replace('.', '_')}"
        found += [reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[keys[label]])]
        found += [reverse(f"{name}_add")] if pages.add != "no one" else []
    own = Console(stock, keys, {})
    for route, (first, *_) in PAGES.items():
        if first.posts is None and not PIECES.search(route):
            found.append(own.url(route, first))
    return found


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_screen_opens_on_a_telephone_and_none_scrolls_sideways(
    browser, live_server, language
):
    root = person("root", is_staff=True, is_superuser=True)
    stock, keys = filled("alpha", "A mark", root)
    tab = narrow(browser, live_server, root, locale=language)
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(f"{tab.url}: {error}"))
    wide = {}
    for path in screens(stock, keys):
        answer = tab.goto(live_server.url + path)
        assert answer.status == 200, path
        assert path.rstrip("/") in tab.url, f"{path} leads to {tab.url}"
        wide[path] = tab.evaluate("document.documentElement.scrollWidth")
    tab.context.close()
    assert problems == []
    assert {path: width for path, width in wide.items() if width > 360} == {}


def test_a_goals_page_follows_a_goal_that_runs_to_its_end(page, live_server):
    row = submit(node("first"), node("second", "first"), project="alpha")
    task_pause(task_named(row, "second").pk, actor="tester")
    sign_in(page, live_server, "olga", "operator")
    page.goto(live_server.url + reverse(f"{ADMIN}goal_change", args=[row.pk]))
    assert page.inner_text("[data-part=count]") == "0/2"
    assert page.inner_text("[data-part=waits]:text('waits for')") == "waits for first"
    pump(row)
    page.wait_for_selector("[data-part=count]:text-is('1/2')", timeout=20_000)
    page.wait_for_selector("[data-part=waits]:text('waits for')", state="detached")
    task_resume(task_named(row, "second").pk, actor="tester")
    pump(row)
    page.wait_for_selector("h1 .as-chip:has-text('succeeded')", timeout=20_000)
    assert page.inner_text("[data-part=count]") == "2/2"


def test_a_german_page_stays_german_while_the_goal_goes_on(browser, live_server):
    row = submit(node("first"), node("second", "first"), project="alpha")
    task_pause(task_named(row, "second").pk, actor="tester")
    client = console(person("olga", "operator", is_staff=True))
    context = browser.new_context(locale="de-DE")
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    context.add_cookies([{**session, "url": live_server.url}])
    tab = context.new_page()
    tab.goto(live_server.url + reverse(f"{ADMIN}goal_change", args=[row.pk]))
    assert tab.inner_text("[data-part=waits]:text('wartet')") == "wartet auf first"
    pump(row)
    tab.wait_for_selector("[data-part=count]:text-is('1/2')", timeout=20_000)
    assert "1 von 2 Aufgaben sind erledigt" in tab.inner_text("[data-part=why]")
    drawn = tab.locator("[data-node] title").all_text_contents()
    assert drawn == ["first · noop · erledigt", "second · noop · bereit"]
    context.close()
    streams_end()


def asked(**fields: Any) -> ApprovalRequest:
    return held(goal(), **{"risk": "write", **fields})


def opened(tab: Any, live_server: Any, row: ApprovalRequest) -> None:
    tab.goto(live_server.url + reverse(f"{ADMIN}approvalrequest_change", args=[row.pk]))


@pytest.mark.parametrize("scripts", [False, True])
def test_an_action_is_edited_and_approved_and_another_is_answered(browser, live_server, scripts):
    first, second = asked(), asked()
    ada = person("ada", "approver", is_staff=True)
    tab = narrow(browser, live_server, ada, java_script_enabled=scripts)
    opened(tab, live_server, first)
    tab.check("input[value=edit]")
    payload = tab.locator("textarea[name=payload]")
    if not payload.is_visible():
        tab.click("details:has(textarea[name=payload]) > summary")
    less = {"argv": ["rm", "-r", "build/old"], "why": "it is old"}
    payload.fill(json.dumps(less))
    tab.fill("textarea[name=reason]", "not all of it")
    tab.click("text=Record the decision")
    tab.wait_for_url("**/approvalrequest/")
    opened(tab, live_server, second)
    tab.check("input[value=respond]")
    tab.fill("textarea[name=reason]", "Archive it instead")
    tab.click("text=Record the decision")
    tab.wait_for_url("**/approvalrequest/")
    tab.context.close()
    said = dict(Decision.objects.values_list("request", "decision"))
    assert said == {first.pk: "edit", second.pk: "respond"}
    assert Decision.objects.get(request=second).reason == "Archive it instead"
    assert Decision.objects.get(request=first).payload == less


def test_a_second_approver_completes_what_the_first_began(browser, live_server):
    row = asked(quorum=2)
    for name, left in (("ada", "0 of 2 agree"), ("ben", "1 of 2 agree")):
        user = person(name, "approver", is_staff=True)
        tab = narrow(browser, live_server, user, java_script_enabled=False)
        opened(tab, live_server, row)
        assert left in tab.inner_text(".as-health")
        tab.check("input[value=approve]")
        tab.click("text=Record the decision")
        tab.wait_for_url("**/approvalrequest/")
        if name == "ada":
            opened(tab, live_server, row)
            assert "You have decided; others must, too." in tab.inner_text(".as-page")
            assert tab.locator("text=Record the decision").count() == 0
        tab.context.close()
    row.refresh_from_db()
    assert row.state == "approved"


def test_what_has_moved_since_it_was_made_is_said_where_it_is_decided(browser, live_server):
    payload = {"setting": "policy.unproven", "old": None, "new": "ask", "diff": "", "why": "so"}
    row = asked(payload=payload, proposed={"kind": "configuration", "base_hash": "0" * 64})
    ada = person("ada", "approver", is_staff=True)
    tab = narrow(browser, live_server, ada, java_script_enabled=False)
    for path in ("approvalrequest", row.pk), ("proposal", row.proposal_id):
        tab.goto(live_server.url + reverse(f"{ADMIN}{path[0]}_change", args=[path[1]]))
        tab.wait_for_selector(".as-health:has-text('was changed since this was made')")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.context.close()


@pytest.mark.parametrize("scripts", [False, True])
def test_several_goals_are_cancelled_from_their_list(browser, live_server, scripts):
    rows = [goal(objective="x" * 200), goal(), goal(state="succeeded", finished_at=timezone.now())]
    user = person("olga", "operator", is_staff=True)
    tab = narrow(browser, live_server, user, java_script_enabled=scripts)
    tab.goto(live_server.url + reverse(f"{ADMIN}goal_changelist"))
    for row in rows:
        tab.check(f"input[name=_selected_action][value='{row.pk}']")
    if scripts:  # the theme's has begun once it hides the button until something is chosen
        tab.wait_for_selector("button[name=index]", state="hidden")
    tab.select_option("select[name=action]", "cancel")
    tab.click("button[name=index]")
    tab.wait_for_selector("h1:has-text('Cancel the goals')")
    assert tab.locator("text=2 tasks will not be done").count() == 2
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.uncheck(f"input[name=_selected_action][value='{rows[1].pk}']")
    tab.fill("input[name=reason]", "no longer needed")
    tab.click("button:has-text('Cancel for good')")
    tab.wait_for_selector("text=1 done, 1 left as they are.")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.context.close()
    states = [Goal.objects.get(pk=row.pk).state for row in rows]
    assert states == ["cancelled", "running", "succeeded"]


def test_a_policy_is_changed_by_its_fields_without_a_script(browser, live_server):
    policies.policy_add({"rules": [{"kind": "plan", "person": True}]}, by="tester", reason="x")
    root = person("root", is_staff=True, is_superuser=True)
    tab = narrow(browser, live_server, root, java_script_enabled=False)
    tab.goto(live_server.url + reverse("admin:agentsys_verification_policyversion_add"))
    border = "getComputedStyle(document.querySelector('[name=rule-0-voters]')).borderTopWidth"
    assert tab.evaluate(border) == "1px"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.fill("input[name=rule-0-rounds_max]", "3")
    tab.select_option("select[name=rule-1-kind]", "change")
    tab.check("input[name=rule-1-required][value=execution]")
    tab.fill("textarea[name=reason]", "tests must pass")
    tab.click("[name=_save]")
    tab.wait_for_url("**/policyversion/")
    tab.context.close()
    assert policies.policy_latest().document["rules"] == [
        {"kind": "plan", "person": True, "rounds_max": 3},
        {"kind": "change", "required": ["execution"]},
    ]


def test_how_far_an_attempt_drifted_is_drawn_step_by_step(page, live_server):
    attempt = held(goal()).attempt
    facts = dict.fromkeys(("coverage", "off_scope", "repeated", "far", "idle", "distance"), 0.5)
    for step, score, outcome in ((3, 0.2, "on"), (6, 0.5, "leaning"), (9, 0.9, "drifted")):
        drift_record(
            lineage=attempt.lineage, step=step, attempt_id=attempt.pk, score=score, limit=0.6,
            outcome=outcome, reasons=[], **facts,
        )  # fmt: skip
    sign_in(page, live_server)
    page.goto(live_server.url + reverse(f"{ADMIN}attempt_change", args=[attempt.pk]))
    chart = page.locator("svg[aria-label='Drift score by step']")
    assert chart.is_visible()
    heights = [float(dot.get_attribute("cy")) for dot in chart.locator("circle").all()]
    assert sorted(heights, reverse=True) == heights
    assert len(heights) == 3
    assert chart.locator(".as-drift-drifted").count() == 1


def test_a_swarms_page_counts_what_its_items_came_to(page, live_server):
    row = run(submit(over(["a", "b", "c"]), project="alpha"))
    sign_in(page, live_server)
    task = task_named(row, "map")
    page.goto(live_server.url + reverse(f"{ADMIN}task_change", args=[task.pk]))
    page.click("a[href$='/swarm/']")
    page.wait_for_url("**/swarm/")
    assert "3 of 3 items are accepted" in " ".join(page.inner_text("body").split())


def test_whoever_has_no_goal_yet_begins_the_demo_by_a_button(page, live_server, checkout):
    sign_in(page, live_server, "olga", "operator")
    page.click("text=Start the demo goal")
    page.wait_for_url("**/goal/*/change/")
    (row,) = Goal.objects.all()
    page.wait_for_selector(f"h1:has-text('goal-{row.pk}')")
