"""The journal: a completed call is never made again, and a zombie writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from agentsys.kernel.errors import LeaseLost, NotFound
from agentsys.kernel.hashing import digest
from workers import services
from workers.errors import EffectMismatch
from workers.journal import Journal
from workers.models import Blob, Effect, Step

pytestmark = pytest.mark.django_db


class Calls:
    """Things to call that remember that they were called."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def to(self, value: Any) -> Callable[[], Any]:
        def call() -> Any:
            self.made.append(value)
            if isinstance(value, Exception):
                raise value
            return value

        return call


def journal(attempt: int = 1, fence: int = 1, guard: Callable[[], None] = lambda: None) -> Journal:
    return Journal("task-1", attempt, fence, guard)


def test_a_successor_gets_the_outcomes_and_calls_nothing() -> None:
    calls = Calls()
    for attempt in (1, 2):
        walk = journal(attempt, fence=attempt)
        assert walk.step("tool", "read", {"path": "a"}, calls.to({"n": 1.0})) == {"n": 1}
        assert walk.step("tool", "read", {"path": "b"}, calls.to(None)) is None
    assert calls.made == [{"n": 1.0}, None]
    assert walk.replayed == 2
    assert set(Step.objects.values_list("attempt_id", "state")) == {(1, "done")}


def test_a_large_outcome_is_a_blob_and_comes_back_whole() -> None:
    big = {"text": "ü" * 10_000}
    calls = Calls()
    assert journal().step("tool", "read", {}, calls.to(big)) == big
    step = Step.objects.get()
    assert step.outcome is None
    assert Blob.objects.get(pk=step.outcome_blob).media_type == "application/json"
    assert journal(2, 2).step("tool", "read", {}, calls.to("never")) == big
    assert calls.made == [big]


def test_a_step_that_was_only_begun_is_made_again() -> None:
    calls = Calls()
    first = journal()
    first._begin(0, "model", "chat", {}, "x" * 64)
    assert Step.objects.get().state == "intent"
    assert journal(2, 2).step("model", "chat", {}, calls.to("answer")) == "answer"
    with pytest.raises(LeaseLost):  # the first worker is behind now
        first._begin(0, "model", "chat", {}, "x" * 64)


def test_a_failed_step_is_journaled_and_tried_again() -> None:
    calls = Calls()
    with pytest.raises(ValueError, match="no"):
        journal().step("tool", "t", {}, calls.to(ValueError("no")))
    assert Step.objects.get().outcome == {"error": "ValueError: no"}
    assert journal(2, 2).step("tool", "t", {}, calls.to("yes")) == "yes"
    assert Step.objects.get().state == "done"


def test_another_request_leaves_the_course_and_keeps_the_record() -> None:
    calls = Calls()
    first = journal()
    for number in range(3):
        first.step("tool", "t", {"n": number}, calls.to(number))
    second = journal(2, 2)
    assert second.step("tool", "t", {"n": 0}, calls.to("never")) == 0
    assert second.step("tool", "t", {"n": 9}, calls.to(9)) == 9
    assert second.step("tool", "t", {"n": 2}, calls.to("again")) == "again"
    rows = Step.objects.order_by("lineage", "index").values_list("lineage", "index", "outcome")
    assert list(rows) == [
        *(("task-1", 0, 0), ("task-1", 1, 9), ("task-1", 2, "again")),
        *(("task-1~2", 1, 1), ("task-1~2", 2, 2)),
    ]


def test_leaving_the_course_twice_keeps_both_records() -> None:
    for attempt in (1, 2, 2, 2):
        walk = journal(attempt, attempt)
        walk.step("tool", "t", {"random": Step.objects.count()}, lambda: None)
    assert Step.objects.filter(index=0).count() == 4


def test_no_secret_is_stored_and_a_replay_is_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    canary, key = "canary-77d1f0a2", "AKIA" + "IOSFODNN7EXAMPLE"
    monkeypatch.setenv("SOME_TOKEN", canary)
    calls = Calls()
    seen = []
    for attempt in (1, 2):
        walk = journal(attempt, fence=attempt)
        seen.append(walk.step("tool", "read", {"at": canary}, calls.to({"t": f"{canary} {key}"})))
        seen.append(walk.step("model", "m", {"n": 1}, calls.to({"t": f"{canary} {key}"})))
    assert walk.replayed == 2
    assert seen[:2] == seen[2:]
    assert key in str(seen[1])  # code that a model writes may hold an example
    assert key not in str(seen[0])
    assert canary not in str(seen) + str(list(Step.objects.values()))
    failing = journal(3, fence=3)
    with pytest.raises(ValueError, match=canary):
        failing.step("tool", "other", {}, calls.to(ValueError(canary)))
    assert canary not in str(list(Step.objects.values()))


