"""The kernel: machines refuse what the table does not have, errors survive, hashes are canonical."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsys.kernel.errors import BadInput, IllegalMove, LostRace
from agentsys.kernel.hashing import canonical, digest, fault, plain
from agentsys.kernel.ids import Ref, parse_ref
from agentsys.kernel.machine import Machine, diagram
from agentsys.kernel.wording import dollars
from orchestration.domain.lives import ATTEMPT, GOAL, MACHINES, PROPOSAL, TASK


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.kind)
def test_every_pair_of_state_and_event_moves_or_refuses(machine: Machine) -> None:
    for state in machine.states:
        for event in machine.moves:
            if event in machine.events_from(state):
                assert machine.target(state, event) in machine.states
            else:
                with pytest.raises(
                    IllegalMove, match=f"is {state}, where `{event}` is not allowed"
                ):
                    machine.target(state, event)


def test_what_is_terminal_is_what_the_design_says() -> None:
    assert GOAL.terminal == {"succeeded", "failed", "cancelled"}
    assert TASK.terminal == {"done", "failed", "cancelled", "superseded"}
    assert ATTEMPT.terminal == {"accepted", "rejected", "lost", "failed", "cancelled"}
    assert PROPOSAL.terminal == {"applied", "rejected", "stale", "withdrawn"}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.kind)
def test_every_state_can_be_reached(machine: Machine) -> None:
    reached = {machine.initial}
    while True:
        more = {m.target for m in machine.moves.values() if m.sources & reached} - reached
        if not more:
            break
        reached |= more
    assert reached == machine.states
    assert f"[*] --> {machine.initial}" in diagram(machine)


def test_an_error_survives_pickling_with_its_values() -> None:
    error = pickle.loads(pickle.dumps(LostRace(kind="task", id=7, event="reported")))
    assert str(error) == "task 7: event reported came too late"
    bad = pickle.loads(pickle.dumps(BadInput(what="plan", problems=["a", "b"])))
    assert bad.problems == ["a", "b"]
    assert str(bad) == "plan: a; b"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_the_canonical_form_is_a_fixed_point(value: object) -> None:
    import json

    once = plain(value)
    assert plain(once) == once
    assert digest(json.loads(canonical(value))) == digest(value)


def test_nul_and_lone_surrogates_do_not_reach_the_database() -> None:
    assert plain("a\x00b\ud800") == "ab?"


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("7", Ref("goal", 7)),
        ("goal-7", Ref("goal", 7)),
        ("task-31", Ref("task", 31)),
        ("7/fix[a.b]", Ref("task", 7, "fix[a.b]")),
    ],
)
def test_an_id_names_one_thing(text: str, ref: Ref) -> None:
    assert parse_ref(text) == ref


@pytest.mark.parametrize("text", ["", "x", "goal-", "-1", "task-1x", "1/"])
def test_what_is_no_id_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(BadInput, match="is not an id"):
        parse_ref(text)


def test_what_has_no_json_form_is_named_by_its_place() -> None:
    endless: dict[str, object] = {}
    endless["itself"] = endless
    assert fault({"a": [{"b": 1.5}, ("c", None)]}) == ""
    assert fault({"a": [{"b": 1}, {"b": math.inf}]}) == "a.1.b: inf has no JSON form"
    assert fault(object()) == "object has no JSON form"
    assert fault({"x": {1, "a"}}).startswith("x: ")
    assert fault(endless) == "it is nested without end"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (5, "$5.00"),
        (0, "$0.00"),
        (0.004, "$0.0040"),
        (0.000012, "$0.000012"),
        (12.345, "$12.35"),
        (1500, "$1,500.00"),
    ],
)
def test_amounts_too_small_for_cents_are_still_told(amount: float, shown: str) -> None:
    assert dollars(amount) == shown
