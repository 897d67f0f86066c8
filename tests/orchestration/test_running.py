"""Settling under trouble: a report that cannot be stored, a commit in doubt, a worker told to stop."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from django.db import OperationalError, connection

from orchestration.models import Attempt, Goal, Task
from orchestration.services import executing, running
from orchestration.services.draining import attempts_release, drain
from orchestration.services.fsck import fsck
from orchestration.services.hotpath import claim
from orchestration.services.ledger import goal_locked
from orchestration.services.running import serve, task_serve
from orchestration.services.sessions import Session, session_close, session_current, session_use
from tests.acceptance.workers import wait_for
from tests.orchestration.pump import attempt_of, node, pump, submit, task_named
from workers import registry
from workers.agents.base import Agent, done
from workers.contracts import Brief, Ports, Report, Usage

pytestmark = pytest.mark.django_db(transaction=True)


class Spendthrift(Agent):
    """Says that it used more tokens than a bigint can hold, when its inputs tell it to."""

    name = "spendthrift"
    role = "operations"
    description = "For tests."
    lane = "cheap"
    inputs_schema: ClassVar = {"type": "object"}

    def run(self, brief: Brief, ports: Ports) -> Report:
        tokens = 10**30 if brief.inputs.get("much") else 1
        report = done({"ok": True})
        return Report(outcome=report.outcome, output=report.output, usage=Usage(tokens))


class Sleeper(Agent):
    """Sleeps for as many seconds as its inputs say."""

    name = "sleeper"
    role = "operations"
    description = "For tests."
    lane = "cheap"
    inputs_schema: ClassVar = {"type": "object"}

    def run(self, brief: Brief, ports: Ports) -> Report:
        time.sleep(brief.inputs.get("seconds", 0))
        return done({"ok": True})


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "sleeper", f"{__name__}:Sleeper")
    monkeypatch.setattr(registry, "_present", lambda: frozenset(registry.BUILT_IN))
    monkeypatch.setitem(registry._loaded, "sleeper", Sleeper())


@pytest.fixture
def spendthrift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "spendthrift", f"{__name__}:Spendthrift")
    monkeypatch.setattr(registry, "_present", lambda: frozenset(registry.BUILT_IN))
    monkeypatch.setitem(registry._loaded, "spendthrift", Spendthrift())


def test_a_report_that_cannot_be_stored_costs_the_others_in_its_batch_nothing(
    spendthrift: None,
) -> None:
    once = {"retry": {"attempts_max": 1}}
    goal = submit(
        *(node(f"t{n}", agent="spendthrift") for n in range(5)),
        node("bad", agent="spendthrift", inputs={"much": True}, optional=True, **once),
    )
    pump(goal)
    assert goal.state == "succeeded"
    assert Task.objects.filter(goal=goal, state="done").count() == 5
    assert Attempt.objects.filter(goal=goal, state="accepted", number=1).count() == 5
    bad = task_named(goal, "bad")
    assert bad.state == "failed"
    assert "cannot be stored" in bad.reason
    assert fsck(goal.pk) == []


def test_a_commit_that_broke_is_tried_again_and_what_it_claimed_unseen_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first settle commits, claims two more, and its answer never comes."""
    goal = submit(*(node(f"t{n}") for n in range(4)))
    session = session_current()
    with goal_locked(goal.pk) as book:
        claims = claim(book, owner=session.id, lease_seconds=30, lane="cheap", limit=2)
        briefs = executing.briefs_of(book, claims)
    batch = [executing.attempt_do(c, b, None) for c, b in zip(claims, briefs, strict=True)]
    real, broken = running.goal_locked, []

    class Breaks:
        """A transaction that is carried out; then the connection is gone."""

        def __init__(self, goal_id: int) -> None:
            self.inner = real(goal_id)

        def __enter__(self) -> Any:
            return self.inner.__enter__()

        def __exit__(self, *raised: Any) -> None:
            self.inner.__exit__(*raised)
            if not broken:
                broken.append(True)
                raise OperationalError("the connection is lost")

    monkeypatch.setattr(running, "goal_locked", Breaks)
    monkeypatch.setattr(running, "COMMIT_PATIENCE", (0.0,))
    with session.hold(c.attempt_id for c in claims):
        _, more, _ = running._settle_cheap(goal.pk, session, batch, 2, last=True)
    assert broken
    assert Task.objects.filter(goal=goal, state="done").count() == 2
    assert len(more) == 2  # given back, and claimed again at once
    assert Task.objects.filter(goal=goal, losses__gt=0).count() == 0
    assert set(Attempt.objects.filter(goal=goal).values_list("number", flat=True)) == {1}
    assert fsck(goal.pk) == []


