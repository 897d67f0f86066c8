"""What people read at 360 px: ids of things stay on one line."""

from __future__ import annotations

from django.conf import settings

from tests.api.people import person
from tests.console.test_accessible import pages
from tests.console.test_browser import browser, pytestmark  # noqa: F401 - a fixture, and marks
from tests.console.test_pages import console

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


def test_no_id_is_broken_in_two(browser, live_server):  # noqa: F811
    client = console(person("ada", "admin", is_staff=True, is_superuser=True))
    context = browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=True)
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies(
        [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
    )
    page = context.new_page()
    broken = {}
    for what, path in list(pages()):
        page.goto(live_server.url + path, wait_until="load")
        if found := page.evaluate(BROKEN):
            broken[what] = found
    context.close()
    assert broken == {}
