"""The check finds what it is there to find, when it is planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestration.chaos.check import check
from orchestration.models import Task
from tests import factories
from workers.models import Effect, Step

pytestmark = pytest.mark.django_db


def effect(task: Task, *, intent: bool = True) -> dict[str, Any]:
    """An intent on record, and what the witness would have written."""
    key = f"goal-{task.goal_id}/task-{task.pk}"
    if intent:
        Effect.objects.create(
            key=key, kind="witness", attempt_id=1, fence=1, request={}, request_hash="5" * 64
        )
    return {"kind": "effect", "key": key}


def done() -> Task:
    return factories.task(factories.goal(), "a", state="done", agent="chaos-effect", lane="agent")


def found(tmp_path: Path, *records: dict[str, Any]) -> dict[str, int]:
    path = tmp_path / "witness.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    counts = check(path).counts
    return {n: counts[n] for n in ("lost", "doubled", "phantom", "repeated") if counts[n]}


def test_one_effect_for_each_done_task_is_as_it_should_be(tmp_path: Path) -> None:
    assert found(tmp_path, effect(done())) == {}


def test_done_without_an_effect_is_lost(tmp_path: Path) -> None:
    done()
    assert found(tmp_path) == {"lost": 1}


def test_an_effect_that_came_twice_is_doubled(tmp_path: Path) -> None:
    record = effect(done())
    assert found(tmp_path, record, record) == {"doubled": 1}


def test_an_effect_without_an_intent_is_a_phantom(tmp_path: Path) -> None:
    assert found(tmp_path, effect(done(), intent=False)) == {"phantom": 1}


@pytest.mark.parametrize(
    ("fences", "repeated"),
    [((3,), 0), ((1, 3), 0), ((3, 3), 1), ((3, 5), 1)],
    ids=["once", "cut off before its outcome was stored", "twice", "after its outcome was stored"],
)
def test_a_call_may_come_again_only_while_its_outcome_is_not_on_record(
    fences: tuple[int, ...], repeated: int, tmp_path: Path
) -> None:
    task = done()
    Step.objects.create(
        lineage="t1", index=0, attempt_id=1, fence=3, kind="model", name="script", request={},
        request_hash="5" * 64, state="done", finished_at=task.finished_at,
    )  # fmt: skip
    calls = [{"kind": "call", "lineage": "t1", "step": 0, "fence": fence} for fence in fences]
    assert found(tmp_path, effect(task), *calls).get("repeated", 0) == repeated


def test_an_accepted_attempt_of_another_fence_is_stale(tmp_path: Path) -> None:
    task = done()
    record = effect(task)
    path = tmp_path / "witness.jsonl"
    path.write_text(json.dumps(record) + "\n")
    assert check(path).counts["stale"] == 0
    Task.objects.filter(pk=task.pk).update(fence=9)
    assert check(path).counts["stale"] == 1
