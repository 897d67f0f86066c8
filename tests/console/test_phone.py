"""What people read at 360 px: ids stay on one line, rows of tables are seen whole, tabs open at the tabs."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.urls import reverse

from tests.api.people import goal, held, person
from tests.console.test_accessible import pages
from tests.console.test_browser import browser, pytestmark  # noqa: F401 - a fixture, and marks
from tests.console.test_pages import ADMIN, console
from tests.factories import verdict

# Ids in text that is shown and spread over more than one line.
BROKEN = """() => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (node.parentElement.closest("pre, textarea, script")) continue;
    for (const id of node.data.matchAll(/\\b(goal|task|attempt|approval|proposal)-\\d+/g)) {
      const range = document.createRange();
      range.setStart(node, id.index); range.setEnd(node, id.index + id[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) found.push(node.parentElement.outerHTML.slice(0, 160));
    }
  }
  return found;
}"""


# Cells of tables that are cut off at the right, or could only be seen by scrolling sideways.
OUT_OF_SIGHT = """() => [...document.querySelectorAll(".as-page .as-table :is(td, th, li)")]
  .filter((cell) => cell.getBoundingClientRect().right > innerWidth)
  .map((cell) => cell.outerHTML.slice(0, 160))"""


@pytest.fixture
def telephone(browser, live_server):  # noqa: F811
    """A page of 360 by 740 that a superuser is signed in on."""
    client = console(person("ada", "admin", is_staff=True, is_superuser=True))
    context = browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=True)
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies(
        [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
    )
    yield context.new_page()
    context.close()


def test_no_id_is_broken_in_two(telephone, live_server):
    broken = {}
    for what, path in list(pages()):
        telephone.goto(live_server.url + path, wait_until="load")
        if found := telephone.evaluate(BROKEN):
            broken[what] = found
    assert broken == {}


def test_a_request_and_its_verdicts_are_read_without_scrolling_sideways(telephone, live_server):
    request = held(goal(tasks=2))
    reason = "the changelog says nothing of what the branch does to the scheduler"
    verdict(request.attempt, "semantic", "fail", reasons=(reason,))
    for path in ("changelist", "change"):
        args = [request.pk] if path == "change" else []
        url = reverse(f"{ADMIN}approvalrequest_{path}", args=args)
        telephone.goto(live_server.url + url, wait_until="load")
        assert telephone.locator(".as-page .as-table td").count() >= 5
        assert telephone.evaluate(OUT_OF_SIGHT) == [], path
    assert telephone.get_by_text(reason).is_visible()


def test_a_tab_of_a_goal_opens_with_what_it_shows_in_sight(telephone, live_server):
    url = reverse(f"{ADMIN}goal_change", args=[goal(tasks=4).pk])
    telephone.goto(live_server.url + url, wait_until="load")
    telephone.click(".as-tabs a:has-text('Ledger')")
    telephone.wait_for_url("**tab=ledger**")
    telephone.wait_for_load_state("load")
    assert 0 < telephone.locator("#as-tab").bounding_box()["y"] < 740