def test_what_a_worker_gives_back_is_the_same_attempt_under_a_new_fence() -> None:
    goal = submit(node("a"))
    with goal_locked(goal.pk) as book:
        (first,) = claim(book, owner=77, lease_seconds=30, lane="cheap")
    assert attempts_release(77) == 1
    attempt = attempt_of(goal, "a")
    assert (attempt.state, attempt.owner, attempt.number) == ("queued", None, 1)
    with goal_locked(goal.pk) as book:
        (again,) = claim(book, owner=78, lease_seconds=30, lane="cheap")
    assert (again.attempt_id, again.lineage) == (first.attempt_id, first.lineage)
    assert again.fence == first.fence + 1
    assert fsck(goal.pk) == []


def test_a_worker_that_was_told_to_stop_claims_nothing_and_gives_back_what_it_holds(
    settings: Any,
) -> None:
    goal = submit(node("a"), node("b", agent="command", inputs={"argv": ["true"]}))
    session = session_current()
    with goal_locked(goal.pk) as book:
        claim(book, owner=session.id, lease_seconds=30, lane="cheap")
    from dataclasses import replace

    settings.AGENTSYS = replace(settings.AGENTSYS, drain_seconds=0.0)
    drain(session).join(10)
    assert serve() == 0
    slow = task_named(goal, "b")
    assert task_serve(slow.pk, slow.fence) == "draining"
    assert Attempt.objects.filter(goal=goal, state="queued").count() == 2
    session_close()
    assert pump(Goal.objects.get(pk=goal.pk)).state == "succeeded"
    assert Task.objects.filter(goal=goal, losses=0, attempts_count=1).count() == 2


def test_the_connection_is_still_good_after_all_this() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def transactions(goal: Goal) -> int:
    """In how many transactions its tasks were accepted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT xmin::text) FROM agentsys_orchestration_ledgerentry"
            " WHERE goal_id = %s AND event = 'task.accepted'",
            [goal.pk],
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(("most", "transactions_made"), [(200, 1), (3, 4), (1, 10)])
def test_a_batch_is_settled_at_once_and_at_most_so_many(
    settings: Any, most: int, transactions_made: int
) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, batch_max=most)
    goal = submit(*(node(f"t{n}") for n in range(10)))
    assert serve() == 10
    assert transactions(goal) == transactions_made
    assert pump(goal).state == "succeeded"
    assert fsck(goal.pk) == []


def test_what_was_claimed_with_a_long_task_is_given_back_for_others_to_do(
    settings: Any, monkeypatch: pytest.MonkeyPatch, sleeper: None
) -> None:
    session_close()
    settings.AGENTSYS = replace(settings.AGENTSYS, heartbeat_seconds=0.05)
    monkeypatch.setattr(running, "LONG_SECONDS", 0.1)
    long = node("long", agent="sleeper", inputs={"seconds": 6}, priority=5)
    goal = submit(long, *(node(f"t{n}") for n in range(5)))
    thread = threading.Thread(target=_serve_and_close)
    thread.start()
    try:
        wait_for(lambda: task_named(goal, "long").state == "running")
        until = time.monotonic() + 5.5
        others = Task.objects.filter(goal=goal).exclude(key="long")
        while time.monotonic() < until and others.exclude(state="done").exists():
            with session_use(other := Session()):
                other.enter()
                serve()
            time.sleep(0.05)
        assert not others.exclude(state="done").exists()
        assert task_named(goal, "long").state == "running"
    finally:
        thread.join()
    assert pump(goal).state == "succeeded"
    assert not Task.objects.filter(goal=goal, losses__gt=0).exists()
    assert fsck(goal.pk) == []


def _serve_and_close() -> None:
    try:
        serve()
    finally:
        connection.close()
