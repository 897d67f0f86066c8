"""Planning again leads somewhere, or it is not done: invariants over any course of failures."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.replanning import (
    DEPTH_MAX,
    GOAL_MAX,
    SUBTREE_MAX,
    Facts,
    OpenTask,
    Replan,
    defects_of,
    frontier_of,
    refusal,
    steps_allowed,
)
from workers.domain.subplans import STEPS_MAX, subplan_problems

FACTS = Facts(task="a", root="a", depth=1, frontier="now", defects=3)
BEFORE = Replan(task="a", root="a", frontier="then", defects=4)

facts = st.builds(
    Facts,
    task=st.sampled_from("abc"),
    root=st.sampled_from("abc"),
    depth=st.integers(1, DEPTH_MAX + 1),
    frontier=st.sampled_from([f"f{n}" for n in range(40)]),
    defects=st.integers(0, 30),
    steps_max=st.integers(0, STEPS_MAX),
)


def carried_out(course: list[Facts]) -> list[Replan]:
    """What of a course of failures is planned again."""
    done: list[Replan] = []
    for one in course:
        if not refusal(one, done):
            done.append(Replan.of(one.to_json()))
    return done


@given(st.lists(facts, max_size=120))
def test_no_course_of_failures_is_planned_again_without_progress(course: list[Facts]) -> None:
    done = carried_out(course)
    assert len({one.frontier for one in done}) == len(done) <= GOAL_MAX
    for root in "abc":
        defects = [one.defects for one in done if one.root == root]
        assert len(defects) <= SUBTREE_MAX
        assert all(later < before for before, later in zip(defects, defects[1:], strict=False))


@given(st.lists(facts, max_size=40), facts)
def test_what_is_refused_is_refused_again_whatever_else_was_refused(
    course: list[Facts], one: Facts
) -> None:
    done = carried_out(course)
    if refusal(one, done):
        assert carried_out([*course, one, one]) == done


@given(facts, st.lists(facts, max_size=40))
def test_more_that_was_planned_again_never_allows_more(one: Facts, course: list[Facts]) -> None:
    done = carried_out(course)
    for n in range(len(done)):
        if refusal(one, done[:n]) and (not done[n:] or one.defects >= done[-1].defects):
            assert refusal(one, done) or done[-1].root != one.root


def test_a_first_failure_may_be_planned_again() -> None:
    assert refusal(FACTS, []) == ""
    assert refusal(FACTS, [replace(BEFORE, root="b", defects=0)]) == ""  # beside it
    assert refusal(FACTS, [BEFORE]) == ""


@pytest.mark.parametrize(
    ("now", "earlier", "why"),
    [
        (replace(FACTS, frontier="then"), [BEFORE], "nothing has changed"),
        (replace(FACTS, frontier="then"), [replace(BEFORE, root="b")], "nothing has changed"),
        (replace(FACTS, defects=4), [BEFORE], "has not helped: 4 open defects then, 4 now"),
        (replace(FACTS, defects=5), [BEFORE], "has not helped"),
        (replace(FACTS, depth=DEPTH_MAX + 1), [], "divisions deep"),
        (replace(FACTS, steps_max=0), [BEFORE], "none smaller"),
        (
            replace(FACTS, defects=0),
            [replace(BEFORE, frontier=f"{n}", defects=9 - n) for n in range(SUBTREE_MAX)],
            "a was divided 3 times",
        ),
        (
            FACTS,
            [replace(BEFORE, frontier=f"{n}", root=f"{n}") for n in range(GOAL_MAX)],
            "the goal was planned again",
        ),
    ],
)
def test_a_person_is_asked_where_planning_again_leads_nowhere(
    now: Facts, earlier: list[Replan], why: str
) -> None:
    assert why in refusal(now, earlier)


tasks = st.lists(
    st.builds(
        OpenTask,
        key=st.text("abc", min_size=1, max_size=2),
        definition_hash=st.sampled_from(["x", "y"]),
        defects=st.lists(st.sampled_from(["no", "bad"]), max_size=3).map(tuple),
    ),
    max_size=6,
    unique_by=lambda task: task.key,
)


@given(tasks, st.randoms(use_true_random=False))
def test_a_frontier_is_its_tasks_definitions_and_reasons_in_any_order(
    open_: list[OpenTask], chance: random.Random
) -> None:
    mixed = list(open_)
    chance.shuffle(mixed)
    assert frontier_of(mixed) == frontier_of(open_)
    for n, one in enumerate(open_):
        rest = [*open_[:n], *open_[n + 1 :]]
        others = (
            replace(one, key=one.key + "z"),
            replace(one, definition_hash="z"),
            replace(one, defects=(*one.defects, "more")),
        )
        for other in others:
            assert frontier_of([*rest, other]) != frontier_of(open_)
        assert frontier_of(rest) != frontier_of(open_)


def test_defects_are_counted_within_the_subtree() -> None:
    open_ = [OpenTask("a", "x", ("1", "2")), OpenTask("b", "x", ("3",)), OpenTask("c", "x")]
    assert [defects_of(open_, keys) for keys in (["a"], ["a", "b"], ["c"], [])] == [2, 3, 0, 0]


def test_each_plan_has_fewer_steps_than_the_one_before() -> None:
    assert [steps_allowed(n) for n in (None, STEPS_MAX, 3, 1)] == [STEPS_MAX, STEPS_MAX - 1, 2, 0]


# --- The steps themselves ------------------------------------------------------------------------

FAILED = {"agent": "model", "objective": "Write it all", "inputs": {}}


def step(key: str, agent: str = "noop", objective: str = "", **inputs: object) -> dict[str, object]:
    return {"key": key, "agent": agent, "objective": objective or f"Do {key}", "inputs": inputs}


def problems(*steps: dict[str, object], tried: object = (), most: int = STEPS_MAX) -> list[str]:
    return subplan_problems(
        steps,
        failed=FAILED,
        tried=tried,  # type: ignore[arg-type]
        steps_max=most,
        told_by_inputs=frozenset({"command"}),
    )


def test_a_division_into_different_smaller_steps_is_sound() -> None:
    assert problems(step("a"), step("b")) == []
    assert problems(step("a", "model"), step("b", "model")) == []  # what differs is the objective
    assert problems(step("a", "noop", "Write it all")) == []  # another agent


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([step("a", "model", "write it  ALL"), step("b")], "`a` repeats the task that failed"),
        ([step("a", "model", "Write it all", more=1)], "alone is the whole task again"),
        ([step("a", "noop", "x"), step("b", "noop", "X")], "`b` does the same as `a`"),
        ([step("a", "command", "x", argv=[1]), step("b", "command", "y", argv=[1])], "the same as"),
        ([step("a", "command", "else", argv=["false"])], "repeats `k[old]`, which failed"),
        ([step("a"), step("b"), step("c")], "there are 3 steps; at most 2"),
    ],
)
def test_a_division_that_is_no_smaller_or_repeats_is_refused_with_the_reason(
    steps: list[dict[str, object]], why: str
) -> None:
    tried = [{**step("k[old]", "command", "o", argv=["false"]), "ended": "failed"}]
    assert why in "\n".join(problems(*steps, tried=tried, most=2))


def test_what_was_done_may_be_done_again_for_its_output() -> None:
    done = [{**step("k[old]", "command", "o", argv=["true"]), "ended": "done"}]
    assert problems(step("a", "command", "o", argv=["true"]), tried=done) == []
