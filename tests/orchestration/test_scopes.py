"""Two tasks that may write the same thing are never under way at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from orchestration.models import Goal, ScopeLease
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel, goal_pause
from orchestration.services.hotpath import claim
from orchestration.services.ledger import goal_locked, ledger_verify
from orchestration.services.running import _claim_one, task_serve
from orchestration.services.sessions import session_current
from orchestration.services.sweep import lost_take_back
from orchestration.services.why import why
from tests.orchestration.pump import at_once, attempt_of, node, pump, submit, task_named
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db(transaction=True)


def writer(key: str, resource: str, mode: str = "write", **rest: Any) -> dict[str, Any]:
    return node(
        key, agent="command", inputs={"argv": ["true"]},
        scopes=[{"resource": resource, "mode": mode}], **rest,
    )  # fmt: skip


def take(goal: Goal, key: str) -> bool:
    """As a worker begins: the claim with all scopes, or nothing."""
    task = task_named(goal, key)
    with goal_locked(goal.pk) as book:
        return bool(_claim_one(book, session_current(), task.pk, task.fence, scoped=True))


def test_the_second_writer_waits_says_for_whom_and_starts_after_the_first_ended() -> None:
    first, second = submit(writer("a", "repo:src/**")), submit(writer("b", "repo:src/x.py"))
    assert take(first, "a")
    assert not take(second, "b")
    waiting = task_named(second, "b")
    assert (waiting.state, waiting.started_at) == ("ready", None)
    assert waiting.reason == f"waits for repo:src/x.py: repo:src/** is held by {first.pk}/a"
    assert f"{first.pk}/a" in why(f"task-{waiting.pk}").sentence
    attempt = attempt_of(second, "b")
    assert (attempt.state, attempt.owner, attempt.started_at) == ("queued", None, None)
    assert attempt.publish_due_at is not None
    lost_take_back_now(first)
    assert pump(first).state == "succeeded"
    ended = task_named(first, "a").finished_at
    assert pump(second).state == "succeeded"
    begun = task_named(second, "b")
    assert begun.started_at is not None
    assert ended is not None
    assert begun.started_at > ended
    assert ScopeLease.objects.count() == 0
    for goal in (first, second):
        assert fsck(goal.pk) == []
        assert ledger_verify(goal.pk) == []


def lost_take_back_now(goal: Goal) -> None:
    """The worker that had only claimed is gone; the next one does the work."""
    from django.utils import timezone

    attempt = attempt_of(goal, "a")
    goal.attempts.filter(pk=attempt.pk).update(lease_until=timezone.now())
    lost_take_back(attempt.pk)


def test_a_lost_writer_frees_its_scopes() -> None:
    first, second = submit(writer("a", "repo:src/**")), submit(writer("b", "repo:src/x.py"))
    assert take(first, "a")
    lost_take_back_now(first)
    assert take(second, "b")


def test_a_cancelled_writer_frees_its_scopes() -> None:
    first, second = submit(writer("a", "repo:src/**")), submit(writer("b", "repo:src/**"))
    assert take(first, "a")
    goal_cancel(first.pk, actor="me")
    assert take(second, "b")


def test_readers_and_writers_keep_out_of_each_others_way() -> None:
    reader = node(
        "r", agent="command", inputs={"argv": ["true"]},
        scopes=[{"resource": "repo:src/**", "mode": "read"}, {"resource": "repo:out/r"}],
    )  # fmt: skip
    other = {**reader, "scopes": [reader["scopes"][0], {"resource": "repo:out/s"}]}
    first, second = submit(reader), submit(other)
    third = submit(writer("w", "repo:src/a.py"))
    assert take(first, "r")
    assert take(second, "r")  # two readers of one thing
    assert not take(third, "w")


def test_what_does_not_overlap_runs_side_by_side() -> None:
    first, second = submit(writer("a", "repo:src/**")), submit(writer("b", "repo:docs/**"))
    assert take(first, "a")
    assert take(second, "b")


def test_the_same_paths_of_two_repositories_are_two_things(tmp_path: Path) -> None:
    goals = []
    for name in ("one", "two"):
        given = GivenRepository(tmp_path / name)
        given.put("src/a.py", "a = 1\n")
        given.commit()
        goals.append(submit(writer("a", "repo:src/**"), repository=str(given.path)))
    assert take(goals[0], "a")
    assert take(goals[1], "a")


def test_of_many_who_want_the_same_at_once_one_gets_it() -> None:
    goals = [submit(writer("a", f"repo:src/{'**' if i % 2 else 'x.py'}")) for i in range(8)]
    session_current()
    found = at_once([lambda g=g: take(g, "a") for g in goals])
    assert sorted(map(str, found)) == ["False"] * 7 + ["True"]
    assert ScopeLease.objects.count() == 1


def test_the_database_refuses_two_exclusive_leases_on_one_resource() -> None:
    first, second = submit(writer("a", "repo:src/**")), submit(writer("a", "repo:src/**"))
    assert take(first, "a")
    lease = ScopeLease.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        ScopeLease.objects.create(
            project=lease.project, task=task_named(second, "a"), space=lease.space,
            resource=lease.resource, exclusive=True,
        )  # fmt: skip


def test_a_cheap_task_that_writes_is_served_one_by_one_with_its_scopes() -> None:
    goal = submit(node("a", scopes=[{"resource": "repo:src/**"}]))
    with goal_locked(goal.pk) as book:
        assert claim(book, owner=1, lease_seconds=30, lane="cheap", limit=5) == []
    assert task_named(goal, "a").lane == "agent"
    assert task_serve(task_named(goal, "a").pk, 0) == "done"
    assert pump(goal).state == "succeeded"


def test_a_resource_that_is_held_as_it_is_wanted_is_named_once() -> None:
    first, second, third = (submit(writer("a", "repo:x.py")) for _ in range(3))
    assert take(first, "a")
    assert not take(second, "a")
    held = f"waits for repo:x.py, which is held by {first.pk}/a"
    assert task_named(second, "a").reason == held
    lost_take_back_now(first)
    goal_cancel(first.pk, actor="tester")
    assert not take(third, "a")
    earlier = f"waits for repo:x.py: {second.pk}/a was queued earlier"
    assert task_named(third, "a").reason == earlier


def crossed(key: str, *resources: str) -> dict[str, Any]:
    return {**writer(key, ""), "scopes": [{"resource": resource} for resource in resources]}


def test_crossed_wishes_do_not_lock_each_other_out() -> None:
    """Each wants what the others want, in another order; one after the other all get it."""
    places = ("repo:x/**", "repo:y/a.py", "host:db", "deploy:prod")
    goals = [submit(crossed("a", *places[n:], *places[:n])) for n in range(4)]
    session_current()
    found = at_once([lambda g=g: take(g, "a") for g in goals])
    assert sorted(map(str, found)) == ["False", "False", "False", "True"]
    assert ScopeLease.objects.count() == 4  # of the one that has them all; nobody holds a part
    names = {f"{goal.pk}/a" for goal in goals}
    for goal, has_them in zip(goals, found, strict=True):
        if not has_them:
            told = why(f"{goal.pk}/a").sentence
            assert sum(name in told for name in names) == 2  # itself, and whom it waits for
    lost_take_back_now(goals[found.index(True)])
    for _ in range(4):  # those who wait are tried again
        states = [pump(goal).state for goal in goals]
    assert states == ["succeeded"] * 4
    assert ScopeLease.objects.count() == 0


def test_who_wants_much_is_not_passed_by_for_ever() -> None:
    holder, wide = submit(writer("a", "repo:a.py")), submit(writer("w", "repo:**"))
    late, beside = submit(writer("b", "repo:b.py")), submit(writer("d", "deploy:prod"))
    assert take(holder, "a")
    assert not take(wide, "w")
    assert not take(late, "b")
    reason = task_named(late, "b").reason
    assert reason == f"waits for repo:b.py: {wide.pk}/w wants repo:** and was queued earlier"
    assert reason in why(f"{late.pk}/b").sentence
    assert take(beside, "d")  # wants nothing of it
    lost_take_back_now(holder)
    assert take(wide, "w")
    assert not take(late, "b")
    assert task_named(late, "b").reason.endswith(f"repo:** is held by {wide.pk}/w")


def test_nobody_stands_back_for_one_that_waits_for_a_person_or_is_paused() -> None:
    holder, wide = submit(writer("a", "repo:a.py")), submit(writer("w", "repo:**"))
    assert take(holder, "a")
    assert not take(wide, "w")
    task_named(holder, "a")
    holder.tasks.filter(key="a").update(state="held")
    assert take(submit(writer("b", "repo:b.py")), "b")
    holder.tasks.filter(key="a").update(state="running")
    assert not take(submit(writer("c", "repo:c.py")), "c")
    goal_pause(wide.pk, actor="me")
    assert take(submit(writer("d", "repo:d.py")), "d")
