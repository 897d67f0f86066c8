"""Every list of the console is a file as well: what is shown, to whom it is shown, and no secret."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agentsys import exports
from agentsys.exports import Exported
from orchestration.models import Subscription
from tests.api.people import goal, held, person, project
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db

OURS = [(model, row) for model, row in admin.site._registry.items() if isinstance(row, Exported)]
SECRET = re.compile("secret|password|digest|token_key|salt|api_key")
LISTS = ("goal", "task", "attempt", "artifact", "proposal", "ledgerentry", "plan", "directive",
         "approvalrequest")  # fmt: skip


def listed(name):
    return reverse(f"admin:agentsys_orchestration_{name}_changelist")


def saved(client, url, form="csv", **query):
    response = client.get(url, {**query, "export": form})
    assert response.status_code == 200, (url, response.status_code)
    text = b"".join(response.streaming_content).decode()
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


@pytest.mark.parametrize(("model", "row"), OURS, ids=lambda one: getattr(one, "__name__", ""))
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_every_list_of_ours_is_a_file_and_says_so(root, model, row, form):
    held(goal())
    meta = model._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    page = root.get(url).content.decode()
    assert f"export={form}" in page
    response = root.get(url, {"export": form})
    head = b"".join(response.streaming_content).decode().split("\n")[0]
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
    assert not SECRET.search(head), head


def test_there_are_many():
    assert len(OURS) >= 25


def test_the_file_is_what_the_filters_and_the_search_leave(root):
    goal(objective="Tidy"), goal(objective="Paint", state="failed", finished_at="2026-01-01T00:00Z")
    url = listed("goal")
    assert {row["objective"] for row in saved(root, url)} == {"Tidy", "Paint"}
    assert {row["objective"] for row in saved(root, url, state="failed")} == {"Paint"}
    (found,) = saved(root, url, "jsonl", q="Tidy")
    assert (found["objective"], found["state"], found["contract_hash"] != "") == (
        "Tidy",
        "running",
        True,
    )
    assert "contract" not in found, "documents stay behind"


@pytest.mark.parametrize("name", LISTS)
def test_nothing_of_another_project_is_in_the_file(name):
    held(goal("beta", objective="canary"), question="canary", title="canary")
    mia = console(person("mia", "viewer", is_staff=True))
    for form in exports.FORMS:
        assert "canary" not in json.dumps(saved(mia, listed(name), form))
    eve = console(person("eve", is_staff=True))  # of no project
    assert eve.get(listed(name), {"export": "csv"}).status_code in (302, 403)


def test_a_formula_is_text_in_csv_and_as_it_was_in_json(root):
    goal(objective="=HYPERLINK(A1)")
    assert saved(root, listed("goal"))[0]["objective"] == "'=HYPERLINK(A1)"
    assert saved(root, listed("goal"), "jsonl")[0]["objective"] == "=HYPERLINK(A1)"


def test_a_secret_is_never_in_a_file(root):
    Subscription.objects.create(
        project=project(), name="hook", target="https://x.example", secret="canary-secret"
    )
    (row,) = saved(root, listed("subscription"), "jsonl")
    assert "secret" not in row
    assert "canary" not in json.dumps(row)
    assert row["events"] == []


def test_a_long_list_is_read_in_pages_and_not_row_by_row(root, monkeypatch):
    monkeypatch.setattr(exports, "PAGE", 4)
    for _ in range(9):
        goal()
    with CaptureQueriesContext(connection) as seen:
        assert len(saved(root, listed("goal"))) == 9
    reads = [q for q in seen.captured_queries if "LIMIT 4" in q["sql"]]
    assert len(reads) == 3


def test_a_goals_tab_leads_to_the_file_of_its_rows(root):
    row, other = held(goal(tasks=3)).goal, goal(tasks=2)
    url = reverse("admin:agentsys_orchestration_goal_change", args=[row.pk])
    for tab, name, count in (("tasks", "task", 3), ("log", "ledgerentry", 3), ("grid", "attempt", 1),
                             ("proposals", "proposal", 1)):  # fmt: skip
        page = root.get(url, {"tab": tab}).content.decode()
        assert f"{listed(name)}?goal__id__exact={row.pk}&amp;export=csv" in page
        rows = saved(root, listed(name), goal__id__exact=row.pk)
        assert len(rows) == count
        assert {one["goal"] for one in rows} == {str(row.pk)}
    assert other.pk != row.pk


def test_a_list_is_named_as_it_is_everywhere_else(root):
    page = root.get(listed("proposal")).content.decode()
    assert re.search(r"<title>\s*Proposals \|", page)
    assert "Select proposal" not in page
