"""A swarm under pauses, budgets, deaths and doubled bells: nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.db.models.functions import Now

from agentsys.kernel import crashpoints
from orchestration.models import Budget, Goal, Reservation, Swarm, SwarmItem, SwarmShift
from orchestration.services.advance import advance
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel, goal_retry
from orchestration.services.ledger import goal_locked
from orchestration.services.pausing import goal_pause, goal_resume
from orchestration.services.sessions import Session, session_use
from orchestration.services.swarm_running import swarm_serve
from orchestration.services.swarm_sweep import shifts_lost, shifts_take_back
from orchestration.services.swarms import (
    Settled,
    items_claim,
    items_settle,
    shift_begin,
    shift_end,
    standing_of,
)
from orchestration.services.why import why
from tests.orchestration.pump import asked_about, at_once, submit, task_named
from tests.orchestration.swarming import (
    forget_micro_agents,
    items_of,
    output,
    over,
    ring,
    run,
    sound,
)
from workers.micro import Answer, Bound, Item, MicroAgent, micro_register

pytestmark = pytest.mark.django_db(transaction=True)
_forget = pytest.fixture(autouse=True)(forget_micro_agents)


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    crashpoints.arm(None)


class Died(BaseException):
    """A worker that is killed handles nothing."""


def die_at(name: str, hit: int = 1) -> None:
    left = hit

    def hook(reached: str) -> None:
        nonlocal left
        if reached == name:
            left -= 1
            if left == 0:
                raise Died

    crashpoints.arm(hook)


def opened(*args: Any, **swarm: Any) -> tuple[Goal, int]:
    goal = submit(over(*args, **swarm))
    advance(goal.pk)
    return goal, task_named(goal, "map").pk


def leased(goal: Goal, task_id: int, owner: int, count: int) -> tuple[int, list[Any]]:
    """A shift of a worker that has leased `count` items."""
    with goal_locked(goal.pk) as book:
        shift = shift_begin(book, task_id, owner)
        assert shift is not None
        seen = standing_of(task_id)
        assert seen is not None
        return shift, items_claim(book, task_id, shift, seen, room=count, holds=0)


def settle(goal: Goal, task_id: int, shift: int, items: list[Any]) -> set[int]:
    with goal_locked(goal.pk) as book:
        seen = standing_of(task_id)
        assert seen is not None
        batch = [Settled(i.id, i.path, True, output=i.input) for i in items]
        return items_settle(book, task_id, shift, seen, batch)


def test_what_a_dead_worker_had_leased_is_run_by_another_and_settled_late_by_nobody() -> None:
    goal, task_id = opened(["a", "b", "c"])
    shift, items = leased(goal, task_id, owner=10**9, count=2)  # no such session: it is dead
    assert shifts_lost() == [shift]
    assert shifts_take_back() == 1
    assert {i.losses for i in items_of(goal, pk__in=[i.id for i in items])} == {1}
    assert settle(goal, task_id, shift, items) == set()
    goal = run(goal)
    assert output(goal)["result"] == ["a", "b", "c"]
    sound(goal)


class Ends(MicroAgent):
    """Raises what its item says."""

    name: ClassVar[str] = "ends"
    description: ClassVar[str] = "ends the thread"
    raised: ClassVar[dict[str, type[BaseException]]] = {
        "exit": SystemExit, "break": KeyboardInterrupt, "cancel": asyncio.CancelledError,
        "own": Died,
    }  # fmt: skip

    def run(self, item: Item) -> Any:
        if item.input in self.raised:
            raise self.raised[item.input]("now")
        return item.input


class EndsLoop(Ends):
    name: ClassVar[str] = "ends-loop"

    async def arun(self, item: Item) -> Any:
        return self.run(item)


@pytest.mark.parametrize("kind", [Ends, EndsLoop])
def test_a_micro_agent_that_ends_its_thread_fails_its_item_only(kind: type[Ends]) -> None:
    micro_register(kind.name, kind)
    items = [*Ends.raised, "a", "b"]
    goal = submit(over(items, micro=kind.name, failed_max=4, attempts_max=1))
    goal = run(goal)
    assert output(goal)["result"] == ["a", "b"]
    reasons = [item.reason for item in items_of(goal, state="failed")]
    names = [error.__name__ for error in Ends.raised.values()]
    assert reasons == [f"MicroAgentCrashed: it crashed with {name}: now" for name in names]
    sound(goal)


class Boundless(Ends):
    name: ClassVar[str] = "boundless"

    def bound(self, item: Item) -> Bound | None:
        if item.input == "huge":
            raise OverflowError("too much")
        return None


def test_an_item_whose_bound_cannot_be_told_fails_alone() -> None:
    micro_register("boundless", Boundless)
    goal = run(submit(over(["huge", "a"], micro="boundless", failed_max=1)))
    assert output(goal)["result"] == ["a"]
    (failed,) = items_of(goal, state="failed")
    assert failed.reason == "what it may use cannot be told: OverflowError: too much"
    sound(goal)


def test_a_swarm_that_asks_without_a_model_fails_and_says_which_role_wants_one(
    settings: Any,
) -> None:
    goal, _ = opened(["a", "b"], micro="ask", **{"with": {"prompt": "Count."}})
    settings.AGENTSYS = replace(settings.AGENTSYS, model="")
    run(goal)
    task = task_named(goal, "map")
    assert task.state == "failed"
    wanted = "no model for the role `swarm`: add a model profile or set AGENTSYS_MODEL"
    assert wanted in task.reason
    sound(goal)


def test_a_batch_that_is_settled_twice_moves_nothing_the_second_time() -> None:
    goal, task_id = opened(["a", "b"])
    shift, items = leased(goal, task_id, owner=10**9, count=2)
    assert settle(goal, task_id, shift, items) == {i.id for i in items}
    before = goal.ledger.count()
    assert settle(goal, task_id, shift, items) == set()
    assert goal.ledger.count() == before


def test_a_shift_that_is_over_leases_nothing_and_settles_nothing() -> None:
    goal, task_id = opened(["a", "b"])
    shift, items = leased(goal, task_id, owner=10**9, count=1)
    with goal_locked(goal.pk) as book:
        shift_end(book, task_id, shift)
    assert settle(goal, task_id, shift, items) == set()
    assert items_of(goal, state="open").count() == 2
    with goal_locked(goal.pk) as book:
        seen = standing_of(task_id)
        assert seen is not None
        assert items_claim(book, task_id, shift, seen, room=5, holds=0) == []


def test_an_item_that_two_workers_were_lost_with_runs_alone_and_the_third_loss_fails_it() -> None:
    goal, task_id = opened(["poison", "b", "c"], failed_max=1)
    for _ in range(2):
        leased(goal, task_id, owner=10**9, count=1)
        shifts_take_back()
    _, items = leased(goal, task_id, owner=10**9, count=3)
    assert [i.input for i in items] == ["b", "c"]
    shifts_take_back()
    SwarmItem.objects.filter(task_id=task_id, losses=1).update(state="accepted", output_hash="x")
    _, items = leased(goal, task_id, owner=10**9, count=3)
    assert [i.input for i in items] == ["poison"]
    shifts_take_back()
    assert items_of(goal).get(state="failed").input == "poison"


@pytest.mark.parametrize("point", ["C03", "C04", "C10", "C11", "C13", "C14", "C16", "C01", "C12"])
@pytest.mark.parametrize("hit", [1, 2, 3])
def test_a_worker_may_die_anywhere_and_every_item_is_accepted_once(point: str, hit: int) -> None:
    goal, task_id = opened([f"i{n}" for n in range(12)], chunk=4, sample=3)
    die_at(point, hit)
    session = Session()
    session.enter()
    with session_use(session), suppress(Died):
        swarm_serve(task_id)
    crashpoints.arm(None)
    SwarmShift.objects.filter(ended_at=None).update(owner=10**9)  # its session is gone
    shifts_take_back()
    goal = run(goal)
    assert goal.state == "succeeded"
    assert output(goal)["result"] == [f"i{n}" for n in range(12)]
    named: Counter[int] = Counter()
    for entry in goal.ledger.filter(event="swarm.inspected"):
        for first, last in entry.payload.get("accepted", []):
            named.update(range(first, last + 1))
    assert set(named.values()) == {1}
    assert len(named) == 12
    sound(goal)


def test_doubled_bells_run_nothing_twice() -> None:
    ran: Counter[int] = Counter()

    def count(given: int) -> int:
        ran[given] += 1
        return given

    micro_register("count", count)
    goal, task_id = opened(list(range(60)), micro="count", chunk=7)

    def worker() -> None:
        session = Session()
        session.enter()
        with session_use(session):
            swarm_serve(task_id)

    found = at_once([worker] * 3)
    assert [e for e in found if isinstance(e, Exception)] == []
    goal = run(goal)
    assert output(goal)["result"] == list(range(60))
    assert set(ran.values()) == {1}
    sound(goal)


def test_a_paused_swarm_leases_nothing_and_goes_on_when_it_may() -> None:
    goal, _ = opened(["a", "b"])
    goal_pause(goal.pk, actor="p", reason="wait")
    ring(goal)
    assert items_of(goal, state="open").count() == 2
    goal_resume(goal.pk, actor="p")
    goal = run(goal)
    assert goal.state == "succeeded"
    sound(goal)


def test_what_is_under_way_when_the_goal_is_cancelled_does_not_count() -> None:
    goal, task_id = opened(["a", "b"])
    shift, items = leased(goal, task_id, owner=10**9, count=1)
    goal_cancel(goal.pk, actor="p", reason="enough")
    assert settle(goal, task_id, shift, items) == set()
    shifts_take_back()
    goal.refresh_from_db()
    assert goal.state == "cancelled"
    assert items_of(goal, state="open").count() == 2
    sound(goal)


class Priced(MicroAgent):
    name = "priced"
    description = "uses 10 tokens of the 20 that it may"

    def run(self, item: Item) -> Answer:
        return Answer(item.input, tokens=10, cost_usd=0.001, calls=1)

    def bound(self, item: Item) -> Bound:
        return Bound(20, 0.002)


def test_items_are_paid_by_every_budget_above_and_nothing_stays_reserved() -> None:
    micro_register("priced", Priced)
    goal, task_id = opened(list(range(30)), micro="priced", budget={"tokens": 10_000})
    goal = run(goal)
    assert goal.state == "succeeded"
    for budget in Budget.objects.filter(goal=goal) | Budget.objects.filter(task_id=task_id):
        assert (budget.tokens_spent, budget.tokens_reserved) == (300, 0)
        assert (budget.calls_spent, budget.calls_reserved) == (30, 0)
    assert not Reservation.objects.exists()
    sound(goal)


def test_a_swarm_without_budget_asks_a_person_and_goes_on_when_it_is_raised() -> None:
    user = get_user_model().objects.create_superuser("boss")
    micro_register("priced", Priced)
    goal, task_id = opened(list(range(30)), micro="priced", budget={"tokens": 105})
    goal = run(goal)
    asked = asked_about(goal)
    assert asked.kind == "budget"
    spent = Budget.objects.get(task_id=task_id)
    assert 80 < spent.tokens_spent <= 105
    assert spent.tokens_reserved == 0
    assert "budget" in why(f"task-{task_id}").sentence
    before = goal.ledger_seq
    ring(goal)
    goal.refresh_from_db()
    assert goal.ledger_seq == before  # it waits, and costs nothing
    approval_decide(
        asked.pk, user=user, decision="edit", payload={"tokens_max": 1000}, reason="go on"
    )
    goal = run(goal)
    assert goal.state == "succeeded"
    assert Budget.objects.get(task_id=task_id).tokens_spent == 300
    sound(goal)


def test_what_a_lost_shift_had_reserved_is_given_back() -> None:
    micro_register("priced", Priced)
    goal, task_id = opened(list(range(4)), micro="priced", budget={"tokens": 1000})
    die_at("C04")
    session = Session()
    session.enter()
    with session_use(session), pytest.raises(Died):
        swarm_serve(task_id)
    crashpoints.arm(None)
    assert Reservation.objects.get().tokens == 80
    SwarmShift.objects.update(owner=10**9)
    shifts_take_back()
    goal = run(goal)
    assert Budget.objects.get(task_id=task_id).tokens_reserved == 0
    sound(goal)


def test_no_more_are_under_way_than_the_concurrency_allows() -> None:
    goal, task_id = opened(list(range(20)), concurrency=5)
    _, first = leased(goal, task_id, owner=10**9, count=3)
    _, second = leased(goal, task_id, owner=10**9 + 1, count=20)
    assert (len(first), len(second)) == (3, 2)


def test_the_rate_is_shared_by_all_shifts() -> None:
    goal, task_id = opened(list(range(200)), rate_per_minute=600)
    _, first = leased(goal, task_id, owner=10**9, count=50)
    _, second = leased(goal, task_id, owner=10**9 + 1, count=50)
    assert len(first) == 10
    assert len(second) <= 2  # what the moment in between has let in


def test_a_swarm_that_failed_goes_on_with_what_failed_when_a_person_retries() -> None:
    broken = {2}

    def sometimes(given: int) -> int:
        if given in broken:
            raise OSError("away")
        return given

    micro_register("sometimes", sometimes)
    goal = run(submit(over([1, 2, 3], micro="sometimes", attempts_max=1)))
    assert goal.state == "failed"
    broken.clear()
    goal_retry(goal.pk, actor="p")
    goal = run(goal)
    assert goal.state == "succeeded"
    assert output(goal)["result"] == [1, 2, 3]
    sound(goal)


def test_fsck_finds_items_that_are_leased_by_a_shift_that_is_over() -> None:
    goal, task_id = opened(["a"])
    shift, _ = leased(goal, task_id, owner=10**9, count=1)
    SwarmShift.objects.filter(pk=shift).update(ended_at=Now())
    assert {f.invariant for f in fsck(goal.pk)} == {"swarm-leases-have-shifts"}
    fsck(goal.pk, repair=True)
    assert fsck(goal.pk) == []
    assert items_of(goal).get().state == "open"


BREAKAGES = {
    "swarm-done-is-complete": lambda pk: SwarmItem.objects.filter(pk=pk).update(state="open"),
    "swarm-twins-have-items": lambda pk: SwarmItem.objects.filter(pk=pk).update(
        state="twin", input_hash="0" * 64
    ),
    "swarm-before-task": lambda pk: Swarm.objects.update(state="mapping", finished_at=None),
}


@pytest.mark.parametrize("name", sorted(BREAKAGES))
def test_fsck_finds_what_a_swarm_may_never_be(name: str) -> None:
    goal, _ = opened(["a", "b"])
    ring(goal)
    assert task_named(goal, "map").state == "ready"  # its items ended; its result is not handed in
    BREAKAGES[name](items_of(goal).first().pk)
    assert name in {f.invariant for f in fsck(goal.pk)}
