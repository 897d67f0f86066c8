"""A function, and any langchain Runnable, is an agent."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from agentsys.gateway.errors import ProviderOutage
from agentsys.gateway.scripted import Say, script, scripted
from agentsys.kernel.errors import LeaseLost
from tests.workers.given import GivenPorts, a_brief
from workers import registry
from workers.contracts import Brief, FailureKind, Outcome, Ports, Report
from workers.models import ModelCall, Step
from workers.services import agent_info, attempt_run

pytestmark = pytest.mark.django_db(transaction=True)

calls: list[str] = []


class Verse(BaseModel):
    lines: list[str]


def shout(brief: Brief) -> dict[str, Any]:
    """Says it louder.

    The rest is for programmers.
    """
    calls.append(brief.objective)
    return {"said": str(brief.inputs["text"]).upper()}


shout.role = "writing"  # type: ignore[attr-defined]
shout.output_schema = {"type": "object", "required": ["said"]}  # type: ignore[attr-defined]


def whisper(brief: Brief) -> str:
    return brief.objective.lower()


def mumble(brief: Brief) -> Any:
    return 7


def own_report(brief: Brief, ports: Ports) -> Report:
    ports.progress("half of it", 0.5)
    return Report(Outcome.DONE, output={"own": True}, summary="mine")


def no_report(brief: Brief, ports: Ports) -> Any:
    return {"own": True}


def unstored(brief: Brief) -> dict[str, Any]:
    return {"rows": [{"mean": 1.5}, {"mean": float("nan")}]}


def unstored_report(brief: Brief, ports: Ports) -> Report:
    return Report(Outcome.DONE, output={"x": object()})


def three(a: Any, b: Any, c: Any) -> None: ...


def _verse(asked: dict[str, Any]) -> Verse:
    calls.append("verse")
    return Verse(lines=[asked["objective"], str(asked["inputs"]["n"])])


def _away(asked: dict[str, Any]) -> Any:
    raise ProviderOutage(model="theirs", reason="closed")


verse = RunnableLambda(_verse)
away = RunnableLambda(_away)
seven = RunnableLambda(lambda _: 7)


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    here = __name__
    names = "shout whisper mumble own_report no_report three verse away seven chain bare"
    names = f"{names} unstored unstored_report".split()
    points = [EntryPoint(name, f"{here}:{name}", "agentsys.agents") for name in names]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setattr(registry, "_loaded", {})
    registry._plugins.cache_clear()
    calls.clear()
    yield points
    registry._plugins.cache_clear()


def run(agent: str, tmp_path: Path, *, lost: bool = False, **inputs: Any) -> Report:
    ports = GivenPorts(tmp_path, lost=lost)
    return attempt_run(a_brief(agent, inputs, lineage=f"t-{agent}"), ports)


def test_a_function_of_the_brief_is_an_agent(tmp_path: Path) -> None:
    report = run("shout", tmp_path, text="hello")
    assert (report.outcome, report.output) == (Outcome.DONE, {"said": "HELLO"})
    info = agent_info()["shout"]
    assert (info.role, info.description) == ("writing", "Says it louder.")
    assert info.output_schema["required"] == ["said"]


def test_a_text_becomes_an_output(tmp_path: Path) -> None:
    assert run("whisper", tmp_path).output == {"text": "do it"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mumble", "mumble returned int; expected an object, or a text"),
        ("seven", "seven gave no usable answer: it returned int; expected text"),
        ("no_report", "no_report returned dict; expected a `Report`"),
        ("unstored", "unstored returned what cannot be stored (rows.1.mean: nan has no JSON form)"),
        (
            "unstored_report",
            "the output of unstored_report cannot be stored: x: object has no JSON",
        ),
    ],
)
def test_what_can_be_no_output_is_said(tmp_path: Path, name: str, said: str) -> None:
    failure = run(name, tmp_path).failure
    assert failure is not None
    assert failure.kind is FailureKind.BAD_OUTPUT
    assert failure.message.startswith(said)


def test_a_function_with_the_ports_hands_in_its_own_report(tmp_path: Path) -> None:
    report = run("own_report", tmp_path)
    assert (report.output, report.summary) == ({"own": True}, "mine")


def test_what_is_neither_is_left_out(tmp_path: Path) -> None:
    assert "three" not in registry.agents()
    assert "shout" in registry.agents()


def test_whoever_takes_over_does_not_ask_again(tmp_path: Path) -> None:
    first, second = run("shout", tmp_path, text="a"), run("shout", tmp_path, text="a")
    assert first.output == second.output
    assert calls == ["do it"]
    run("shout", tmp_path, text="b")  # another question
    assert calls == ["do it", "do it"]


def test_a_lost_lease_stops_it_before_it_is_asked(tmp_path: Path) -> None:
    with pytest.raises(LeaseLost):
        run("shout", tmp_path, lost=True, text="a")
    assert calls == []


def test_a_runnable_is_given_the_task_as_an_object(tmp_path: Path) -> None:
    report = run("verse", tmp_path, n=3)
    assert report.output == {"lines": ["do it", "3"]}
    assert run("verse", tmp_path, n=3).output == report.output
    assert calls == ["verse"]


def test_a_failing_provider_is_no_crash_of_the_agent(tmp_path: Path) -> None:
    failure = run("away", tmp_path).failure
    assert failure is not None
    assert (failure.kind, "closed" in failure.message) == (FailureKind.OUTAGE, True)
    assert Step.objects.get(lineage="t-away").state == "failed"


def test_a_chain_with_a_model_pays_for_what_it_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = scripted("chain", [Say("a poem", tokens=(30, 4))])
    prompt = ChatPromptTemplate.from_messages([("human", "{objective}, on {inputs}")])
    monkeypatch.setattr(f"{__name__}.chain", prompt | script("chain"), raising=False)
    with spoken:
        report = run("chain", tmp_path, about="rain")
    assert report.output == {"text": "a poem"}
    assert (report.usage.input_tokens, report.usage.output_tokens) == (30, 4)
    assert "do it, on {'about': 'rain'}" in str(spoken.asked[0])
    assert ModelCall.objects.get().input_tokens == 30


def test_a_bare_chat_model_is_given_the_whole_brief(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = scripted("bare", ["done"])
    monkeypatch.setattr(f"{__name__}.bare", script("bare"), raising=False)
    assert run("bare", tmp_path).output == {"text": "done"}
    assert "Contract (verbatim)" in str(spoken.asked[0])
