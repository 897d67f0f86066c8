"""A merge does not believe in leases: what came into its scopes unseen is looked at in the branch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from orchestration.domain.merging import UNSEEN
from orchestration.models import Goal, Proposal
from orchestration.services.fsck import fsck
from orchestration.services.ledger import ledger_verify
from orchestration.services.proposals import proposal_apply
from orchestration.services.rebuild import rebuild_check
from orchestration.services.running import task_serve
from orchestration.services.scopes import scopes_release
from tests.orchestration.planted import agents_named, repository_with, writes
from tests.orchestration.pump import judge, pump, submit, task_named
from tests.orchestration.test_merged_tree import Died, die_at
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db(transaction=True)
LINES = "".join(f"line {n}\n" for n in range(20))
TOP, END = LINES.replace("line 0", "line zero"), LINES.replace("line 19", "the end")
BOTH = END.replace("line 0", "line zero")
CHEAP: dict[str, Any] = {"verify": ["schema", "safety"]}


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    with agents_named("learning"):
        yield
    die_at("none", 1)


@pytest.fixture
def given(tmp_path: Path) -> GivenRepository:
    files = {"a.txt": LINES, "docs/b.txt": LINES, "test_it.py": "def test_it():\n    pass\n"}
    return repository_with(GivenRepository(tmp_path / "repo"), files)


def proposed(given: GivenRepository, *tasks: dict[str, Any]) -> list[Proposal]:
    """A goal for each, on one branch; all changes began at one base, and the leases are lost."""
    found = []
    for task in tasks:
        goal = submit(task, repository=str(given.path), branch="agentsys/shared")
        row = task_named(goal, task["key"])
        assert task_serve(row.pk, row.fence) == "done"
        judge(goal)
        scopes_release([row.pk])
        found.append(Proposal.objects.select_related("goal").get(goal=goal))
    return found


def one_file(given: GivenRepository, **rest: Any) -> list[Proposal]:
    """The two ends of one file, which git merges without a word."""
    second = writes("second", {"a.txt": END}, {"a.txt": BOTH}, **{**CHEAP, **rest})
    return proposed(given, writes("first", {"a.txt": TOP}, **CHEAP), second)


def content(given: GivenRepository, path: str = "a.txt") -> str:
    return given.git("show", f"agentsys/shared:{path}") + "\n"


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []
    assert rebuild_check(goal.pk) == []


def test_two_changes_of_one_place_that_no_tests_look_at_are_not_merged_unseen(
    given: GivenRepository,
) -> None:
    first, second = one_file(given)
    assert [proposal_apply(first.pk), proposal_apply(second.pk)] == ["applied", "stale"]
    assert content(given) == TOP
    told = second.goal.ledger.get(event="conflict.merge").payload
    assert (told["rule"], told["paths"]) == (UNSEEN, ["a.txt"])
    assert told["winner"].startswith(f"proposal-{first.pk} ")
    assert "no tests have looked at both" in second.goal.attempts.get(number=1).reason
    assert pump(second.goal).state == "succeeded"
    assert content(given) == BOTH
    whole(second.goal)


def test_where_the_tests_look_at_both_together_they_are_merged(given: GivenRepository) -> None:
    first, second = one_file(given, verify=["schema", "safety", "execution"])
    assert [proposal_apply(first.pk), proposal_apply(second.pk)] == ["applied", "applied"]
    assert content(given) == BOTH


def test_what_came_in_where_the_change_only_reads_counts_too(given: GivenRepository) -> None:
    second = writes("second", {"docs/b.txt": END}, **CHEAP)
    second["scopes"].append({"resource": "repo:a.*", "mode": "read"})
    one, two = proposed(given, writes("first", {"a.txt": TOP}, **CHEAP), second)
    assert [proposal_apply(one.pk), proposal_apply(two.pk)] == ["applied", "stale"]
    assert pump(two.goal).state == "succeeded"


def test_what_came_in_elsewhere_costs_nothing(given: GivenRepository) -> None:
    tasks = writes("first", {"a.txt": TOP}, **CHEAP), writes("second", {"docs/b.txt": END}, **CHEAP)
    one, two = proposed(given, *tasks)
    assert [proposal_apply(one.pk), proposal_apply(two.pk)] == ["applied", "applied"]


def test_what_a_person_committed_in_the_scopes_counts_as_well(given: GivenRepository) -> None:
    (change,) = proposed(given, writes("change", {"a.txt": END}, {"a.txt": BOTH}, **CHEAP))
    given.git("checkout", "-q", "--detach", "agentsys/shared")
    given.put("a.txt", TOP)
    given.commit("by hand")
    given.git("update-ref", "refs/heads/agentsys/shared", "HEAD")
    given.git("checkout", "-q", "main")
    assert proposal_apply(change.pk) == "stale"
    told = change.goal.ledger.get(event="conflict.merge").payload
    assert told["winner"].startswith("commit ")
    assert pump(change.goal).state == "succeeded"
    assert content(given) == BOTH


def test_what_one_attempt_proposes_in_two_parts_was_judged_together(given: GivenRepository) -> None:
    first, second = one_file(given)
    Proposal.objects.filter(pk=second.pk).update(attempt_id=first.attempt_id)
    assert [proposal_apply(first.pk), proposal_apply(second.pk)][0] == "applied"
    assert content(given) == BOTH


@pytest.mark.parametrize("point", ["C10", "C11"])
def test_dying_while_an_unseen_merge_is_refused_costs_time_only(
    point: str, given: GivenRepository
) -> None:
    first, second = one_file(given)
    proposal_apply(first.pk)
    die_at(point, 1)
    with pytest.raises(Died):
        proposal_apply(second.pk)
    connection.close()
    die_at("none", 1)
    assert pump(second.goal).state == "succeeded"
    assert second.goal.ledger.filter(event="conflict.merge").count() == 1
    assert content(given) == BOTH
    whole(second.goal)
