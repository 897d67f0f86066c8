"""A swarm on real worker processes, one of which is killed with items under way."""

from __future__ import annotations

from collections import Counter

import pytest

from orchestration.models import SwarmItem, SwarmShift, WorkerSession
from orchestration.services.fsck import fsck
from tests.acceptance.workers import Workers, ended, wait_for
from tests.orchestration.pump import submit
from tests.orchestration.swarming import output, over

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


def test_a_killed_workers_items_are_run_by_another_and_each_is_accepted_once(
    workers: Workers,
) -> None:
    first, second = workers.start(concurrency=2), workers.start(concurrency=2)
    swarm = over(list(range(120)), micro="wait", concurrency=20)
    swarm["swarm"]["with"] = {"seconds": 0.3}
    goal = submit(swarm)
    items = SwarmItem.objects.filter(task__goal=goal)

    def busy() -> set[int]:
        held = items.filter(state="leased", shift__ended_at=None)
        owners = set(held.values_list("shift__owner", flat=True))
        return set(WorkerSession.objects.filter(pk__in=owners).values_list("pid", flat=True))

    wait_for(lambda: bool(busy() & {first.pid, second.pid}), why=workers.said)
    victim = first if first.pid in busy() else second
    workers.kill(victim)
    goal = ended(goal, workers, seconds=60)
    assert goal.state == "succeeded"
    assert output(goal)["result"] == list(range(120))
    assert SwarmShift.objects.filter(goal=goal, lost=True).count() == 1
    named: Counter[int] = Counter()
    for entry in goal.ledger.filter(event="swarm.inspected"):
        for low, high in entry.payload.get("accepted", []):
            named.update(range(low, high + 1))
    assert (len(named), set(named.values())) == (120, {1})
    assert fsck(goal.pk, deep=True) == []
