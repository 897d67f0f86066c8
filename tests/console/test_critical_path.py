"""Which chain of tasks decides when a goal is done."""

from __future__ import annotations

import random

from orchestration.admin.criticalpath import NONE, critical
from orchestration.admin.graph import TaskFact


def task(pk, state="blocked", seconds=None, agent="command"):
    return TaskFact(pk, f"t{pk}", agent, state, seconds=seconds)


def test_of_a_goal_that_is_over_it_is_where_the_time_went():
    tasks = [task(1, "done", 5), task(2, "done", 100), task(3, "done", 1), task(4, "done", 5)]
    chain = critical(tasks, [(2, 1), (3, 1), (4, 3)])
    assert (chain.ids, chain.seconds, chain.left) == ((1, 2), 105, False)


def test_while_tasks_are_left_what_is_finished_weighs_nothing():
    tasks = [task(1, "done", 1000), task(2, "done", 10), task(3), task(4), task(5)]
    chain = critical(tasks, [(3, 2), (4, 3), (5, 1)])
    assert (chain.ids, chain.left) == ((3, 4), True)


def test_a_task_that_is_left_weighs_what_its_agent_usually_takes():
    tasks = [task(1, "done", 100, "slow"), task(2, "done", 1, "fast"), task(3), task(4, agent="slow"),
             task(5, agent="fast"), task(6, agent="fast"), task(7, agent="fast")]  # fmt: skip
    chain = critical(tasks, [(4, 3), (5, 3), (6, 5), (7, 6)])
    assert chain.ids == (3, 4)


def test_without_a_measure_it_is_the_chain_of_most_tasks_and_no_time_is_said():
    chain = critical([task(n) for n in range(5)], [(1, 0), (2, 1), (3, 0), (4, 0)])
    assert (chain.ids, chain.seconds) == ((0, 1, 2), None)
    assert chain.steps == {(1, 0), (2, 1)}


def test_one_task_and_tasks_without_needs_have_no_path():
    assert critical([], []) == NONE
    assert critical([task(1), task(2)], []) == NONE


def test_it_is_a_path_of_the_plan_whatever_the_plan_is():
    rng = random.Random(3)
    tasks = [task(n, rng.choice(["done", "blocked", "running"]), rng.random()) for n in range(300)]
    edges = {(n, rng.randrange(n)) for n in range(1, 300) for _ in range(3)}
    assert critical(tasks, edges).steps <= edges


def test_a_cycle_does_not_hang():
    assert critical([task(n) for n in range(4)], [(0, 1), (1, 0), (3, 2)]).ids == (2, 3)
