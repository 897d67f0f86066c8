"""A playbook is made from plans that worked, and gives exactly those plans again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.generalise import (
    PARAMETERS_MAX,
    Generalised,
    NoCommonForm,
    Record,
    generalise,
)
from orchestration.domain.matching import gives_already
from orchestration.domain.plan import plan_from_json
from orchestration.domain.playbook import compile_playbook, playbook_from_json
from orchestration.domain.reflection import (
    Candidate,
    Case,
    Seen,
    backtest,
    candidate_of,
    form_of,
    record_of,
    shape_of,
)
from orchestration.services.plans import plan_document


def tidy(what: str, *, key: str = "fix", times: int = 3, repository: str = "") -> Record:
    document = {
        "objective": f"Tidy up {what} in the tree",
        "repository": repository,
        "tasks": [
            {"key": "look", "agent": "command", "objective": f"Look at {what}",
             "inputs": {"argv": ["ls", "-l", what], "times": times}},
            {"key": key, "agent": "noop", "objective": "Put it right", "depends_on": ["look"],
             "inputs": {"what": what, "found": "${tasks.look.output.stdout}"},
             "scopes": [{"resource": f"repo:src/{what}/**", "mode": "write"}],
             "acceptance": ["nothing is left"], "verify": ["schema", "safety"]},
        ],
    }  # fmt: skip
    return record_of(plan_from_json(document))


def seen(*records: Record) -> list[Seen]:
    return [Seen(n, record) for n, record in enumerate(records, start=1)]


def found(*records: Record, taken: tuple[str, ...] = ()) -> Candidate | None:
    *others, latest = seen(*records)
    return candidate_of(latest, others, is_taken=lambda name: name in taken)


def made(*records: Record) -> Candidate:
    candidate = found(*records)
    assert candidate is not None
    return candidate


def names(common: Generalised) -> dict[str, str]:
    return {p.name: p.type for p in common.parameters}


# --- Generalising --------------------------------------------------------------------------------


def test_one_value_in_several_places_is_one_parameter() -> None:
    common = generalise([tidy("alpha"), tidy("beta")])
    assert names(common) == {"what": "string"}
    assert common.objective == "Tidy up ${params.what} in the tree"
    look, fix = common.tasks
    assert look["inputs"] == {"argv": ["ls", "-l", "${params.what}"], "times": 3}
    assert look["objective"] == "Look at ${params.what}"
    assert fix["scopes"][0]["resource"] == "repo:src/${params.what}/**"
    assert fix["inputs"]["found"] == "${tasks.look.output.stdout}"


def test_a_key_is_made_from_the_parameter_that_it_names() -> None:
    pair = [tidy(w, key=f"fix-{w}") for w in ("alpha", "beta")]
    common = generalise(pair)
    assert names(common) == {"what": "string"}
    assert common.tasks[1]["key"] == "fix-${params.what}"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, 2), "int"),
        ((1, 2.5), "float"),
        ((True, False), "bool"),
        ((["a"], ["b", "c"]), "list"),
        (({"a": 1}, {"b": 1}), "object"),
        (("/srv/a", "/srv/b"), "path"),
        (("src/a", "/srv/b"), "string"),
    ],
)
def test_a_parameter_has_the_type_of_what_fills_it(values: tuple[Any, Any], kind: str) -> None:
    both = [record(inputs={"given": value, "same": 1, "too": 2}) for value in values]
    assert names(generalise(both)) == {"given": kind}


def record(*, inputs: dict[str, Any], objective: str = "to test", **more: Any) -> Record:
    tasks = [
        {"key": "a", "agent": "noop", "inputs": inputs, **more},
        {"key": "b", "agent": "noop", "depends_on": ["a"], "inputs": {"of": 1}},
    ]
    return record_of(plan_from_json({"objective": objective, "tasks": tasks}))


@pytest.mark.parametrize(
    "values",
    [(1, "one"), (None, 1), ("${tasks.x.output}", "y"), (True, 1)],
)
def test_what_no_type_can_stand_for_has_no_common_form(values: tuple[Any, Any]) -> None:
    with pytest.raises(NoCommonForm):
        generalise([record(inputs={"given": value}) for value in values])


def test_a_form_with_too_many_blanks_is_no_procedure() -> None:
    many = range(PARAMETERS_MAX + 1)
    with pytest.raises(NoCommonForm, match="parameters"):
        generalise([record(inputs={f"x{n}": f"{w}{n}" for n in many}) for w in ("a", "b")])


def test_two_different_values_of_one_name_are_told_apart() -> None:
    pair = [
        record_of(plan_from_json({"objective": "o", "tasks": [
            {"key": "a", "agent": "noop", "inputs": {"path": a, "x": 1}},
            {"key": "b", "agent": "noop", "inputs": {"path": b, "x": 1}}]}))
        for a, b in (("p", "q"), ("r", "s"))
    ]  # fmt: skip
    assert set(names(generalise(pair))) == {"path", "b_path"}


# --- Candidates ----------------------------------------------------------------------------------


def test_a_candidate_gives_every_plan_that_it_came_from() -> None:
    candidate = made(tidy("alpha"), tidy("beta"), tidy("gamma"))
    assert candidate.goals == (1, 2, 3)
    playbook = playbook_from_json(candidate.definition)
    for result, what in zip(candidate.results, ("gamma", "beta", "alpha"), strict=True):
        assert result.params == {"what": what}
        assert record_of(compile_playbook(playbook, result.params)) == tidy(what)


def test_the_plan_that_is_compared_is_the_one_that_is_stored() -> None:
    draft = plan_from_json({"objective": "o", "tasks": [dict(t) for t in tidy("x").tasks]})
    assert [t.document() for t in draft.tasks] == plan_document(draft)["tasks"]


@pytest.mark.parametrize("other", ["lib", "src"])
def test_one_goal_alone_is_no_procedure(other: str) -> None:
    assert found(tidy(other)) is None
    failed = Seen(1, tidy("beta"), succeeded=False)
    assert candidate_of(Seen(2, tidy(other)), [failed], is_taken=lambda _: False) is None


def test_other_agents_edges_or_verifiers_are_another_shape() -> None:
    base = {"key": "b", "agent": "noop", "depends_on": ["a"]}
    shapes = {
        shape_of(record_of(plan_from_json({"objective": "o", "tasks": [
            {"key": "a", "agent": "noop"}, {**base, **change}]})))
        for change in ({}, {"agent": "collect"}, {"depends_on": []}, {"verify": ["schema"]})
    }  # fmt: skip
    assert len(shapes) == 4
    assert shape_of(tidy("a", key="x")) == shape_of(tidy("b", key="y"))


def test_plans_that_share_little_but_their_shape_are_no_procedure() -> None:
    def two(a: str, b: str) -> Record:
        tasks = [{"key": "a", "agent": "command", "objective": a, "inputs": {"argv": [a]}},
                 {"key": "b", "agent": "command", "objective": b, "inputs": {"argv": [b]}}]  # fmt: skip
        return record_of(plan_from_json({"objective": f"{a} and {b}", "tasks": tasks}))

    assert found(two("x", "y"), two("p", "q")) is None


def commands(*programs: str, objective: str = "Wait {} for it", what: str = "1") -> Record:
    """A command for each program, all alike but for their keys, and a join."""
    tasks = [
        {"key": f"t{n}", "agent": "command", "objective": "wait",
         "inputs": {"argv": [program, what], "cwd": ".", "stdin": "", "allow_failure": False}}
        for n, program in enumerate(programs)
    ]  # fmt: skip
    join = {"key": "all", "agent": "noop", "depends_on": [task["key"] for task in tasks]}
    document = {"objective": objective.format(what), "tasks": [*tasks, join]}
    return record_of(plan_from_json(document))


def test_one_thing_done_over_and_over_is_no_procedure() -> None:
    ten = ["sleep"] * 10
    assert found(commands(*ten), commands(*ten)) is None
    assert found(commands(*ten), commands(*ten, what="2")) is None
    two = ["sleep"] * 9 + ["sync"]
    assert made(commands(*two), commands(*two, what="2")).definition["name"] == "wait-it"


@pytest.mark.parametrize("objectives", [("Wait", "Sleep"), ("Wait for 3", "Rest for 3")])
def test_goals_that_were_for_different_things_teach_nothing_together(
    objectives: tuple[str, str],
) -> None:
    pair = [commands("sleep", "sync", objective=objective) for objective in objectives]
    assert found(*pair) is None


def test_a_purpose_in_other_letters_is_a_purpose() -> None:
    pair = [commands("sleep", "sync", objective="Подождать {}", what=what) for what in "12"]
    assert made(*pair).definition["name"] == "learned"


def test_a_goal_that_takes_more_parameters_stays_outside() -> None:
    candidate = made(tidy("alpha", times=9), tidy("beta"), tidy("gamma"))
    assert candidate.goals == (2, 3)


def test_a_name_is_made_from_the_common_words_and_is_free() -> None:
    assert made(tidy("alpha"), tidy("beta")).definition["name"] == "tidy-up-tree"
    candidate = found(tidy("alpha"), tidy("beta"), taken=("tidy-up-tree",))
    assert candidate is not None
    assert candidate.definition["name"] == "tidy-up-tree-2"


def test_plans_that_are_the_same_need_no_parameters() -> None:
    candidate = made(tidy("alpha"), tidy("alpha"))
    assert candidate.definition["parameters"] == {}


# --- The backtest --------------------------------------------------------------------------------


def test_a_playbook_that_gives_another_plan_is_found_out() -> None:
    candidate = made(tidy("alpha"), tidy("beta"))
    wrong = {**candidate.definition, "objective": "Something else"}
    results = backtest(wrong, [Case(1, {"what": "alpha"}, tidy("alpha"))])
    assert "the objective is 'Something else'" in results[0].problem
    missing = backtest(candidate.definition, [Case(1, {}, tidy("alpha"))])
    assert "`what` (string) is missing" in missing[0].problem


@pytest.mark.parametrize("odd", ["costs $5", "${HOME}", "a $${x} b", "${$}", "{x}", "a\nb"])
def test_dollars_in_what_goals_say_are_kept_or_refused_and_never_read(odd: str) -> None:
    pair = (tidy("alpha"), tidy("beta"))
    same = [Record(f"{odd} {p.objective}", "", p.tasks) for p in pair]
    candidate = found(*same)
    if candidate is not None:
        assert not any(result.problem for result in candidate.results)
        assert candidate.definition["objective"].endswith("Tidy up ${params.what} in the tree")
    filled = found(tidy(odd), tidy("beta"))
    assert filled is None or not any(result.problem for result in filled.results)


def worded(tasks: Any, name: str) -> Any:
    return json.loads(json.dumps(tasks).replace("params.what", f"params.{name}"))


def test_the_form_is_the_same_whatever_things_are_called() -> None:
    first = made(tidy("alpha"), tidy("beta")).definition
    text = {"what": first["parameters"]["what"]}
    renamed = {
        **first,
        "name": "other",
        "description": "x",
        "objective": first["objective"].replace("params.what", "params.it"),
        "parameters": {"it": text["what"]},
        "phases": [
            {"name": "plan", "tasks": worded(phase["tasks"], "it")} for phase in first["phases"]
        ],
    }
    assert form_of(renamed) == form_of(first) == form_of(made(tidy("x"), tidy("y")).definition)
    assert form_of({**first, "objective": "else"}) != form_of(first)


def test_what_a_playbook_gives_already_is_known() -> None:
    pair = [tidy("alpha"), tidy("beta")]
    learned = made(*pair).definition
    assert gives_already(learned, [*pair, tidy("gamma")])
    assert not gives_already(learned, [*pair, tidy("gamma", times=4)])
    written = {
        "name": "tidy", "objective": "Another wording", "parameters": {"dir": {"type": "string"}},
        "phases": [{"name": "work", "tasks": [
            {k: v for k, v in t.items() if k not in ("phase", "priority")}
            for t in worded(learned["phases"][0]["tasks"], "dir")
        ]}],
    }  # fmt: skip
    assert gives_already(written, pair)
    assert not gives_already({"name": "broken"}, pair)


words = st.text(alphabet="ab -/.$", min_size=1, max_size=8)
values = st.one_of(words, st.integers(0, 3), st.booleans(), st.lists(words, max_size=2))


@given(st.lists(st.tuples(words, values, values), min_size=2, max_size=4))
def test_whatever_is_offered_gives_the_recorded_plans(rows: list[tuple[str, Any, Any]]) -> None:
    records = [
        record(inputs={"x": x, "y": y, "z": f"see {x}", "k": 1, "m": 2, "n": 3}, objective=said)
        for said, x, y in rows
        if said.strip()
    ]
    if len(records) < 2:
        return
    candidate = found(*records)
    if candidate is not None:
        playbook = playbook_from_json(candidate.definition)
        for result in candidate.results:
            again = record_of(compile_playbook(playbook, result.params))
            assert again.to_json() == records[result.goal - 1].to_json()
