"""Inbox, review, workers and audit in a real browser: keys, without a script, and on a telephone."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from orchestration.models import ApprovalRequest, Attempt, Decision
from tests.api.people import goal, held, person
from tests.console.test_browser import CHROMIUM, browser, page, sign_in  # noqa: F401 - fixtures
from tests.console.test_home_figures import called, tried
from tests.console.test_pages import ADMIN, console

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium at /usr/bin/chromium"),
]
WIDE = "x" * 300


def asked(question: str = "May it go?", **fields: Any) -> ApprovalRequest:
    return held(goal(), question=question, **{"risk": "write", **fields})


@pytest.fixture
def telephone(browser, live_server):  # noqa: F811
    """A narrow tab without a script, signed in as an administrator."""
    client = console(person("amy", "admin", is_staff=True))
    context = browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    context.add_cookies([{**session, "url": live_server.url}])
    yield context.new_page()
    context.close()
    connections.close_all()


def fits(tab: Any) -> None:
    tab.wait_for_load_state()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360, tab.url


def test_several_are_decided_on_a_telephone_without_a_script(telephone, live_server):
    first, second, third = asked(), asked(WIDE), asked(risk="irreversible")
    telephone.goto(live_server.url + reverse(f"{ADMIN}approvalrequest_changelist"))
    fits(telephone)
    for row in (first, second, third):
        telephone.check(f"input[name=pick][value='{row.pk}']")
    telephone.click("text=Decide those chosen…")
    fits(telephone)
    assert not Decision.objects.exists()
    telephone.check("input[value=approve]")
    telephone.click("text=Record 3 decisions")
    telephone.wait_for_selector("text=2 decided, 0 recorded and waiting for others, 1 left")
    fits(telephone)
    states = dict(ApprovalRequest.objects.values_list("pk", "state"))
    assert states == {first.pk: "approved", second.pk: "approved", third.pk: "open"}


def test_keys_move_open_and_choose_and_decide_nothing(page, live_server):  # noqa: F811
    first, second = asked("the first"), asked("the second")
    sign_in(page, live_server)
    page.goto(live_server.url + reverse(f"{ADMIN}approvalrequest_changelist"))
    page.wait_for_selector(".as-hint")
    focused = "document.activeElement.textContent"
    page.keyboard.press("j")
    assert page.evaluate(focused) == str(first)
    page.keyboard.press("j")
    assert page.evaluate(focused) == str(second)
    page.keyboard.press("k")
    page.keyboard.press("o")
    assert page.is_checked(f"input[name=pick][value='{first.pk}']")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{first.pk}/change/")
    page.wait_for_selector(".as-hint")
    page.keyboard.press("a")
    assert page.is_checked("input[value=approve]")
    page.keyboard.press("r")
    page.keyboard.type("a rather bad idea")
    assert page.is_checked("input[value=reject]")
    assert page.input_value("textarea[name=reason]") == "a rather bad idea"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("e")
    assert page.evaluate("document.activeElement.name") == "payload"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("x")
    assert page.is_checked("input[value=respond]")
    assert page.evaluate("document.activeElement.name") == "reason"
    assert not Decision.objects.exists()


def test_who_chooses_to_edit_sees_what_is_to_be_edited(page, live_server):  # noqa: F811
    sign_in(page, live_server)
    url = reverse(f"{ADMIN}approvalrequest_change", args=[asked().pk])
    page.goto(live_server.url + url)
    assert not page.is_visible("textarea[name=payload]")
    page.click("label#as-do-edit")
    page.wait_for_selector("textarea[name=payload]", state="visible")


def test_keys_are_explained_and_can_be_switched_off(page, live_server):  # noqa: F811
    row = asked()
    sign_in(page, live_server)
    url = live_server.url + reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])
    page.goto(url)
    page.wait_for_selector(".as-hint")
    page.keyboard.press("?")
    page.wait_for_selector("dialog.as-keys[open]")
    assert "reject: choose it" in page.inner_text("dialog.as-keys")
    page.uncheck("dialog.as-keys input")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.as-keys", state="detached")
    page.evaluate("document.activeElement?.blur()")
    page.keyboard.press("a")
    assert not page.is_checked("input[value=approve]")
    page.goto(url)
    page.wait_for_selector(".as-hint")
    page.keyboard.press("a")
    assert not page.is_checked("input[value=approve]")


@pytest.mark.parametrize("name", ["changelist", "change"])
def test_the_help_on_keys_has_its_words_from_the_page(page, live_server, name):  # noqa: F811
    row = asked()
    sign_in(page, live_server)
    args = [row.pk] if name == "change" else []
    page.goto(live_server.url + reverse(f"{ADMIN}approvalrequest_{name}", args=args))
    page.wait_for_selector(".as-hint")
    words = page.evaluate("Object.values(document.querySelector('.as-hint').dataset)")
    page.keyboard.press("?")
    lines = page.inner_text("dialog.as-keys").split("\n")
    texts = {line.strip() for line in lines if len(line.strip()) > 1} - {"Enter"}
    assert len(texts) > 5
    assert texts <= set(words)


def test_every_page_of_these_fits_a_telephone(telephone, live_server):
    diff = f"--- a/{WIDE}\n+++ b/{WIDE}\n@@ -1 +1 @@\n-{WIDE}\n+{WIDE}y\n"
    row = asked(
        WIDE,
        quorum=2,
        proposed={"kind": "configuration"},
        payload={"setting": "policy.x", "old": None, "new": 1, "diff": diff, "why": WIDE},
    )
    failed = tried(row.goal, state="failed", reason=WIDE)
    called(failed, f"openai:{WIDE[:150]}")
    Attempt.objects.filter(pk=row.attempt_id).update(reported_at=timezone.now())
    proposal = reverse(f"{ADMIN}proposal_change", args=[row.proposal_id])
    for path in (
        reverse("admin:index"),
        reverse("admin:index") + "?by=model&span=7d",
        reverse(f"{ADMIN}approvalrequest_changelist"),
        reverse(f"{ADMIN}approvalrequest_change", args=[row.pk]),
        proposal,
        f"{proposal}?view=split",
        reverse("console-workers"),
        reverse("console-audit"),
        reverse("console-audit") + "?what=decisions",
    ):
        telephone.goto(live_server.url + path)
        assert telephone.locator(".as-page").count() >= 1, path
        fits(telephone)


def test_a_decision_by_link_is_chosen_and_made_by_a_click_only(telephone, live_server):
    row = asked()
    url = reverse(f"{ADMIN}proposal_change", args=[row.proposal_id])
    telephone.goto(live_server.url + url)
    telephone.click("text=Reject…")
    telephone.wait_for_url("**do=reject*")
    assert telephone.is_checked("input[value=reject]")
    assert not Decision.objects.exists()
    telephone.fill("textarea[name=reason]", "not now")
    telephone.click("text=Record the decision")
    telephone.wait_for_url("**/approvalrequest/")
    assert Decision.objects.get().reason == "not now"


def test_an_open_inbox_says_when_something_new_waits_and_keeps_what_is_ticked(page, live_server):  # noqa: F811
    first = asked("the first")
    sign_in(page, live_server)
    page.goto(live_server.url + reverse(f"{ADMIN}approvalrequest_changelist"))
    page.check(f"input[name=pick][value='{first.pk}']")
    assert not page.is_visible("#as-new")
    second = asked("the second")
    page.wait_for_selector("#as-new:has-text('Something new waits')", timeout=20_000)
    assert page.title().startswith("(2)")
    assert page.is_checked(f"input[name=pick][value='{first.pk}']")
    page.click("#as-new a")
    page.wait_for_selector(f"a:text-is('{second}')")
