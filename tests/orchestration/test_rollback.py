"""What was merged is taken back by a change that is proposed, verified and approved like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from agentsys.kernel.errors import BadInput, NotFound
from orchestration.models import Goal, Proposal
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.rollbacks import task_rollback
from tests.orchestration.planted import learning, repository_with, writes
from tests.orchestration.pump import asked_about, node, pump, submit, task_named
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db(transaction=True)
FILES = {"a.py": "a = 1\n", "b.py": "b = 1\n", "test_always.py": "def test_it():\n    pass\n"}


@pytest.fixture(autouse=True)
def _learning() -> Iterator[None]:
    with learning():
        yield


@pytest.fixture
def given(tmp_path: Path) -> GivenRepository:
    return repository_with(GivenRepository(tmp_path / "repo"), FILES)


def done(given: GivenRepository, **files: str) -> Goal:
    texts = {f"{name}.py": text for name, text in files.items()}
    goal = submit(writes("change", texts), node("other"), repository=str(given.path))
    assert pump(goal).state == "succeeded"
    return goal


def shown(given: GivenRepository, goal: Goal, path: str = "a.py") -> str:
    return given.git("show", f"{goal.branch}:{path}")


def test_a_merged_change_is_taken_back_once_a_person_approves(given: GivenRepository) -> None:
    goal = done(given, a="a = 2\n", c="c = 1\n")
    back = task_rollback(goal.pk, "change", actor="me", reason="it was slow")
    assert (back.branch, back.project_id) == (goal.branch, goal.project_id)
    pump(back)
    assert shown(given, goal) == "a = 2"
    assert task_named(back, "rollback-1").definition["verify"] == ["schema", "safety", "execution"]
    asked = asked_about(back)
    assert "Take back" in asked.question
    approval_decide(asked.pk, user=User.objects.create_superuser("root"), decision="approve")
    assert pump(back).state == "succeeded"
    assert shown(given, goal) == "a = 1"
    assert "c.py" not in given.git("ls-tree", "--name-only", goal.branch)
    assert "rollback-1: Take back: Change a.py" in given.git(
        "log", "-1", "--format=%s", goal.branch
    )
    assert fsck(back.pk) == []


def test_what_others_did_since_stays(given: GivenRepository) -> None:
    goal = done(given, a="a = 2\n")
    later = submit(
        writes("later", {"b.py": "b = 2\n"}), repository=str(given.path), branch=goal.branch
    )
    assert pump(later).state == "succeeded"
    back = pump(task_rollback(goal.pk, "change", actor="me", reason="no"))
    root = User.objects.create_superuser("root")
    approval_decide(asked_about(back).pk, user=root, decision="approve")
    assert pump(back).state == "succeeded"
    assert (shown(given, goal), shown(given, goal, "b.py")) == ("a = 1", "b = 2")


def test_what_was_changed_again_since_is_not_taken_back_and_the_task_says_where(
    given: GivenRepository,
) -> None:
    goal = done(given, a="a = 2\n")
    pump(
        submit(writes("later", {"a.py": "a = 3\n"}), repository=str(given.path), branch=goal.branch)
    )
    back = pump(task_rollback(goal.pk, "change", actor="me", reason="no"))
    assert "a.py changed again since" in task_named(back, "rollback-1").reason
    assert shown(given, goal) == "a = 3"


def test_only_what_was_merged_can_be_taken_back(given: GivenRepository) -> None:
    goal, before = done(given, a="a = 2\n"), Goal.objects.count()
    with pytest.raises(BadInput, match="no change of it was merged"):
        task_rollback(goal.pk, "other", actor="me", reason="no")
    with pytest.raises(NotFound):
        task_rollback(goal.pk, "nothing", actor="me", reason="no")
    assert Goal.objects.count() == before
    assert Proposal.objects.filter(state="applied").count() == 1
