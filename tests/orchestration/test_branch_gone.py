"""A branch that somebody deletes or moves while its goal runs loses nothing that was accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.models import Goal, Proposal, Task
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_retry
from tests.orchestration.planted import learning, repository_with, writes
from tests.orchestration.pump import pump, submit, task_named, turn
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db(transaction=True)
FILES = {"a.py": "a = 1\n", "test_always.py": "def test_it():\n    pass\n"}


@pytest.fixture(autouse=True)
def _learning() -> Iterator[None]:
    with learning():
        yield


@pytest.fixture
def given(tmp_path: Path) -> GivenRepository:
    return repository_with(GivenRepository(tmp_path / "repo"), FILES)


def half_done(given: GivenRepository) -> Goal:
    """The first of two changes is merged."""
    second = {**writes("two", {"b.py": "b = 1\n"}), "depends_on": ["one"]}
    goal = submit(writes("one", {"a.py": "a = 2\n"}), second, repository=str(given.path))
    while not Task.objects.filter(goal=goal, key="one", state="done").exists():
        turn(goal)
    goal.refresh_from_db()
    return goal


def test_a_branch_that_is_gone_is_named_with_the_way_to_put_it_back(given: GivenRepository) -> None:
    goal = half_done(given)
    merge = Proposal.objects.get(goal=goal).result["commit"]
    given.git("branch", "-D", goal.branch)
    pump(goal)
    reason = task_named(goal, "two").reason
    assert goal.state == "failed"
    assert f"the branch {goal.branch} is gone" in reason
    assert f"branch {goal.branch} {merge}" in reason
    given.git("branch", goal.branch, merge)
    goal_retry(goal.pk, actor="ann")
    assert pump(goal).state == "succeeded"
    assert given.git("show", f"{goal.branch}:a.py") == "a = 2"
    assert given.git("show", f"{goal.branch}:b.py") == "b = 1"
    assert fsck(goal.pk) == []


def test_a_branch_that_was_moved_back_gets_the_next_change_as_it_is(given: GivenRepository) -> None:
    goal = half_done(given)
    given.git("update-ref", f"refs/heads/{goal.branch}", "HEAD")
    assert pump(goal).state == "succeeded"
    assert given.git("show", f"{goal.branch}:a.py") == "a = 1"  # whoever moved it wanted that
    assert given.git("show", f"{goal.branch}:b.py") == "b = 1"
