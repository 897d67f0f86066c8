"""Everything that can be wrong with a plan is said, all at once, with the way out."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsys.kernel.errors import BadInput
from orchestration.domain.graph import above
from orchestration.domain.plan import plan_from_json
from orchestration.domain.scopes import resources_overlap
from tests.planning.plans import plan, problems_of, task


def form_problems(document: Any) -> list[str]:
    with pytest.raises(BadInput) as refused:
        plan_from_json(document)
    return refused.value.problems


def test_a_plan_that_is_right_has_no_problem() -> None:
    assert problems_of(task("a"), task("b", "a"), task("c", "a", "b")) == []


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_a_plan_that_is_no_object_is_refused(document: Any) -> None:
    assert "expected an object with `tasks`" in form_problems(document)[0]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "not JSON"),
        (float("inf"), "not JSON"),
        (datetime(2026, 1, 1, tzinfo=UTC), "not JSON"),
        (deep(5_000), "nested too deeply"),
        (deep(80), "at most 60 levels"),
    ],
    ids=["nan", "inf", "date", "deep", "deeper"],
)
def test_what_json_cannot_hold_is_refused(value: Any, said: str) -> None:
    assert said in form_problems(plan(task("a", inputs={"x": value})))[0]


def test_every_problem_of_form_is_named_at_once() -> None:
    found = form_problems(
        {
            "task": [],
            "tasks": [
                3,
                {"agent": "noop"},
                {"key": "c", "agent": "noop", "dependson": ["a"]},
                {"key": "d", "agent": "noop", "inputs": []},
                {"key": "e", "agent": "noop", "optional": "yes"},
                {"key": "f", "agent": "noop", "depends_on": [1]},
                {"key": "g", "agent": "noop", 1: "from YAML"},
                {"key": "h", "agent": "noop", "approval": True, "scopes": ["db"]},
            ],
        }
    )
    for said in (
        "unknown field `task`; did you mean `tasks`?",
        "tasks[0] is a whole number; expected an object",
        "tasks[1]: `key` is missing",
        "tasks[2] (c): unknown field `dependson`; did you mean `depends_on`?",
        "tasks[3] (d): `inputs` is a list; expected an object: {NAME: VALUE, …}",
        "tasks[4] (e): `optional` is text; expected true or false",
        "tasks[5] (f): `depends_on` must hold only task keys",
        "tasks[6] (g): unknown field `1`",
        'tasks[7] (h): `approval` is true; expected an object, such as {"required": true}',
        'tasks[7] (h): `scopes` must hold only objects such as {"resource": "repo:src/**", "mode": "write"}',
        "`objective` is missing; say in a sentence what the goal is",
    ):
        assert said in found


def test_problems_are_capped_and_the_rest_is_counted() -> None:
    found = form_problems({"objective": "x", "tasks": [1] * 30})
    assert len(found) == 21
    assert found[-1] == "and 10 more"


def test_a_cycle_is_named_with_its_tasks_in_order() -> None:
    (problem,) = problems_of(task("a", "c"), task("b", "a"), task("c", "b"), task("d"))
    assert problem.startswith("there is a cycle: ")
    line = problem.removeprefix("there is a cycle: ").split(";")[0].split(" -> ")
    assert line[0] == line[-1]
    needs = {"a": "c", "b": "a", "c": "b"}
    pairs = list(zip(line, line[1:], strict=False))
    assert all(needs[x] == y for x, y in pairs) or all(needs[y] == x for x, y in pairs)


def fanned(template: dict[str, Any] | None = None, **rest: Any) -> list[Any]:
    row = {"agent": "noop", **(template or {})}
    return [task("b"), task("a", "b", fan_out={"over": "${tasks.b.output.x}", "task": row, **rest})]


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([task("a", agent="nop")], "unknown agent `nop`; did you mean `noop`?"),
        ([task("a", "a")], "depends on itself"),
        ([task("alpha"), task("b", "alhpa")], "no task; did you mean `alpha`?"),
        ([task("a"), task("a")], "key `a` is used twice"),
        ([task("a\n")], "is not usable"),
        ([task("a" * 121)], "is not usable"),
        ([task("-a")], "is not usable"),
        ([task("a", agent="command")], "inputs of command: inputs: 'argv' is a required property"),
        ([task("a", verify=["shema"])], "unknown verifier `shema`; did you mean `schema`?"),
        ([task("a", verify=[])], "`verify` is empty"),
        ([task("a", check={"arg": ["true"]})], "task `a`: check has the unknown field `arg`"),
        ([task("a", check={"properties": [{}]})], "check properties[0] target is None; expected"),
        ([task("a", unproven="maybe")], "expected ask or reject"),
        ([task("a", limits={"seconds_max": 0})], "limit seconds_max is 0"),
        ([task("a", limits={"seconds_max": True})], "limit seconds_max is True"),
        ([task("a", limits={"seconds": 1})], "did you mean `seconds_max`?"),
        ([task("a", limits={"steps_max": 1.5})], "limit steps_max is 1.5"),
        ([task("a", retry={"attempts_max": 0})], "retry attempts_max is 0"),
        ([task("a", retry={"backoff_seconds": "2"})], "retry backoff_seconds is '2'"),
        ([task("a", retry={"attempts": 2})], "did you mean `attempts_max`?"),
        ([task("a", approval={"quorum": 0})], "approval quorum is 0"),
        ([task("a", approval={"days": -1})], "approval days is -1"),
        ([task("a", approval={"required": "no"})], "approval required is 'no'"),
        ([task("a", approval={"needed": True})], "`needed` is unknown; there are quorum, days"),
        ([task("a", approval={"four_eye": True})], "did you mean `four_eyes`?"),
        ([task("a", priority=40_000)], "priority 40000 is outside"),
        ([task("a", phase="p" * 81)], "`phase` is longer than 80"),
        ([task("a", objective="o" * 20_001)], "`objective` is longer than 20000"),
        ([task("a", scopes=[{"resource": "src"}])], "is not kind:path"),
        ([task("a", scopes=[{"resource": "repo:" + "s" * 300}])], "at most 300"),
        ([task("a", scopes=[{"resource": "repo:a", "mode": "own"}])], "neither read nor write"),
        ([task("a", inputs={"x": "${tasks.b.output}"}), task("b")], "add `b` to depends_on"),
        ([task("a", inputs={"x": "${tasks.b.output}"})], "names no task"),
        ([task("a", inputs={"x": "${task.b}"})], "begins with none of"),
        ([task("a", inputs={"x": "${item}"})], "begins with none of"),
        ([task("a", inputs={"x": "${params.x}"})], "begins with none of"),
        ([task("a", inputs={"x": "${goal.name}"})], "there are id, branch, objective"),
        (
            [task("b"), task("a", "b", agent="command", inputs={"x": "${tasks.b.output}"})],
            "'argv' is a required property",
        ),
        ([task("a", acceptance=["x"] * 101)], "`acceptance` has 101 entries"),
        ([task("a", non_goals=["x" * 20_001])], "a sentence is longer than 20000"),
        ([task("a", fan_out={"over": "items", "task": {"agent": "noop"}})], "fan_out.over is"),
        (
            [task("b"), task("a", "b", fan_out={"over": "${tasks.b.output.x}"})],
            "fan_out.task must be an object",
        ),
        (
            [task("b"), task("a", "b", fan_out={"over": "${tasks.b.output.x}", "task": {"agent": "x"}})],
            "unknown agent `x`",
        ),
        (fanned(max="lots"), "fan_out.max is 'lots'; expected 1 … 1000"),
        (fanned(max=1001), "fan_out.max is 1001"),
        (fanned(ovr=1), "fan_out: unknown field `ovr`; did you mean `over`?"),
        (fanned(**{"as": 3}), "fan_out.as is 3; expected text"),
        (fanned({"nosuch": 1}), "fan_out.task: unknown field `nosuch`"),
        (fanned({"key": "x"}), "say fan_out.key instead"),
        (fanned({"check": {"types": 1}}), "fan_out.task: check types is 1; expected true or false"),
        (fanned({"verify": ["shema"]}), "fan_out.task: unknown verifier `shema`"),
        (fanned({"agent": "command"}), "fan_out.task: inputs of command: inputs: 'argv'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tasks: list[Any], said: str) -> None:
    assert said in " | ".join(problems_of(*tasks))


def test_a_reference_may_reach_over_several_tasks() -> None:
    far = task("c", "b", inputs={"x": "${tasks.a.output.n}"})
    assert problems_of(task("a"), task("b", "a"), far) == []


def test_a_fan_out_may_name_its_item() -> None:
    fan_out = {
        "over": "${tasks.a.output.list}",
        "as": "package",
        "key": "${package.name}",
        "task": {"agent": "noop", "inputs": {"at": "${index}", "path": "${package.path}"}},
    }
    assert problems_of(task("a"), task("b", "a", fan_out=fan_out)) == []


WRITES_SRC = [{"resource": "repo:src/**", "mode": "write"}]
WRITES_FILE = [{"resource": "repo:src/a.py"}]
READS_SRC = [{"resource": "repo:src/**", "mode": "read"}]


def test_tasks_that_may_run_together_may_not_write_the_same() -> None:
    (problem,) = problems_of(task("a", scopes=WRITES_SRC), task("b", scopes=WRITES_FILE))
    assert "`a` and `b` may run together and both write" in problem
    assert "repo:src/** and repo:src/a.py overlap" in problem


def test_a_task_named_twice_is_one_dependency() -> None:
    draft = plan_from_json(plan(task("a"), task("b", "a", "a")))
    assert draft.tasks[1].depends_on == ("a",)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_exactly_the_unordered_writers_that_overlap_are_refused(data: st.DataObject) -> None:
    names = ["src", "src/a.py", "src/*", "docs/**", "*", "src/x/**"]
    count = data.draw(st.integers(2, 6))  # 15 pairs: below the cap
    tasks = [
        task(
            f"t{i}",
            *(f"t{j}" for j in range(i) if data.draw(st.booleans())),
            scopes=[{"resource": f"repo:{data.draw(st.sampled_from(names))}"}],
        )
        for i in range(count)
    ]
    needs = {t["key"]: t["depends_on"] for t in tasks}
    wanted = {
        frozenset((a["key"], b["key"]))
        for a in tasks
        for b in tasks
        if a is not b
        and a["key"] not in above(needs, b["key"])
        and b["key"] not in above(needs, a["key"])
        and resources_overlap(a["scopes"][0]["resource"], b["scopes"][0]["resource"])
    }
    shuffled = data.draw(st.permutations(tasks))
    found = [frozenset(re.findall(r"`(t\d)`", p)) for p in problems_of(*shuffled)]
    assert set(found) == wanted
    assert len(set(found)) == len(found)


def test_tasks_in_order_may_write_the_same() -> None:
    first, last = task("a", scopes=WRITES_SRC), task("c", "b", scopes=WRITES_FILE)
    assert problems_of(first, task("b", "a"), last) == []


def test_a_reader_and_a_writer_may_stand_side_by_side() -> None:
    assert problems_of(task("a", scopes=WRITES_SRC), task("b", scopes=READS_SRC)) == []


def test_more_tasks_than_the_limit_are_refused() -> None:
    assert "at most 2" in problems_of(task("a"), task("b"), task("c"), tasks_max=2)[0]


@pytest.mark.parametrize("shape", ["line", "wide", "scoped", "same", "references"])
def test_the_check_of_a_plan_takes_steps_in_proportion_to_its_tasks(
    shape: str,
) -> None:
    tasks = {
        "line": lambda i: task(f"t{i}", *([f"t{i - 1}"] if i else [])),
        "wide": lambda i: task(f"t{i}", *(f"t{j}" for j in range(max(0, i - 5), i, 2))),
        "scoped": lambda i: task(f"t{i}", scopes=[{"resource": f"repo:src/p{i}/**"}]),
        "same": lambda i: task(f"t{i}", *([f"t{i - 1}"] if i else []), scopes=WRITES_SRC),
        "references": lambda i: task(
            f"t{i}", *([f"t{i - 1}"] if i else []),
            inputs={"x": f"${{tasks.t{i // 2}.output.echo}}"} if i else {},
        ),
    }[shape]  # fmt: skip

    def steps(count: int) -> int:
        document = plan(*(tasks(i) for i in range(count)))
        taken = 0

        def trace(frame: Any, event: str, argument: Any) -> Any:
            nonlocal taken
            taken += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            problems = problems_of(*document["tasks"])
        finally:
            sys.settrace(before)
        assert problems == []
        return taken

    steps(10)  # what is only paid once
    assert steps(2_000) < 12 * steps(200)


@pytest.mark.parametrize(
    ("tools", "wrong"),
    [
        ([], "`tools` is empty"),
        ([3], "tool 3 is neither a name nor an object"),
        (["two words"], "tool name 'two words' is not usable"),
        (["a", "a"], "tool `a` is named twice"),
        ([{"name": "a", "host": ["x"]}], "unknown field `host`; did you mean `hosts`?"),
        ([{"name": "a", "hosts": ["http://x/"]}], "hosts is ['http://x/']"),
        ([{"name": "a", "args": {"type": "nonsense"}}], "args is no JSON Schema of an object"),
        ([{"name": "a", "ask": "no"}], "ask is 'no'; expected true or false"),
    ],
)
def test_an_allow_list_of_tools_says_what_is_wrong_with_it(tools: list[Any], wrong: str) -> None:
    found = problems_of(task("a", tools=tools))
    assert any(wrong in problem for problem in found), found


def test_an_allow_list_of_tools_is_part_of_the_definition() -> None:
    tools = ["read_file", {"name": "edit_file", "args": {"maxProperties": 3}}]
    draft = plan_from_json({"objective": "o", "tasks": [task("a", tools=tools)]})
    assert draft.tasks[0].definition()["tools"] == tools


@pytest.mark.parametrize(
    ("one", "asked"),
    [
        (task("a", approval={"required": True}), False),
        (task("a", approval={"required": True}, retry={"fallback_agent": "noop"}), False),
        (task("a", approval={"required": True}, retry={"fallback_agent": "coder"}), True),
        (task("a", agent="coder", approval={"required": True}), True),
        (task("a", approval={"quorum": 2}), True),  # of a verdict that a person must give
        (task("a", approval={"required": False}), True),
    ],
)
def test_an_approval_that_nobody_would_be_asked_for_is_refused(one, asked):
    said = [problem for problem in problems_of(one) if "nobody would be asked" in problem]
    assert said == [] if asked else "task `a`" in said[0]
