"""Which agents there are, and what a bad one costs the others: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest
from jsonschema import Draft202012Validator

from workers import registry
from workers.errors import AgentUnknown
from workers.services import agent_info

pytestmark = pytest.mark.django_db  # agents may be rows, too


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setattr(registry, "_loaded", {})
    registry._plugins.cache_clear()
    yield points
    registry._plugins.cache_clear()


def test_every_agent_that_loads_has_schemas_that_are_schemas() -> None:
    found = agent_info()
    assert {"noop", "collect", "command", "coder", "tester", "devops"} <= set(found)
    for info in found.values():
        assert info.lane in ("agent", "cheap")
        assert info.scope_mode in ("read", "write")
        Draft202012Validator.check_schema(info.inputs_schema)
        Draft202012Validator.check_schema(info.output_schema)
        assert info.output_schema, info.name


def test_a_plugin_is_found_by_its_entry_point(plugins: list[EntryPoint]) -> None:
    plugins.append(EntryPoint("scripted", "tests.workers.test_command:Scripted", "agentsys.agents"))
    assert registry.agent("scripted").role == "testing"
    assert "scripted" in registry.agents()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gone", "no.such.module:Agent"),
        ("gone", "tests.workers.test_command:Missing"),
        ("gone", "tests.workers.given:GivenPorts"),
        ("misnamed", "tests.workers.test_command:Scripted"),
        ("noop", "tests.workers.test_command:Scripted"),
    ],
)
def test_a_bad_plugin_is_left_out_and_the_rest_stays(
    plugins: list[EntryPoint], name: str, value: str
) -> None:
    plugins.append(EntryPoint(name, value, "agentsys.agents"))
    found = registry.agents()
    assert "command" in found
    assert found.keys() - registry.BUILT_IN.keys() == set()
    assert type(registry.agent("noop")).__name__ == "NoopAgent"


def test_an_unknown_name_suggests_another() -> None:
    with pytest.raises(AgentUnknown, match="did you mean `tester`"):
        registry.agent("testr")
