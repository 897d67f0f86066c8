"""A swarm: each item is accepted once, whatever happens on the way, and its task hands it over."""

from __future__ import annotations

import json
from collections import Counter
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestration.models import Goal, SwarmShift
from orchestration.services import reads
from orchestration.services.swarm_views import swarms_progress
from orchestration.services.swarms import standing_of
from tests.orchestration.pump import node, submit, task_named
from tests.orchestration.swarming import forget_micro_agents, items_of, output, over, run, sound
from workers.micro import Answer, Item, ItemRefused, MicroAgent, micro_register
from workers.services import blob_get

pytestmark = pytest.mark.django_db(transaction=True)


_forget = pytest.fixture(autouse=True)(forget_micro_agents)


def test_every_item_is_accepted_and_handed_over_in_order() -> None:
    goal = run(submit(over([f"i{n}" for n in range(300)], chunk=50), node("after", "map")))
    assert goal.state == "succeeded", (goal.reason, list(goal.tasks.values_list("key", "reason")))
    assert output(goal)["result"] == [f"i{n}" for n in range(300)]
    assert items_of(goal, state="accepted").count() == 300
    assert SwarmShift.objects.filter(ended_at=None).count() == 0
    sound(goal)


def test_equal_items_are_run_once_and_each_has_its_place() -> None:
    ran: list[Any] = []

    def note(given: Any) -> Any:
        ran.append(given)
        return given * 2

    micro_register("note", note)
    goal = run(submit(over([3, 1, 3, 1, 2], micro="note", reduce="list")))
    assert sorted(ran) == [1, 2, 3]
    assert output(goal)["result"] == [6, 2, 6, 2, 4]
    seen = swarms_progress([task_named(goal, "map").pk])[task_named(goal, "map").pk]
    assert (seen["items"], seen["accepted"], seen["twins"]) == (5, 5, 2)
    sound(goal)


def test_an_empty_list_is_no_work_and_no_failure() -> None:
    goal = run(submit(over([])))
    assert output(goal)["count"] == 0
    sound(goal)


def test_items_of_an_earlier_task_are_taken_and_what_cannot_be_used_fails_the_task() -> None:
    def of(items: Any) -> Goal:
        first = node("list", inputs={"items": items})
        swarm = {"over": "${tasks.list.output.echo.items}", "micro": "echo"}
        return run(submit(first, node("map", "list", agent="swarm", swarm=swarm)))

    assert output(of(["a", "b"]))["result"] == ["a", "b"]
    goal = of("text")
    assert goal.state == "failed"
    assert "not a list" in task_named(goal, "map").reason
    sound(goal)


def sampled(bad: set[int], **swarm: Any) -> Goal:
    def answer(given: int) -> Any:
        return {"n": "wrong" if given in bad else given}

    micro_register("answer", answer)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return run(
        submit(over(list(range(40)), micro="answer", output_schema=schema, attempts_max=1, **swarm))
    )


def test_a_lot_whose_sample_is_good_is_accepted_as_a_whole() -> None:
    goal = sampled(set(), sample=5)
    assert goal.state == "succeeded"
    assert items_of(goal, verdict="passed").count() == 5
    assert items_of(goal, verdict="unsampled").count() == 35
    sound(goal)


def test_what_no_verifier_looked_at_is_never_shown_as_passed() -> None:
    """In the counts, in what `goals show` says, and in the line of each item."""
    goal = sampled(set(), sample=5)
    task = task_named(goal, "map")
    for seen in (reads.tasks_view(goal.pk)[0]["swarm"], reads.task_view(task.pk)["swarm"]):
        assert (seen["accepted"], seen["passed"], seen["unsampled"]) == (40, 5, 35)
    shown = StringIO()
    call_command("goals", "show", str(goal.pk), stdout=shown)
    assert "(5 looked at, 35 unsampled)" in " ".join(shown.getvalue().replace("│", " ").split())
    lines = blob_get(output(goal)["items_sha256"]).decode().splitlines()
    said = Counter(json.loads(line)["verdict"] for line in lines)
    assert said == {"passed": 5, "unsampled": 35}