def test_the_guard_is_asked_before_each_live_step_and_nothing_is_written_when_it_says_no() -> None:
    def lost() -> None:
        raise LeaseLost(attempt_id=1, fence=1, reason="taken")

    calls = Calls()
    with pytest.raises(LeaseLost):
        journal(guard=lost).step("tool", "t", {}, calls.to(1))
    assert calls.made == []
    assert not Step.objects.exists()


def test_a_zombie_of_an_earlier_fence_cannot_finish_its_step() -> None:
    zombie = journal(1, fence=1)

    def overtaken() -> str:
        journal(2, fence=2).step("tool", "t", {}, lambda: "new")
        return "old"

    with pytest.raises(LeaseLost):
        zombie.step("tool", "t", {}, overtaken)
    assert Step.objects.get().outcome == "new"


# --- Blobs and effects ---------------------------------------------------------------------------


def test_content_is_stored_once() -> None:
    first = services.blob_put(b"same", "text/plain")
    assert services.blobs_put([(b"same", "x/y"), (b"other", "x/y"), (b"same", "x/y")])[0] == first
    assert Blob.objects.count() == 2
    assert services.blob_get(first) == b"same"
    with pytest.raises(NotFound):
        services.blob_get("0" * 64)


def begin(request: dict[str, Any] | None = None, fence: int = 1) -> services.EffectView:
    return services.effect_begin(
        key="pay-1", kind="action", request=request or {"n": 1.0}, attempt_id=1, fence=fence
    )


def test_an_effect_is_fresh_once() -> None:
    assert begin().fresh
    again = begin(fence=2)
    assert (again.fresh, again.state, again.fence) == (False, "intent", 1)
    assert services.effect_confirm("pay-1", {"paid": True})
    assert not services.effect_confirm("pay-1", {"paid": "twice"})
    assert not services.effect_doubt("pay-1", "late")
    settled = begin()
    assert (settled.state, settled.result) == ("confirmed", {"paid": True})


def test_an_effect_in_doubt_is_settled_by_a_person() -> None:
    begin()
    assert services.effect_doubt("pay-1", "the worker died")
    assert services.effect_refuse("pay-1", "the bank knows nothing of it")
    view = services.effect_get("pay-1")
    assert view is not None
    assert (view.state, view.result) == ("refused", {"note": "the bank knows nothing of it"})


def test_a_key_names_one_request() -> None:
    begin()
    with pytest.raises(EffectMismatch):
        begin({"n": 2})


@pytest.mark.parametrize("state", ["", "unknown"])
def test_the_database_refuses_states_that_are_none(state: str) -> None:
    begin()
    for model, fields in ((Effect, {"key": "pay-1"}), (Step, {})):
        if model is Step:
            journal().step("tool", "t", {}, lambda: 1)
        with pytest.raises(IntegrityError), transaction.atomic():
            model.objects.filter(**fields).update(state=state)


@pytest.mark.django_db(transaction=True)
def test_an_intent_is_refused_inside_a_transaction_that_could_take_it_back() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        begin()
    with pytest.raises(RuntimeError), transaction.atomic():
        journal().step("tool", "t", {}, lambda: 1)
    assert not Effect.objects.exists()
    assert not Step.objects.exists()


def test_storage_per_step_is_constant_in_an_attempt_of_a_thousand_steps() -> None:
    """What a model call says in its row is what is new; digests stand for the talk before it."""
    walk, talk, sent = journal(), ["the prompt"], 0
    for n in range(1000):
        request = {"new": talk[sent:], "transcript": digest(talk)}
        sent = len(talk)
        said = walk.step("model", "agent", request, lambda n=n: {"text": f"look at thing {n}"})
        found = walk.step("tool", "read", {"path": f"{n}"}, lambda n=n: {"text": f"thing {n} " * 9})
        talk += [said["text"], found["text"]]
    sizes = [
        len(str(step.request)) + len(str(step.outcome)) for step in Step.objects.order_by("index")
    ]
    assert len(sizes) == 2000
    assert sum(sizes[-200:]) < 1.2 * sum(sizes[100:300])
    assert not Blob.objects.exists()
