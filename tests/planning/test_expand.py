"""A fan-out makes one child per item, with keys that differ, or says why it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from agentsys.kernel.errors import BadInput
from orchestration.domain.expand import expand
from orchestration.domain.plan import TaskDraft
from orchestration.domain.plan_checks import children_problems
from orchestration.domain.refs import resolve
from tests.planning.plans import AGENTS, VERIFIERS

TEMPLATE = {"agent": "noop", "inputs": {"x": "${item.path}", "later": "${tasks.a.output.y}"}}


def fan_out(**rest: Any) -> dict[str, Any]:
    return {"over": "${tasks.a.output.x}", "task": TEMPLATE, **rest}


def test_each_item_becomes_a_child_and_task_references_stay() -> None:
    children = expand("fix", fan_out(key="${item.path}"), [{"path": "src/a"}, {"path": "b b"}])
    assert [c.key for c in children] == ["fix[src/a]", "fix[b-b]"]
    assert children[0].inputs == {"x": "src/a", "later": "${tasks.a.output.y}"}


def test_the_name_of_the_item_can_be_chosen() -> None:
    row = {"agent": "noop", "inputs": {"n": "${pkg}", "i": "${index}"}}
    children = expand("t", {"over": "", "as": "pkg", "task": row}, ["p", "q"])
    assert [c.inputs for c in children] == [{"n": "p", "i": 0}, {"n": "q", "i": 1}]
    assert [c.key for c in children] == ["t[0]", "t[1]"]


def test_items_with_odd_names_neither_inject_references_nor_change() -> None:
    odd = "${tasks.a.output.token}.py"
    row = {
        "agent": "noop",
        "objective": "Fix ${item.path}",
        "inputs": {"paths": ["${item.path}"]},
        "scopes": [{"resource": "repo:${item.path}"}],
    }
    (child,) = expand("fix", fan_out(key="${item.path}", task=row), [{"path": odd}])
    assert child.objective == f"Fix {odd}"
    assert child.scopes == ({"resource": f"repo:{odd}"},)
    assert resolve(child.inputs, {}) == {"paths": [odd]}


def test_equal_items_get_different_keys() -> None:
    children = expand("t", fan_out(key="${item.path}"), [{"path": "a"}] * 3)
    assert [c.key for c in children] == ["t[a]", "t[a-2]", "t[a-3]"]


def test_keys_of_children_can_be_used_however_long_and_odd_the_items_are() -> None:
    items = [{"path": p} for p in ("x" * 500, "../../etc", "ключ", "", "a\nb", "[x]")]
    children = expand("k" * 100, fan_out(key="${item.path}"), items)
    assert children_problems("k" * 100, children, {"a"}, AGENTS, VERIFIERS) == []


@pytest.mark.parametrize(
    ("items", "rest", "said"),
    [
        ({"a": 1}, {}, "it goes over a dict, not a list"),
        ([{}] * 3, {"max": 2}, "it has 3 items; at most 2 are allowed"),
        ([{}] * 1001, {}, "at most 1000 are allowed"),
        ([{"other": 1}], {}, "there is no `path`"),
        ([{"path": "a"}], {"task": {"agent": "noop", "nosuch": 1}}, "unknown field `nosuch`"),
    ],
)
def test_what_cannot_be_expanded_says_why(items: Any, rest: Any, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        expand("t", fan_out(**rest), items)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("child", "said"),
    [
        (TaskDraft("t[1]", "nop"), "unknown agent `nop`"),
        (TaskDraft("t[1]", "noop", depends_on=("nosuch",)), "which is no task"),
        (TaskDraft("t[1]", "noop", depends_on=("t",)), "which waits for it"),
        (TaskDraft("a", "noop"), "key `a` is taken"),
        (TaskDraft("t[1]", "noop", verify=("nosuch",)), "unknown verifier"),
        (TaskDraft("t[1]", "noop", retry={"attempts_max": "x"}), "retry attempts_max"),
    ],
)
def test_children_are_checked_like_tasks_of_a_plan(child: TaskDraft, said: str) -> None:
    assert said in " | ".join(children_problems("t", [child], {"a", "t"}, AGENTS, VERIFIERS))


def granted(template: dict[str, Any], item: Any, tools: Any = None) -> Any:
    fan_out = {"over": "${tasks.a.output.items}", "task": {"agent": "model", **template}}
    return expand("each", fan_out, [item], tools=tools)[0].tools


def test_the_tools_of_a_template_hold_for_its_children() -> None:
    assert granted({"tools": ["recall"]}, {}) == ("recall",)
    assert granted({}, {}) is None


def test_children_never_have_more_tools_than_the_fan_out_itself() -> None:
    assert granted({}, {}, ["recall"]) == ("recall",)
    assert granted({"tools": ["recall", "run_tests"]}, {}, ["recall"]) == ("recall",)
    with pytest.raises(BadInput, match="none of which the fan-out itself is given"):
        granted({"tools": ["run_tests"]}, {}, ["recall"])


def test_an_item_cannot_waive_that_a_person_is_asked() -> None:
    tool = {"name": "propose", "ask": False}
    assert granted({"tools": [tool]}, {}) == ({"name": "propose", "ask": False},)
    assert granted({"tools": "${item.tools}"}, {"tools": [tool]}) == ("propose",)
    assert granted({"tools": [{"name": "propose", "ask": "${item.ask}"}]}, {"ask": False}) == (
        "propose",
    )
