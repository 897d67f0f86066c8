"""Which agents there are, and what a bad one costs the others: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from jsonschema import Draft202012Validator

from agentsys.doctor import examine
from agentsys.kernel.plugins import left_out
from orchestration.domain.plan import PlanDraft, TaskDraft
from orchestration.domain.plan_checks import plan_problems
from workers import registry
from workers.agents.base import Agent
from workers.contracts import Brief, Ports, Report
from workers.errors import AgentUnknown
from workers.services import agent_info

pytestmark = pytest.mark.django_db  # agents may be rows, too


class Roleless(Agent):
    name = "roleless"

    def run(self, brief: Brief, ports: Ports) -> Report:
        raise NotImplementedError


class Shapeless(Roleless):
    name = "shapeless"
    role = "testing"
    description = "Its schema is none."
    output_schema: ClassVar[dict[str, Any]] = {"type": "strin"}


async def waits(brief: Brief) -> dict[str, Any]:
    return {}


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
        ("shapeless", "tests.workers.test_registry:Shapeless"),
        ("waits", "tests.workers.test_registry:waits"),
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
    assert value in [one.value for one in left_out(registry.GROUP, name)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("shapeless", "its output_schema cannot be used: at type: 'strin' is not valid"),
        ("waits", "waits is `async`, which is not supported; write `def`"),
        ("roleless", "Roleless lacks role, description"),
    ],
)
def test_whoever_names_what_was_left_out_is_told_why(
    plugins: list[EntryPoint], name: str, reason: str
) -> None:
    value = f"{__name__}:{name.capitalize() if name != 'waits' else name}"
    plugins.append(EntryPoint(name, value, "agentsys.agents"))
    with pytest.raises(AgentUnknown, match=f"left out: agentsys.agents `{name}`.*{reason}"):
        registry.agent(name)
    draft = PlanDraft("", (TaskDraft("a", name),))
    (problem,) = plan_problems(draft, agent_info(), (), tasks_max=10)
    assert f"unknown agent `{name}`" in problem
    assert reason in problem


def test_a_name_that_is_taken_is_said_with_the_package(
    monkeypatch: pytest.MonkeyPatch, plugins: list[EntryPoint], caplog: pytest.LogCaptureFixture
) -> None:
    class Point:
        name, value = "noop", "their.module:Noop"
        dist = SimpleNamespace(name="theirs")

    plugins.append(Point())  # type: ignore[arg-type]
    registry.agents()
    said = "agentsys.agents `noop` of theirs (their.module:Noop): its name is taken by a built-in agent"
    assert said in caplog.text
    check = next(check for check in examine() if check.name == "plugins")
    assert check.advice
    assert said in check.fix


def test_an_unknown_name_suggests_another() -> None:
    with pytest.raises(AgentUnknown, match="did you mean `tester`"):
        registry.agent("testr")
