"""References become the values that they point at, or say where they end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsys.kernel.errors import BadInput
from orchestration.domain.refs import lookup, references, resolve, settled, task_of

SCOPE = {
    "params": {"repo": "/srv/r", "count": 3},
    "tasks": {"a.b/c[x]": {"output": {"items": [{"name": "one"}, {"name": "two"}]}}},
}


def test_a_string_that_is_one_reference_becomes_the_value() -> None:
    assert resolve("${params.count}", SCOPE) == 3
    assert resolve("${tasks.a.b/c[x].output.items[1].name}", SCOPE) == "two"
    assert resolve({"deep": ["${ params.count }"]}, SCOPE) == {"deep": [3]}


def test_references_in_a_longer_string_become_text() -> None:
    assert resolve("${params.repo}/src has ${params.count}", SCOPE) == "/srv/r/src has 3"
    assert resolve("all: ${params}", SCOPE) == 'all: {"count":3,"repo":"/srv/r"}'


def test_a_doubled_dollar_is_a_literal() -> None:
    assert resolve("$${params.repo} costs 3$", SCOPE) == "${params.repo} costs 3$"
    assert references("$${params.repo}") == set()


def test_partial_leaves_what_it_does_not_know() -> None:
    assert resolve("${item.x} in ${params.repo}", SCOPE, partial=True) == "${item.x} in /srv/r"
    assert resolve("$${later}", {"item": 1}, partial=True) == "$${later}"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("params.none", "there is no `none` (there is: count, repo)"),
        ("tasks.z.output", "there is no task `z`"),
        ("tasks.a.b/c[x].output.items[7]", "there is no [7]"),
        ("tasks.a.b/c[x].output.items.name", "there is no `name` (there is: no fields)"),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_ends(reference: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        lookup(reference, SCOPE)
    assert said in str(refused.value)


def test_the_task_of_a_reference_keeps_dots_and_brackets_of_its_key() -> None:
    assert task_of("tasks.a.b/c[x].output.items[0]") == "a.b/c[x]"
    assert task_of("tasks.a.output_of.output") == "a.output_of"
    assert task_of("params.tasks") is None
    assert references({"a": ["${x}", {"b": "${y.z} ${x}"}]}) == {"x", "y.z"}


def test_a_doubled_dollar_in_a_value_is_left_alone() -> None:
    assert resolve("a ${x}", {"x": "$${HOME}"}) == "a $${HOME}"


HOSTILE = {"key": "${tasks.a.output.token}", "deep": ["${goal.id}", {"x": "$${repository}"}]}


def test_what_a_value_says_is_never_read_as_a_reference() -> None:
    template = {"whole": "${item}", "part": "x-${item.key}.py", "later": "${tasks.b.output}"}
    between = resolve(template, {"item": HOSTILE}, partial=True)
    assert references(between) == {"tasks.b.output", "$"}
    assert resolve(between, {"tasks": {"b": {"output": 7}}}) == {
        "whole": HOSTILE,
        "part": "x-${tasks.a.output.token}.py",
        "later": 7,
    }


TEXTS = st.text(alphabet="${}ab.", max_size=8)


@settings(max_examples=400, deadline=None)
@given(
    TEXTS, TEXTS, st.sampled_from(["${p}", "${p}${q}", "a${p}{q}", "${p}b${later}", "$ ${q}${p}"])
)
def test_resolving_in_two_steps_is_resolving_in_one(p: str, q: str, template: str) -> None:
    now, later = {"p": p, "q": q}, {"later": "z"}
    between = resolve(template, now, partial=True)
    assert resolve(between, later) == resolve(template, {**now, **later})
    if "later" not in template:
        assert settled(between) == resolve(template, now)
