"""Playbooks: frozen versions, an honest record, candidates that must prove themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, transaction

from agentsys.kernel.errors import BadInput, NotFound
from memory import services as memory
from memory.models import Playbook

pytestmark = pytest.mark.django_db
STEPS = {"phases": [{"name": "one", "tasks": []}]}


def test_the_same_definition_is_the_same_version() -> None:
    first = memory.playbook_save("care", STEPS)
    assert memory.playbook_save("care", dict(STEPS)) == first
    second = memory.playbook_save("care", {**STEPS, "note": "x"})
    assert (first.version, second.version) == (1, 2)
    old = memory.playbook_get("care", version=1)
    assert old is not None
    assert old.definition == STEPS


@pytest.mark.parametrize(
    "change", [{"definition": {}}, {"definition_hash": "0"}, {"version": 9}, {"name": "other"}]
)
def test_the_database_refuses_to_change_a_version(change: dict[str, object]) -> None:
    view = memory.playbook_save("care", STEPS)
    with pytest.raises(IntegrityError, match="frozen"), transaction.atomic():
        Playbook.objects.filter(pk=view.id).update(**change)
    assert memory.playbook_get("care") == view


def test_a_namespaces_own_playbook_comes_before_the_shared_one() -> None:
    shared = memory.playbook_save("care", STEPS)
    own = memory.playbook_save("care", {"own": True}, namespace="project-1")
    assert memory.playbook_get("care", namespace="project-1") == own
    assert memory.playbook_get("care", namespace="project-2") == shared
    assert memory.playbook_get("care") == shared
    assert memory.playbooks("project-1") == [own]


def test_a_learned_candidate_is_not_put_in_force_by_its_successes() -> None:
    active = memory.playbook_save("care", STEPS, namespace="p")
    learned = memory.playbook_learn(namespace="p", goal_id=7, name="care", definition={"l": 1})
    assert (learned.origin, learned.state, learned.version) == ("learned", "candidate", 2)
    assert memory.playbook_get("care", namespace="p") == active
    memory.playbook_result(learned.id, success=False)
    assert memory.playbook_get("care", namespace="p") == active
    memory.playbook_result(learned.id, success=True)
    assert memory.playbook_get("care", namespace="p") == active
    again = memory.playbook_get("care", version=2, namespace="p")
    assert again is not None
    assert (again.state, again.successes, again.failures) == ("candidate", 1, 1)
    assert memory.playbooks("p", state="active") == [active]


def test_the_most_proven_come_first() -> None:
    ids = {name: memory.playbook_save(name, STEPS).id for name in ("lucky", "new", "proven", "bad")}
    for name, successes, failures in (("lucky", 1, 0), ("proven", 9, 1), ("bad", 1, 9)):
        for n in range(successes + failures):
            memory.playbook_result(ids[name], success=n < successes)
    assert [view.name for view in memory.playbooks()] == ["proven", "lucky", "bad", "new"]


def test_unknown_ids_and_bad_names_are_refused() -> None:
    with pytest.raises(NotFound):
        memory.playbook_result(999_999, success=True)
    with pytest.raises(BadInput):
        memory.playbook_save(" ", STEPS)
    assert memory.playbook_get("nosuch") is None


@pytest.mark.django_db(transaction=True)
def test_versions_saved_at_once_are_numbered_one_after_the_other() -> None:
    def save(n: int) -> int:
        try:
            return memory.playbook_save("care", {"n": n % 4}).version
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(save, range(4)))
    assert sorted(versions) == [1, 2, 3, 4]
