"""Orders, ancestors and longest lines of any acyclic graph, checked against their definitions."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.domain.graph import (
    above,
    ancestors_of,
    critical_path,
    cycle_of,
    depth_of,
    order_of,
)

Graph = dict[str, list[str]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 12))
    return {
        f"t{i}": [f"t{j}" for j in range(i) if draw(st.booleans())] for i in range(count)
    }  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_every_task_comes_after_all_that_it_needs(needs: Graph) -> None:
    order = order_of(needs)
    assert sorted(order) == sorted(needs)
    at = {key: i for i, key in enumerate(order)}
    assert all(at[n] < at[key] for key, ns in needs.items() for n in ns)
    assert cycle_of(needs) == []


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_ancestors_as_bits_are_the_ancestors(needs: Graph) -> None:
    wanted = list(needs)
    masks = ancestors_of(needs, wanted)
    for key in needs:
        assert {w for i, w in enumerate(wanted) if masks[key] >> i & 1} == above(needs, key)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_the_critical_path_is_a_line_of_the_graph_and_none_is_longer(needs: Graph) -> None:
    line, weight = critical_path(needs, {})
    assert weight == len(line) == depth_of(needs)
    assert all(a in needs[b] for a, b in zip(line, line[1:], strict=False))
    depth: dict[str, int] = {}
    for key in order_of(needs):
        depth[key] = 1 + max((depth[n] for n in needs[key]), default=0)
    assert weight == max(depth.values())


@settings(max_examples=100, deadline=None)
@given(graphs(), st.data())
def test_an_edge_against_the_order_is_a_cycle_and_is_found(
    needs: Graph, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(needs)))
    upper = data.draw(st.sampled_from(sorted({key, *above(needs, key)})))
    looped = {**needs, upper: [*needs[upper], key]}
    cycle = cycle_of(looped)
    assert cycle[0] == cycle[-1]
    assert all(b in looped[a] or a in looped[b] for a, b in zip(cycle, cycle[1:], strict=False))
    assert len(set(cycle)) == len(cycle) - 1


def test_weights_decide_which_line_is_critical() -> None:
    needs = {"a": [], "b": ["a"], "c": [], "d": ["b", "c"]}
    assert critical_path(needs, {"c": 10.0}) == (["c", "d"], 11.0)
    assert critical_path({}, {}) == ([], 0.0)
