"""The bell and the list behind it: what waits for a person, and what became of their goals."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestration.models import Goal, Reader
from orchestration.models.ledger import NOTABLE
from orchestration.services.approvals import approval_decide
from orchestration.services.ledger import goal_locked
from orchestration.services.notices import (
    _UNREAD,
    _asked,
    notices_of,
    notices_read,
    unread_of,
)
from tests.api.people import goal, held, person
from tests.console.test_inbox import asked
from tests.console.test_pages import console
from workers.services import drift_record

pytestmark = [pytest.mark.django_db, pytest.mark.invents_entries]


def tell(row: Goal, event: str, actor: str = "orchestrator", **facts: Any) -> None:
    with goal_locked(row.pk) as book:
        book.record(event, actor=actor, payload=facts)


@pytest.fixture
def olga():
    return person("olga", "operator", is_staff=True)


def line(client, path="console-notices"):
    text = client.get(reverse(path)).content.decode()
    shown = text.split('aria-label="For you">')[1].split("</nav>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", shown).split())


def marked(client):
    text = client.get(reverse("console-notices")).content.decode()
    found = dict(re.findall(r'name="(up_to|at)" value="([^"]+)"', text))
    return client.post(reverse("console-notices"), found)


def test_what_became_of_my_goals_is_told_until_it_is_read(olga):
    client, row = console(olga), goal(created_by="olga")
    assert "new" not in line(client)
    tell(row, "goal.failed", reason="the tests fail")
    tell(row, "approval.requested", kind="budget", approval=1, risk="write")
    assert "2 new" in line(client)
    text = client.get(reverse("console-notices")).content.decode()
    assert "the goal failed: the tests fail" in text
    assert text.count("</span> new</span>") == 2
    assert marked(client).status_code == 302
    assert "new" not in line(client)
    text = client.get(reverse("console-notices")).content.decode()
    assert "the goal failed: the tests fail" in text, "what was read is still on the list"
    assert "Mark all as read" not in text
    tell(row, "goal.paused", by="deadline")
    assert "1 new" in line(client)


def test_what_i_did_what_is_of_others_and_what_is_usual_is_not_told(olga):
    mine, others = goal(created_by="olga"), goal(created_by="ada")
    tell(mine, "goal.cancelled", actor="olga", reason="enough")
    tell(mine, "approval.requested", kind="question", approval=1, risk="read")
    tell(mine, "task.accepted")
    tell(others, "goal.failed", reason="no")
    assert unread_of(olga, None).new == 0
    assert notices_of(olga, None) == []


@pytest.mark.parametrize(
    ("role", "where", "told"),
    [("approver", "alpha", 3), ("admin", "alpha", 3), ("operator", "alpha", 0),
     ("viewer", "alpha", 0), ("admin", "beta", 0)],
)  # fmt: skip
def test_who_decides_in_a_project_hears_of_its_goals_whoever_handed_them_in(role, where, told):
    user, row = person("ann", role, where=where, is_staff=True), goal(created_by="root")
    tell(row, "goal.paused", by="deadline")
    tell(row, "goal.failed", reason="the tests fail")
    attempt = held(row).attempt
    facts = dict.fromkeys(("coverage", "off_scope", "repeated", "far", "idle", "distance"), 0.5)
    drift_record(
        lineage=attempt.lineage, step=6, attempt_id=attempt.pk, score=0.9, limit=0.6,
        outcome="drifted", reasons=[], **facts,
    )  # fmt: skip
    client = console(user)
    assert ("3 new" in line(client)) == bool(told)
    assert len(notices_of(user, None)) == told
    page = client.get(reverse("console-notices")).content.decode()
    assert ("the goal failed: the tests fail" in page) == bool(told)


def test_a_superuser_hears_of_what_was_handed_in_on_the_command_line_and_not_of_own_deeds():
    root = person("adm", is_superuser=True, is_staff=True)
    row = goal(created_by="root")
    tell(row, "goal.cancelled", actor="adm")
    assert unread_of(root, None).new == 0
    tell(row, "goal.failed", reason="no")
    assert unread_of(root, None).new == 1


def test_what_one_submitted_and_decides_is_told_once():
    user, row = person("ann", "approver", is_staff=True), goal(created_by="ann")
    tell(row, "goal.failed", reason="no")
    assert unread_of(user, None).new == len(notices_of(user, None)) == 1


def test_nothing_is_told_of_a_project_that_one_has_left(olga):
    row = goal("beta", created_by="olga", objective="canary")
    tell(row, "goal.failed", reason="canary")
    client = console(olga)
    assert "new" not in line(client)
    assert "canary" not in client.get(reverse("console-notices")).content.decode()


def test_what_waits_for_me_is_counted_until_i_have_decided():
    ada = person("ada", "approver", is_staff=True)
    client, row = console(ada), asked("may it?", risk="write")
    asked("for others", where="beta")
    assert "1 waits for you" in line(client)
    assert "may it?" in client.get(reverse("console-notices")).content.decode()
    assert "1 waits for you" in line(client, "admin:agentsys_orchestration_goal_changelist")
    approval_decide(row.pk, user=ada, decision="approve")
    assert "wait" not in line(client)


def test_an_agent_that_left_its_task_is_told(olga):
    attempt = held(goal(created_by="olga")).attempt
    facts = dict.fromkeys(("coverage", "off_scope", "repeated", "far", "idle", "distance"), 0.5)
    for step, outcome in ((3, "leaning"), (6, "drifted")):
        drift_record(
            lineage=attempt.lineage, step=step, attempt_id=attempt.pk, score=0.9, limit=0.6,
            outcome=outcome, reasons=[], **facts,
        )  # fmt: skip
    client = console(olga)
    assert "1 new" in line(client)
    assert "has left its task, at step 6" in client.get(reverse("console-notices")).content.decode()
    marked(client)
    assert "new" not in line(client)


def test_a_cursor_never_goes_back_and_is_one_row_a_person(olga):
    now = timezone.now()
    notices_read(olga, 10, now)
    notices_read(olga, 5, now - timedelta(hours=1))
    reader = Reader.objects.get()
    assert (reader.ledger_seen, reader.seen_at) == (10, now)


@pytest.mark.parametrize(
    "sent", [{}, {"up_to": "x", "at": "y"}, {"up_to": "1", "at": "2026-01-01"}]
)
def test_what_no_form_of_ours_sent_is_not_used(olga, sent):
    assert console(olga).post(reverse("console-notices"), sent).status_code == 302
    assert not Reader.objects.exists()


def test_nobody_marks_what_is_to_come(olga):
    client, row = console(olga), goal(created_by="olga")
    client.post(reverse("console-notices"), {"up_to": "0", "at": "2099-01-01T00:00:00Z"})
    assert Reader.objects.get().seen_at <= timezone.now()
    tell(row, "goal.failed", reason="no")
    assert "1 new" in line(client)


def test_the_bell_costs_the_same_however_much_there_is(olga):
    client, row = console(olga), goal(created_by="olga")
    tell(row, "goal.failed", reason="no")
    client.get(reverse("console-notices"))
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("console-notices"))
    for _ in range(30):
        tell(row, "goal.paused", by="budget")
        asked()
    with CaptureQueriesContext(connection) as many:
        client.get(reverse("console-notices"))
    assert len(many) == len(few)
    assert len(many) <= 20


def test_the_ledger_is_read_by_the_small_index():
    """Of a long ledger only what is notable; the index and the statement name the same events."""
    names = ", ".join(f"'{name}'" for name in NOTABLE)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM agentsys_orchestration_ledgerentry"
            f" WHERE goal_id = 7 AND event IN ({names}) AND id > 5 ORDER BY id DESC LIMIT 9"
        )
        assert "ledger_notable" in "\n".join(row[0] for row in cursor.fetchall())


def test_the_bell_does_not_read_what_others_goals_have(olga):
    """Each row that the plan reads costs every page: it begins at the reader's own goals."""
    mine, others = goal(created_by="olga"), goal(created_by="ada")
    tell(mine, "goal.failed", reason="no")
    for _ in range(60):
        tell(others, "goal.paused", by="budget")
    asked_for = {**_asked(olga, None, 100), "user": olga.pk}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {_UNREAD}", asked_for)
        (found,) = cursor.fetchone()
    plans = json.dumps(found if isinstance(found, list) else json.loads(found))
    reads = re.findall(r'"Index Name": "ledger_notable".*?"Actual Rows": ([\d.]+)', plans)
    assert [float(number) for number in reads] == [1.0]


def test_who_has_no_project_hears_nothing():
    client = console(person("newt", is_staff=True))
    assert reverse("console-notices") not in client.get(reverse("admin:index")).content.decode()
    assert client.get(reverse("console-notices")).status_code == 403
