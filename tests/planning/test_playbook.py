"""Playbooks: parameters are read by type, phases become edges, every error is said."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.conf import settings

from agentsys.kernel.errors import BadInput
from orchestration.domain.playbook import compile_playbook, parameters_read, playbook_from_json
from orchestration.domain.refs import references, resolve


def playbook(**rest: Any) -> dict[str, Any]:
    return {
        "name": "care",
        "parameters": {
            "repo": {"type": "path", "required": True, "description": "where"},
            "count": {"type": "int", "default": 2},
            "ratio": {"type": "float", "default": 0.5},
            "strict": {"type": "bool", "default": False},
            "only": {"type": "list", "default": []},
            "extra": {"type": "object", "default": {}},
            "word": {"default": "none"},
        },
        "objective": "care for ${params.repo}",
        "repository": "${params.repo}",
        "phases": [
            {"name": "look", "tasks": [{"key": "a", "agent": "noop"}, {"key": "b", "agent": "noop"}]},
            {
                "name": "act",
                "tasks": [
                    {
                        "key": "c",
                        "agent": "noop",
                        "after": "look",
                        "inputs": {"n": "${params.count}", "of": "${tasks.a.output.x}"},
                    }
                ],
            },
        ],
        **rest,
    }  # fmt: skip


def refused(document: Any, given: dict[str, Any] | None = None) -> str:
    with pytest.raises(BadInput) as error:
        compile_playbook(playbook_from_json(document), given or {})
    return str(error.value)


def test_texts_are_read_by_the_type_of_their_parameter() -> None:
    values = parameters_read(
        playbook_from_json(playbook()),
        {"repo": "/srv/r", "count": "7", "ratio": "0.25", "strict": "yes", "only": "a, b,", "word": 5},
    )  # fmt: skip
    assert values == {
        "repo": "/srv/r", "count": 7, "ratio": 0.25, "strict": True,
        "only": ["a", "b"], "extra": {}, "word": "5",
    }  # fmt: skip


def test_an_object_may_be_given_as_json() -> None:
    values = parameters_read(
        playbook_from_json(playbook()), {"repo": "/srv/r", "count": 7, "extra": '{"a": [1]}'}
    )
    assert values["extra"] == {"a": [1]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", True), ("count", 1.5), ("count", "1.5"), ("count", []), ("ratio", "nan"),
        ("ratio", "1e999"), ("ratio", True), ("strict", 2), ("only", {}), ("only", 3),
        ("repo", ""), ("repo", "a\0b"), ("repo", 3), ("repo", "~nobody-of-that-name/x"),
        ("extra", "text"), ("word", []), ("word", None),
    ],
)  # fmt: skip
def test_a_value_is_not_bent_into_a_type(name: str, value: Any) -> None:
    assert f"parameter `{name}` is {value!r}; expected" in refused(
        playbook(), {"repo": "/srv/r", name: value}
    )


def test_a_phase_waits_for_the_one_it_comes_after() -> None:
    draft = compile_playbook(playbook_from_json(playbook()), {"repo": "/srv/r"})
    by_key = {t.key: t for t in draft.tasks}
    assert by_key["c"].depends_on == ("a", "b")
    assert by_key["c"].inputs == {"n": 2, "of": "${tasks.a.output.x}"}
    assert [t.phase for t in draft.tasks] == ["look", "look", "act"]
    assert (draft.objective, draft.repository) == ("care for /srv/r", "/srv/r")
    assert (draft.planner, draft.playbook, draft.params["count"]) == ("playbook", "care", 2)


def test_what_a_parameter_says_is_never_read_as_a_reference() -> None:
    task = {
        "key": "a",
        "agent": "noop",
        "objective": "do ${params.word}",
        "inputs": {"w": "${params.word}"},
    }
    document = playbook(phases=[{"name": "p", "tasks": [task]}])
    given = {"repo": "/srv/r", "word": "echo ${HOME} ${tasks.a.output}"}
    (draft,) = compile_playbook(playbook_from_json(document), given).tasks
    assert draft.objective == "do echo ${HOME} ${tasks.a.output}"
    assert references(draft.inputs) == {"$"}
    assert resolve(draft.inputs, {}) == {"w": given["word"]}


def test_every_wrong_parameter_is_named_at_once() -> None:
    said = refused(playbook(), {"counts": 1, "count": "many", "ratio": "x", "strict": "perhaps"})
    assert "unknown parameter `counts`; did you mean `count`?" in said
    assert "parameter `repo` (path) is missing: where; give it as --param repo=…" in said
    assert "parameter `count` is 'many'; expected int" in said
    assert "parameter `ratio` is 'x'; expected float" in said
    assert "parameter `strict` is 'perhaps'; expected bool" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Not Good"}, "must be lower case"),
        ({"name": "care\n"}, "must be lower case"),
        ({"phase": []}, "unknown field `phase`; did you mean `phases`?"),
        ({"phases": []}, "`phases` must be a list"),
        ({"phases": [{"name": "x"}]}, "phases[0] must be an object"),
        ({"version": "two"}, "version is 'two'; expected a number"),
        ({"parameters": []}, "there is no `repo`"),
        ({"parameters": "text"}, "`parameters` must be an object"),
        ({"parameters": {"x": "text"}}, "parameter x: is 'text'"),
        ({"parameters": {"x": {"type": "date"}}}, "type must be one of string, int"),
        ({"parameters": {"x": {"typ": "int"}}}, "parameter x: unknown typ"),
        (
            {"parameters": {"x": {"type": "int", "default": "many"}}},
            "the default is 'many'; expected int",
        ),
        (
            {"parameters": {"x": {"type": "int", "default": 1.5}}},
            "the default is 1.5; expected int",
        ),
        ({"parameters": {"x": {"type": "list", "default": {}}}}, "expected list"),
        ({"parameters": {"x": {"required": "yes"}}}, "required is 'yes'; expected true or false"),
        ({"parameters": {"x": {"description": 3}}}, "description is 3; expected text"),
        ({"parameters": {"x.y": {}}}, "expected a name of letters"),
        (
            {"phases": [{"name": "p", "tasks": [], "after": "x"}]},
            "phases[0]: unknown field `after`",
        ),
        ({"phases": [{"name": ["p"], "tasks": []}]}, "name is ['p']; expected text"),
        ({"phases": [{"name": "p", "tasks": []}] * 2}, "the name `p` is used twice"),
        ({"objective": "for ${params.nosuch}"}, "objective: ${params.nosuch} leads nowhere"),
        (
            {"phases": [{"name": "p", "tasks": [{"key": "a", "agent": "noop", "after": ["x"]}]}]},
            "names no earlier phase",
        ),
        ({"phases": [{"name": "p", "tasks": [3]}]}, "p[0] must be an object"),
        ({"phases": [{"name": "p", "tasks": [{"key": "a"}]}]}, "`agent` is missing"),
        (
            {"phases": [{"name": "p", "tasks": [{"key": "a", "agent": "noop", "after": "later"}]}]},
            "after `later` names no earlier phase",
        ),
        (
            {"phases": [{"name": "p", "tasks": [{"key": "${params.no}", "agent": "noop"}]}]},
            "there is no `no`",
        ),
    ],
)
def test_what_is_wrong_with_a_playbook_is_named(change: dict[str, Any], said: str) -> None:
    given = {} if "parameters" in change else {"repo": "/srv/r"}
    document = playbook(**change)
    assert said in refused(document, given)


@pytest.mark.parametrize("name", ["ops-checks", "repo-care", "research-digest"])
def test_the_playbooks_that_ship_can_be_read(name: str) -> None:
    text = (settings.AGENTSYS.playbooks / f"{name}.yaml").read_text()
    assert playbook_from_json(yaml.safe_load(text)).name == name
