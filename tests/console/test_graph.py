"""The task graph: layers follow needs, nothing overlaps, and big plans are grouped."""

from __future__ import annotations

import random

import pytest

from orchestration.admin.graph import (
    HEIGHT,
    MAP_FROM,
    MAP_HEIGHT,
    MAP_LEAST,
    MAP_WIDTH,
    NODES_MAX,
    WIDTH,
    TaskFact,
    layers,
    map_size,
    picture,
)


def facts(count, *, phase=lambda _number: ""):
    return [
        TaskFact(number, f"task-{number}", "command", "done", phase(number))
        for number in range(count)
    ]


def test_a_task_stands_right_of_everything_it_needs():
    rng = random.Random(7)
    edges = [(n, rng.randrange(n)) for n in range(1, 200) for _ in range(2)]
    depth = layers(range(200), edges)
    assert all(depth[task] > depth[need] for task, need in edges)
    assert depth[0] == 0


def test_no_two_nodes_overlap():
    drawn = picture(facts(120), [(n, n // 3) for n in range(1, 120)])
    places = {(node.x, node.y) for node in drawn.nodes}
    assert len(places) == 120
    assert max(x for x, _ in places) + WIDTH <= drawn.width
    assert max(y for _, y in places) + HEIGHT <= drawn.height


@pytest.mark.parametrize("phase", [lambda _n: "", lambda n: f"phase {n % 7}", lambda n: f"p{n}"])
def test_a_big_plan_is_grouped_and_every_task_is_counted(phase):
    drawn = picture(facts(2000, phase=phase), [(n, n - 1) for n in range(1, 2000)])
    assert drawn.grouped
    assert len(drawn.nodes) <= NODES_MAX
    assert sum(node.count for node in drawn.nodes) == 2000


def test_a_group_shows_its_most_urgent_state():
    tasks = facts(NODES_MAX + 1, phase=lambda _n: "all")
    tasks[5] = TaskFact(5, "task-5", "command", "failed", "all")
    (node,) = picture(tasks, []).nodes
    assert node.state == "failed"
    assert "1 failed" in node.title


def test_a_cycle_does_not_hang():
    assert picture(facts(3), [(0, 1), (1, 0), (2, 1)]).nodes


def test_no_task_is_no_picture():
    assert picture([], []).nodes == ()


def test_groups_that_are_over_are_folded_and_what_goes_on_stands_alone():
    tasks = facts(30, phase=lambda number: "first" if number < 20 else "second")
    tasks[25] = TaskFact(25, "task-25", "command", "running", "second")
    drawn = picture(tasks, [(n, n - 1) for n in range(1, 30)], fold=True)
    assert {node.name for node in drawn.nodes if node.count > 1} == {"first"}
    assert sum(node.count for node in drawn.nodes) == 30
    assert drawn.grouped


def test_a_group_with_a_failed_task_is_not_folded():
    tasks = facts(10, phase=lambda _n: "only")
    tasks[3] = TaskFact(3, "task-3", "command", "failed", "only")
    assert len(picture(tasks, [], fold=True).nodes) == 10


def test_a_task_that_was_tried_again_says_how_often():
    (node,) = picture([TaskFact(1, "a", "command", "done", attempts=3)], []).nodes
    assert (node.badge, "3 attempts" in node.title) == ("3", True)
    (node,) = picture([TaskFact(1, "a", "command", "done", attempts=1)], []).nodes
    assert node.badge == ""


def test_the_critical_path_is_drawn_over_the_edges_it_takes():
    edges = [(1, 0), (2, 1), (3, 0)]
    drawn = picture(facts(4), edges, marked=frozenset({(1, 0), (2, 1)}))
    assert {node.task_id for node in drawn.nodes if node.critical} == {0, 1, 2}
    assert len(drawn.marked) == 2
    assert set(drawn.marked) <= set(drawn.paths)


@pytest.mark.parametrize("chained", [False, True])
def test_a_large_graph_has_an_overview_that_can_be_hit(chained):
    edges = [(n, n - 1) for n in range(1, 210)] if chained else [(n, 0) for n in range(1, 210)]
    drawn = picture(facts(210), edges)
    width, height = map_size(drawn)
    assert MAP_LEAST <= width <= MAP_WIDTH
    assert MAP_LEAST <= height <= MAP_HEIGHT
    assert width == MAP_WIDTH or height == MAP_HEIGHT
    assert map_size(picture(facts(MAP_FROM - 1), [])) is None
