"""What agents, plans and files say is shown, never obeyed; and the ledger is only read."""

from __future__ import annotations

import subprocess

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from orchestration import show
from orchestration.admin.diffview import LINES_MAX, VIEWS, review
from orchestration.models import Artifact, LedgerEntry, Proposal
from tests.api.people import goal, held, person
from tests.console.test_pages import ADMIN, console, pages
from workers.services import blob_put

CORPUS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "{{ 7|add:7 }}{% load admin_urls %}",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "javascript:alert(1)//<iframe srcdoc='<script>1</script>'>",
    "\u202egnp.exe\u2066\u200b\u00ad\x1b[31m",
)
LIVE = ("<script>alert", "<img src=x", "<svg/onload", "<iframe", "\u202e", "\u200b", "\x1b[31m")


@pytest.mark.django_db
@pytest.mark.parametrize("attack", CORPUS)
def test_hostile_text_is_inert_on_every_page(attack):
    row = held(
        goal(objective=attack),
        payload={"argv": ["echo", attack], "why": attack},
        title=attack[:200],
        question=attack,
        context={"note": attack},
    )
    sha = blob_put(attack.encode(), "text/markdown")
    Artifact.objects.create(
        goal=row.goal, attempt=row.attempt, name=attack[:200], kind="report",
        media_type="text/markdown", sha256=sha, size=len(attack.encode()),
    )  # fmt: skip
    client = console(person("root", is_staff=True, is_superuser=True))
    for url in pages(row):
        response = client.get(url)
        if response["Content-Type"].startswith("text/html"):
            page = response.content.decode()
            hits = [word for word in LIVE if word in page and word in attack]
            assert not hits, (url, hits)
        else:
            assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\u202eb", "U+202E"),
        ("a\u200bb", "U+200B"),
        ("\x1b[0m", "U+001B"),
        ("\u00a0", "U+00A0"),
        ("\u3164", "U+3164"),
        ("\ufe0f", "U+FE0F"),
        ("\U000e0041", "U+E0041"),
        ("\r", "U+000D"),
    ],
)
def test_what_cannot_be_seen_is_shown_by_its_code(raw, shown):
    assert shown in show.visible(raw)


def test_what_can_be_seen_stays_as_it_is():
    text = "Grüße, 世界\n\tif x:"
    assert show.visible(text) == text
    assert show.visible("<b>&") == "&lt;b&gt;&amp;"


@pytest.mark.parametrize("view", VIEWS)
def test_a_diff_is_coloured_escaped_and_says_what_it_leaves_out(view):
    seen = review("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-<old>\n+\u202enew\n", view)
    (file,) = seen.files
    assert 'class="as-d-del"' in file.rows
    assert "&lt;old&gt;" in file.rows
    assert "U+202E" in file.rows
    many = "\n".join("+x" for _ in range(LINES_MAX + 3))
    seen = review(f"--- a/x\n+++ b/x\n@@ -0,0 +1,{LINES_MAX + 3} @@\n{many}\n", view)
    assert seen.left_out == 4  # the hunk's own line is one


@pytest.mark.django_db
def test_the_diff_on_the_page_is_what_git_says_not_what_the_agent_wrote_down(tmp_path):
    def git(*words):
        done = subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "start")
    base = git("rev-parse", "HEAD")
    (tmp_path / "x.py").write_text("steal()\n")
    git("add", "x.py")
    git("commit", "-q", "-m", "change")
    commit = git("rev-parse", "HEAD")
    row = held(
        goal(repository=str(tmp_path)),
        payload={"commit": commit, "base": base, "paths": ["x.py"], "diff_artifact": "nice.diff"},
    )
    Proposal.objects.filter(pk=row.proposal_id).update(kind="change")
    sha = blob_put(b"+harmless()", "text/x-diff")
    Artifact.objects.create(
        goal=row.goal, attempt=row.attempt, name="nice.diff", kind="diff",
        media_type="text/x-diff", sha256=sha, size=11,
    )  # fmt: skip
    client = console(person("root", is_staff=True, is_superuser=True))
    page = client.get(reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])).content.decode()
    assert "+steal()" in page
    assert "harmless" not in page


@pytest.mark.django_db
def test_the_ledger_cannot_be_changed_in_the_console_by_anybody():
    goal()
    client = console(person("root", is_staff=True, is_superuser=True))
    entry = LedgerEntry.objects.first()
    for name, args in (("add", []), ("delete", [entry.pk])):
        url = reverse(f"{ADMIN}ledgerentry_{name}", args=args)
        assert client.get(url).status_code == 403
        assert client.post(url, {"post": "yes"}).status_code == 403
    change = reverse(f"{ADMIN}ledgerentry_change", args=[entry.pk])
    assert client.post(change, {"event": "lie"}).status_code == 403
    client.post(
        reverse(f"{ADMIN}ledgerentry_changelist"),
        {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"},
    )
    assert LedgerEntry.objects.get(pk=entry.pk).event == entry.event
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        LedgerEntry.objects.filter(pk=entry.pk).update(event="lie")


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["goal", "task", "attempt", "proposal", "approvalrequest", "plan"])
def test_frozen_rows_have_no_form_in_the_console(name):
    row = held(goal())
    client = console(person("root", is_staff=True, is_superuser=True))
    pk = {"goal": row.goal_id, "task": row.task_id, "attempt": row.attempt_id,
          "proposal": row.proposal_id, "approvalrequest": row.pk,
          "plan": row.task.plan_id}[name]  # fmt: skip
    if name != "goal":  # that form hands one in, as a command does
        assert client.get(reverse(f"{ADMIN}{name}_add")).status_code == 403
    assert client.post(reverse(f"{ADMIN}{name}_delete", args=[pk])).status_code == 403
    assert Proposal.objects.count() == 1
