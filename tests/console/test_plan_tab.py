"""The contract and the plan's versions on a goal's page, and what changed between two of them."""

from __future__ import annotations

import pytest

from orchestration.admin.plandiff import SHOWN_MAX, difference
from orchestration.admin.steps import task_facts
from orchestration.models import Goal, Task
from orchestration.services.replan import task_edit
from tests import factories as make
from tests.api.people import api, person
from tests.console.test_goal_page import page
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db

PLAN = {
    "objective": "Say hello",
    "tasks": [
        {"key": "a", "agent": "noop", "objective": "one", "inputs": {"n": 1}},
        {"key": "b", "agent": "noop", "objective": "two <script>", "depends_on": ["a"]},
    ],
}


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


@pytest.fixture
def edited():
    client = api(person("olga", "operator"))
    body = {"project": "alpha", "plan": PLAN}
    row = Goal.objects.get(pk=client.post("/api/v1/goals", body, format="json").json()["id"])
    task_edit(row.pk, "a", {"inputs": {"n": 2}}, actor="olga")
    return row


def test_versions_say_who_brought_them_and_why(root, edited):
    text = page(root, edited, "plan")
    assert "a was edited" in text
    assert text.split("a was edited")[0].rsplit("<tr>", 1)[1].count("olga") == 1
    assert edited.contract_hash in text


def test_two_versions_are_compared_task_by_task(root, edited):
    text = page(root, edited, "plan", old=1, new=2)
    assert "0 new, 1 changed, 0 gone, 1 the same" in text
    added = [line for line in text.split("<tr") if "as-d-add" in line]
    assert any("&quot;n&quot;: 2" in line for line in added)
    back = page(root, edited, "plan", old=2, new=1)
    assert any("&quot;n&quot;: 1" in line for line in back.split("<tr") if "as-d-add" in line)


def test_an_older_version_is_shown_whole_and_nothing_of_it_is_markup(root, edited):
    text = page(root, edited, "plan", version=1)
    assert "The plan as of version 1" in text
    assert "two &lt;script&gt;" in text
    assert "&quot;n&quot;: 1" in text.split("The plan as of")[1]


def test_a_version_that_is_not_there_is_said(root, edited):
    assert "version 9" in page(root, edited, "plan", version=9)
    assert "version 9" in page(root, edited, "plan", old=1, new=9)


def test_a_goal_without_a_plan_has_a_contract(root):
    text = page(root, make.goal(state="planning"), "plan")
    assert "There is no plan yet" in text
    assert "Tidy up" in text
    assert Task.objects.count() == 0


def test_a_difference_is_of_what_is_new_gone_and_changed():
    old = [{"key": "a", "n": 1}, {"key": "b", "n": 1}, {"key": "c", "n": 1}]
    new = [{"key": "b", "n": 2}, {"key": "c", "n": 1}, {"key": "d", "n": 1}]
    found = difference(old, new)
    assert (found.new, found.gone, found.changed, found.same) == (("d",), ("a",), ("b",), 1)
    assert '-  "n": 1' in found.text
    assert '+  "n": 2' in found.text
    assert "+++ /dev/null" in found.text
    assert difference(old, old).text == ""


def test_a_difference_of_very_many_tasks_is_cut_and_says_so():
    new = [{"key": f"t{n}"} for n in range(SHOWN_MAX + 30)]
    found = difference([], new)
    assert (len(found.new), found.left_out) == (SHOWN_MAX + 30, 30)
    assert found.text.count("+++ b/t") == SHOWN_MAX


def test_what_a_fan_out_runs_and_how_votes_are_taken_is_laid_out_too():
    voted = {"required": ["consensus"], "voters": {"consensus": 3}}
    child = {"over": "${tasks.a.output}", "task": {"agent": "command"}}
    task = {"key": "b", "agent": "collect", "fan_out": child, "verify": voted, "inputs": {"n": 0},
            "approval": {"quorum": 2}}  # fmt: skip
    told = task_facts(task)
    names = ["inputs.n", "fan_out.over", "fan_out.task", "verify", "approval.quorum"]
    assert [name for name, _ in told] == names
    assert dict(told)["fan_out.task"] == '{"agent": "command"}'
    assert (
        task_facts({"key": "b", "agent": "noop", "verify": ["schema"]}) == []
    )  # it is in the line
