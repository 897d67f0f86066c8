"""Names that people type: one that there is not is an error, one that is empty is not."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from agentsys.cli import run
from agentsys.kernel.errors import NoSuchName
from memory import services as memory
from orchestration.models import Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def here() -> str:
    project = Project.objects.create(name="here")
    draft = memory.MemoryDraft(
        project.namespace, "semantic", "The port is 80", actor="ann", batch="import-7", goal_id=31
    )
    memory.remember_many([draft])
    return str(project.namespace)


def said(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("memory", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        ("search", "port", "--namespace", "projct-1"),
        ("audit", "--namespace", "projct-1"),
        ("prune", "projct-1"),
        ("consolidate", "--namespace", "projct-1"),
        ("quarantine", "list", "--namespace", "projct-1"),
        ("rollback", "--namespace", "projct-1", "--actor", "ann", "--reason", "x"),
    ],
)
def test_a_namespace_that_there_is_not_is_no_empty_one(
    here: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    memory.remember("another", "semantic", "The port is 81")
    assert run(["manage.py", "memory", *words]) == 6
    assert f"no namespace projct-1; there are {here}, another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--batch", "import-8"), "no batch import-8 in {here}; there is import-7"),
        (("--goal", "goal-32"), "no goal 32 in {here}; there is 31"),
        (("--actor", "Ann"), "no actor Ann in {here}; there is ann"),
        (("--batch", "import-7", "--actor", "eve"), "no actor eve in {here}; there is ann"),
    ],
)
def test_a_batch_that_there_is_not_is_not_taken_back(
    here: str, words: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(NoSuchName) as refused:
        said("rollback", "--namespace", here, *words, "--reason", "x")
    assert str(refused.value) == problem.format(here=here)


def test_a_new_project_is_empty_and_a_batch_may_be_taken_back_twice(here: str) -> None:
    new = Project.objects.create(name="new").namespace
    out, err = said("search", "port", "--namespace", new)
    assert (out, "nothing found" in err) == ("", True)
    for count in (1, 0):
        out, _ = said("rollback", "--namespace", here, "--batch", "import-7", "--reason", "x")
        assert out.startswith(f"{here}: {count} memories taken back")


def test_the_namespace_is_shown_where_several_are_searched(here: str) -> None:
    memory.remember("another", "semantic", "The port is 81")
    both, _ = said("search", "which port")
    one, _ = said("search", "which port", "--namespace", here)
    assert "namespace" in both.splitlines()[0]
    assert here in both and "another" in both
    assert "namespace" not in one.splitlines()[0]
