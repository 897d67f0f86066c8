"""The pages of attempts and tasks: the tree of calls, what each used, and attempts side by side."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from agentsys.gateway.metering import Spent
from orchestration.admin.calltree import sums, tree
from tests import factories as make
from tests.api.people import person
from tests.console.test_pages import console
from workers.models import Step
from workers.services import blob_put, model_calls_record

pytestmark = pytest.mark.django_db


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


@pytest.fixture
def attempt():
    task = make.task(make.goal(), "one", state="running", lane="agent", agent="model")
    return task.attempts.get()


ANSWER = {
    "text": "I will <i>look</i>", "input_tokens": 900, "output_tokens": 40, "cost_usd": 0.25,
    "latency_ms": 1200, "model": "openai:m",
    "tool_calls": [{"id": "1", "name": "read_file", "args": {"path": "a.py"}}],
}  # fmt: skip


def step(attempt, index, kind, name, request=None, outcome=None, **fields):
    now = timezone.now()
    return Step.objects.create(
        lineage=attempt.lineage, index=index, attempt_id=attempt.pk, fence=1, kind=kind, name=name,
        request=request or {}, request_hash="x", state="done", outcome=outcome,
        **{"finished_at": now, **fields},
    )  # fmt: skip


def walk(attempt):
    step(attempt, 0, "prompt", "model", {"contract": "c"}, {"text": "You are careful."})
    step(attempt, 1, "model", "model", {"new": [{"role": "user", "content": "Begin."}]}, ANSWER)
    step(attempt, 2, "tool", "read_file", {"path": "a.py"}, {"text": "x = 1", "chars": 5})
    step(attempt, 3, "model", "model", {"new": []}, {**ANSWER, "tool_calls": []})


def page(client, row, kind="attempt", **asked):
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    url = reverse(f"admin:agentsys_orchestration_{kind}_change", args=[row.pk])
    response = client.get(f"{url}?{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_tools_hang_under_the_answer_that_called_them(root, attempt):
    walk(attempt)
    text = page(root, attempt)
    tree_ = text.split('class="as-steps as-tree"')[1]
    answer = tree_.split('<li value="1">')[1].split('<li value="3">')[0]
    assert '<ol><li value="2">' in answer
    assert "900 → 40 tokens" in answer
    assert "$0.2500" in answer
    assert "calls read_file" in answer
    assert "x = 1" in answer
    assert "I will &lt;i&gt;look" in answer
    assert "2 answers of the model and 1 tool call; 1,800 tokens in, 80 out, $0.5000" in text


def test_an_outcome_that_is_kept_as_a_blob_is_read(root, attempt):
    walk(attempt)
    big = {**ANSWER, "text": "a long story", "input_tokens": 7777}
    sha = blob_put(json.dumps(big).encode(), "application/json")
    step(attempt, 4, "model", "model", {"new": []}, None, outcome_blob=sha)
    text = page(root, attempt)
    assert "7,777 → 40 tokens" in text
    assert "a long story" in text


def test_an_outcome_that_is_too_large_is_said(root, attempt):
    sha = blob_put(json.dumps({"text": "y" * 300_000}).encode(), "application/json")
    step(attempt, 0, "model", "model", {"new": []}, None, outcome_blob=sha)
    text = page(root, attempt)
    assert "too large to be shown" in text
    assert len(text) < 200_000


def test_a_long_journal_is_paged_for_a_fixed_number_of_statements(root, attempt):
    walk(attempt)
    root.get(reverse("admin:agentsys_orchestration_attempt_change", args=[attempt.pk]))
    with CaptureQueriesContext(connection) as few:
        page(root, attempt)
    for index in range(4, 230):
        step(attempt, index, "tool", "read_file", {"n": index}, {"text": f"line {index}"})
    with CaptureQueriesContext(connection) as many:
        text = page(root, attempt)
    assert len(many) <= len(few)
    assert "1–100 of 230" in text
    assert "line 150" not in text
    assert "line 150" in page(root, attempt, p=2)


def test_a_step_of_an_attempt_before_it_says_so(root, attempt):
    walk(attempt)
    Step.objects.filter(index=0).update(attempt_id=attempt.pk + 1000)
    assert f"by attempt-{attempt.pk + 1000}, from the journal" in page(root, attempt)


def test_what_its_calls_used_is_said_by_role_and_model(root, attempt):
    for role in ("model", "verifier"):
        spent = Spent(role, "openai:m", "ok", 500, 20, 0.125, 800)
        model_calls_record([spent], goal_id=attempt.goal_id, attempt_id=attempt.pk)
    text = page(root, attempt).split("Model calls</h2>")[1].split("</table>")[0]
    assert text.count("<tr>") == 3
    assert "$0.1250" in text


def test_an_attempt_without_a_journal_says_why(root, attempt):
    assert "only agents with a model keep a journal" in page(root, attempt)


def test_a_task_says_why_it_waits_and_its_attempts_stand_side_by_side(root):
    row = make.goal()
    task = make.task(row, "one", state="ready", with_attempt=False)
    first = make.attempt(task, state="rejected", reason="too short", tokens=1234)
    make.verdict(first, "schema", "fail", reasons=("it is no list",))
    second = make.attempt(task, state="queued")
    text = page(root, task, "task")
    assert "is queued since" in text
    side = text.split("Attempts side by side")[2].split("</table>")[0]
    assert side.index(f"Attempt {first.number}<") < side.index(f"Attempt {second.number}<")
    for words in ("it is no list", "too short", "1,234", "schema"):
        assert words in side


def test_one_attempt_has_nothing_beside_it(root):
    task = make.task(make.goal(), "one", state="done")
    assert "side by side" not in page(root, task, "task")


def test_attempts_lead_to_those_before_and_after(root):
    task = make.task(make.goal(), "one", state="ready", with_attempt=False)
    tries = [make.attempt(task, state=state) for state in ("failed", "failed", "queued")]
    text = page(root, tries[1])
    for other in (tries[0], tries[2]):
        assert reverse("admin:agentsys_orchestration_attempt_change", args=[other.pk]) in text


def test_a_task_page_costs_the_same_however_often_it_was_tried(root):
    counts = []
    for number in (3, 40):
        task = make.task(make.goal(), "one", state="ready", with_attempt=False)
        for _ in range(number):
            make.verdict(make.attempt(task, state="rejected"), "schema", "fail")
        page(root, task, "task")
        with CaptureQueriesContext(connection) as seen:
            page(root, task, "task")
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 50


def test_a_tree_of_anything_is_a_tree():
    odd = [
        {"index": n, "kind": kind, "name": "x", "state": "failed", "request": request,
         "outcome": outcome, "cut": False, "attempt": 1, "seconds": None}
        for n, (kind, request, outcome) in enumerate([
            ("tool", None, None), ("model", "words", {"error": "away"}), ("drift", {}, {"outcome": "on"}),
            ("model", {"new": ["a", {"role": "tool"}]}, None), ("new-kind", {}, ["list"]),
        ])
    ]  # fmt: skip
    roots = tree(odd)
    assert [(root.kind, [leaf.kind for leaf in root.leaves]) for root in roots] == [
        ("tool", []), ("model", ["drift"]), ("model", ["new-kind"])
    ]  # fmt: skip
    assert ("error", "away") in roots[1].said
    assert sums(roots).tokens_in == 0
