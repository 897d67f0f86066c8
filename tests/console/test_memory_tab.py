"""What a goal's agents were told from memory, and what the goal left there."""

from __future__ import annotations

import pytest

from memory import services as memory
from memory.seen import note_shown
from tests import factories as make
from tests.api.people import person
from tests.console.test_goal_page import page
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


def test_what_attempts_were_told_is_listed_once_with_all_of_them(root):
    row = make.goal()
    one = make.task(row, "one", state="done", lane="agent")
    two = make.task(row, "two", state="running", lane="agent")
    pk = memory.remember(row.project.namespace, "semantic", "The port is <b>8443</b>")
    for task in (one, two):
        note_shown(f"attempt-{task.attempts.get().pk}", [pk])
    text = page(root, row, "memory")
    assert text.count("The port is &lt;b&gt;8443") == 1
    assert "one #1" in text
    assert "two #1" in text


def test_what_other_goals_were_told_is_not_listed(root):
    row, other = make.goal(), make.goal()
    pk = memory.remember(row.project.namespace, "semantic", "Nothing of yours")
    note_shown(
        f"attempt-{make.task(other, 'x', state='done', lane='agent').attempts.get().pk}", [pk]
    )
    assert "Nothing of yours" not in page(root, row, "memory")


def test_what_is_gone_by_now_has_no_text(root):
    row = make.goal()
    task = make.task(row, "one", state="done", lane="agent")
    pk = memory.remember(row.project.namespace, "semantic", "A secret")
    note_shown(f"attempt-{task.attempts.get().pk}", [pk])
    memory.forget(pk, "ada", "it is wrong")
    text = page(root, row, "memory")
    assert "A secret" not in text
    assert "Its text is gone" in text


def test_what_a_goal_left_behind_is_listed(root):
    row = make.goal(state="succeeded")
    memory.remember(row.project.namespace, "semantic", "It works on Tuesdays", goal_id=row.pk)
    assert "It works on Tuesdays" in page(root, row, "memory").split("What it left behind")[1]


def test_a_goal_without_memory_says_when_it_will_have_some(root):
    text = page(root, make.goal(), "memory")
    assert "Nothing was recalled for it" in text
    assert "when the goal is over" in text
