"""The goal's log and ledger: lines that a person reads, narrowed, page by page, and as they grow."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests import factories as make
from tests.api.people import entries, goal, person
from tests.console.test_goal_page import page
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db


@pytest.fixture
def root():
    return console(person("root", is_staff=True, is_superuser=True))


@pytest.fixture
def row():
    return make.goal()


def seqs(text):
    return [int(part.split("<")[0]) for part in text.split('as-num">#')[1:]]


def test_lines_are_sentences_with_the_newest_first(root, row):
    one = make.task(row, "one", state="running")
    make.entry(row, "attempt.rejected", task_id=one.pk, actor="verifiers", reason="too <b>short")
    text = page(root, row, "log")
    assert "the attempt was rejected: too &lt;b&gt;short" in text
    assert ">one</a>" in text
    assert seqs(text) == sorted(seqs(text), reverse=True)


def test_entries_about_many_tasks_name_the_first_few(root, row):
    tasks = [make.task(row, f"t{n}", state="running") for n in range(9)]
    make.entry(row, "tasks.claimed", claims=[[task.pk, 1, 1] for task in tasks])
    assert "t5</a> and 3 more" in page(root, row, "log")


def test_lines_are_narrowed_by_family_task_and_actor(root, row):
    one, two = make.task(row, "one", state="running"), make.task(row, "two", state="running")
    make.entry(row, "task.reported", task_id=one.pk, actor="worker-1")
    make.entry(row, "task.reported", task_id=two.pk, actor="worker-2")
    make.entry(row, "goal.prioritised", actor="ada", **{"from": 0, "to": 3})
    assert len(seqs(page(root, row, "log", family="task"))) == 2
    assert len(seqs(page(root, row, "log", family="goal"))) == 2
    assert len(seqs(page(root, row, "log", family="other"))) == 0
    assert len(seqs(page(root, row, "log", task="two"))) == 1
    assert len(seqs(page(root, row, "log", actor="worker"))) == 2
    assert len(seqs(page(root, row, "log", actor="worker-2", family="task"))) == 1
    assert "There is no task “three”" in page(root, row, "log", task="three")


def test_a_task_is_found_among_the_many_of_an_entry(root, row):
    one, two = make.task(row, "one", state="running"), make.task(row, "two", state="running")
    make.entry(row, "tasks.claimed", claims=[[one.pk, two.pk, 7]])
    make.entry(row, "tasks.unblocked", tasks=[two.pk])
    make.entry(row, "tasks.paused", tasks=[[one.pk, 2]], reason="", running=0)
    make.entry(row, "tasks.resumed", tasks=[[one.pk, 1]])
    assert len(seqs(page(root, row, "log", task="one"))) == 3
    assert len(seqs(page(root, row, "log", task="two"))) == 2


def test_older_lines_are_a_link_away_and_stay_the_same_meanwhile(root, row):
    entries(row, 450)
    first = page(root, row, "log")
    second = page(root, row, "log", before=min(seqs(first)))
    entries(row, 5)
    assert seqs(second) == seqs(page(root, row, "log", before=min(seqs(first))))
    assert min(seqs(first)) - max(seqs(second)) == 1
    third = page(root, row, "log", before=min(seqs(second)))
    assert min(seqs(third)) == 1
    assert "Older" not in third


def test_the_tail_gives_what_is_new_narrowed_as_the_page_is(root, row):
    entries(row, 2)
    tail = reverse("admin:agentsys_goal_tail", args=[row.pk])
    row.refresh_from_db()
    seen = row.ledger_seq
    entries(row, 3)
    make.entry(row, "goal.paused", by="goal", actor="ada")
    text = root.get(f"{tail}?after={seen}").content.decode()
    assert seqs(text) == [seen + 4, seen + 3, seen + 2, seen + 1]
    assert f'data-seq="{seen + 4}"' in text
    assert len(seqs(root.get(f"{tail}?after={seen}&actor=ada").content.decode())) == 1
    assert f'data-seq="{seen + 4}"' in root.get(f"{tail}?after={seen + 4}").content.decode()


def test_the_ledger_is_compact_or_full_and_paged(root, row):
    entries(row, 120)
    compact, full = page(root, row, "ledger"), page(root, row, "ledger", view="full")
    head = row.ledger.order_by("-seq").first()
    assert (head.hash[:12] in compact, head.hash[:12] in full) == (False, True)
    assert "Older" in compact
    older = page(root, row, "ledger", view="full", before=21)
    assert "Older" not in older
    assert "view=full" in full.split("Older")[0].rsplit("href=", 1)[1]


def test_what_cannot_be_read_as_a_number_is_passed_over(root):
    row = goal()
    assert len(seqs(page(root, row, "log", before="x" * 40))) == 3
    assert (
        root.get(reverse("admin:agentsys_goal_tail", args=[row.pk]) + "?after=²").status_code == 200
    )