def test_a_look_at_a_swarm_does_not_read_its_items_again() -> None:
    """The plan may hold all of them, and whoever settles a chunk looks."""
    task_id = task_named(run(submit(over([f"i{n}" for n in range(50)]))), "map").pk
    first = standing_of(task_id)
    with CaptureQueriesContext(connection) as looked:
        second = standing_of(task_id)
    assert first is not None and first == second
    assert first.definition["swarm"]["over"] == []
    assert len(looked) == 1
    assert "t.definition," not in looked.captured_queries[0]["sql"]


def test_where_all_are_judged_none_is_unsampled() -> None:
    seen = reads.tasks_view(sampled(set()).pk)[0]["swarm"]
    assert (seen["passed"], seen["unsampled"]) == (40, 0)


def test_one_defect_in_the_sample_has_every_item_judged() -> None:
    goal = sampled(set(range(40)) - {7}, sample=5, failed_max=39)
    assert goal.state == "succeeded"
    assert items_of(goal, state="accepted").count() == 1
    assert items_of(goal, verdict="unsampled").count() == 0
    assert output(goal)["failed"] == 39
    sound(goal)


def test_more_failures_than_allowed_fail_the_task_and_say_of_which_item() -> None:
    goal = sampled({3, 4}, failed_max=1)
    assert goal.state == "failed"
    assert "2 items failed, at most 1 may; item [3]" in task_named(goal, "map").reason
    sound(goal)


def test_a_refused_item_is_tried_again_with_the_reason() -> None:
    class Learner(MicroAgent):
        name = "learner"
        description = "gets it right when told"

        def run(self, item: Item) -> Any:
            return {"n": 1} if item.reason else {"n": "one"}

    micro_register("learner", Learner)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    goal = run(submit(over([1, 2], micro="learner", output_schema=schema)))
    assert goal.state == "succeeded"
    assert {i.attempts for i in items_of(goal)} == {2}
    sound(goal)


def test_what_raises_is_tried_again_and_what_is_refused_is_not() -> None:
    tries: list[str] = []

    def moody(given: str) -> str:
        tries.append(given)
        if given == "never":
            raise ItemRefused(reason="cannot be done")
        if tries.count(given) < 2:
            raise OSError("away")
        return given

    micro_register("moody", moody)
    goal = run(submit(over(["often", "never"], micro="moody", failed_max=1)))
    assert goal.state == "succeeded"
    assert sorted(tries) == ["never", "often", "often"]
    assert items_of(goal).get(state="failed").reason == "cannot be done"
    sound(goal)


def test_items_spawn_items_within_the_limits_and_in_their_places() -> None:
    def tree(given: str) -> Answer:
        return Answer(given, spawn=(given + "0", given + "1") if len(given) < 3 else ())

    micro_register("tree", tree)
    goal = run(submit(over(["a", "b"], micro="tree", spawn={"max": 12, "depth": 2})))
    assert goal.state == "succeeded"
    found = ["a", "a0", "a00", "a01", "a1", "a10", "a11"]
    assert output(goal)["result"] == found + [name.replace("a", "b") for name in found]
    sound(goal)


@pytest.mark.parametrize(
    ("spawn", "said"),
    [
        ({"max": 3, "depth": 2}, "at most 3 are there"),
        ({"max": 99, "depth": 1}, "at depth 2"),
        (None, "depth 1"),
    ],
)
def test_an_item_that_spawns_beyond_the_limits_has_failed(spawn: Any, said: str) -> None:
    def tree(given: str) -> Answer:
        return Answer(given, spawn=(given + "0", given + "1") if len(given) < 3 else ())

    micro_register("tree", tree)
    more = {"spawn": spawn} if spawn else {}
    goal = run(submit(over(["a"], micro="tree", **more)))
    assert goal.state == "failed"
    assert said in task_named(goal, "map").reason
    sound(goal)
