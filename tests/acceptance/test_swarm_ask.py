"""A swarm that asks a model over real HTTP, while the provider throttles and fails."""

from __future__ import annotations

import json
from collections import Counter
from threading import Lock

import pytest

from agentsys.gateway.loopback import Asked, Loopback, Say, Turn, limited, outage
from orchestration.models import Budget, Reservation, SwarmItem
from orchestration.services.fsck import fsck
from orchestration.services.reads import goal_cost
from tests.acceptance.workers import Workers, ended
from tests.orchestration.pump import submit, task_named
from tests.orchestration.swarming import output, over
from workers.models import ModelCall

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

ITEMS = 200
KIND = {
    "type": "object",
    "properties": {"item": {"type": "string"}},
    "required": ["item"],
    "additionalProperties": False,
}


class Provider:
    """Throttles each 7th item, is away for each 11th, and for each 13th answers
    nonsense before it is away: once."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.tokens = 0
        self.lock = Lock()

    def __call__(self, asked: Asked) -> Turn:
        item = next(m["content"] for m in asked.messages if m["role"] == "user")
        number = int(item.removeprefix("item "))
        with self.lock:
            self.seen[item] += 1
            time = self.seen[item]
            fault = next((n for n in (7, 11, 13) if number % n == 0), 0) if time == 1 else 0
            if time == 2 and number % 13 == 0:
                fault = 11  # after an answer that was paid
            self.faults[str(fault)] += 1
            if fault == 7:
                return limited(0)
            if fault == 11:
                return outage(503)
            used = (20 + number % 5, 3 + number % 3)
            self.tokens += sum(used)
        return Say("nonsense" if fault == 13 else json.dumps({"item": item}), tokens=used)


def test_each_item_is_accepted_once_and_every_call_is_paid_exactly(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Provider()
    with Loopback(provider) as server:
        monkeypatch.setenv("AGENTSYS_MODEL", server.model_name("max_tokens=50"))
        monkeypatch.setenv("AGENTSYS_BREAKER_OUTAGES", "1000")  # a breaker is not what is tried
        workers.start(concurrency=2)
        swarm = over(
            [f"item {n}" for n in range(ITEMS)], micro="ask", output_schema=KIND,
            concurrency=20, sample=20, budget={"tokens": 10_000_000},
        )  # fmt: skip
        swarm["swarm"]["with"] = {"prompt": "Repeat it.", "schema": KIND}
        goal = ended(submit(swarm), workers, seconds=120)
    assert goal.state == "succeeded", workers.said()
    assert output(goal)["result"] == [{"item": f"item {n}"} for n in range(ITEMS)]
    named: Counter[int] = Counter()
    for entry in goal.ledger.filter(event="swarm.inspected"):
        for low, high in entry.payload.get("accepted", []):
            named.update(range(low, high + 1))
    assert (len(named), set(named.values())) == (ITEMS, {1})
    assert provider.faults["7"] and provider.faults["11"] and provider.faults["13"]
    task = task_named(goal, "map")
    items = SwarmItem.objects.filter(task=task)
    assert sum(item.tokens for item in items) == provider.tokens
    paid = Budget.objects.get(task=task)
    assert (paid.tokens_spent, paid.tokens_reserved) == (provider.tokens, 0)
    assert (paid.calls_spent, paid.calls_reserved) == (sum(provider.seen.values()), 0)
    assert not Reservation.objects.exists()
    calls = ModelCall.objects.filter(goal_id=goal.pk)
    assert goal_cost(goal.pk)["model_calls"] == calls.count() == sum(provider.seen.values())
    assert sum(call.input_tokens + call.output_tokens for call in calls) == provider.tokens
    assert set(calls.values_list("outcome", flat=True)) > {"ok", "rate-limited"}
    assert fsck(goal.pk, deep=True) == []
