"""The model agent: bounded, journaled, and never paid twice for one call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsys.gateway.scripted import Say, Script, scripted
from agentsys.kernel.errors import LeaseLost
from agentsys.kernel.hashing import digest, digest_bytes
from workers.contracts import Brief, FailureKind, Limits, Outcome, Report, Usage
from workers.models import ModelCall, Step
from workers.services import attempt_run

pytestmark = pytest.mark.django_db(transaction=True)


class Lent:
    """Ports that count what they are asked for; `fails_at` raises at that guard."""

    def __init__(self, tmp: Path, fails_at: int = 0) -> None:
        self.guards = 0
        self.reserved = self.settled = 0
        self._tmp = tmp
        self._fails_at = fails_at

    def guard(self) -> None:
        self.guards += 1
        if self.guards == self._fails_at:
            raise LeaseLost(attempt_id=1, fence=1, reason="test")

    def progress(self, note: str, fraction: float | None = None) -> None: ...

    def directives(self) -> tuple[str, ...]:
        return ()

    def reserve(self, *, tokens: int, cost_usd: float) -> None:
        self.reserved += tokens

    def settle(self, *, reserved_tokens: int, reserved_cost_usd: float, usage: Usage) -> None:
        self.settled += reserved_tokens

    def workspace(self) -> Path:
        return self._tmp


def brief(**fields: Any) -> Brief:
    values: dict[str, Any] = {
        "goal_id": 1, "task_id": 1, "attempt_id": 1, "fence": 1, "number": 1, "key": "t",
        "agent": "model", "contract": {"objective": "o"}, "contract_hash": "c",
        "definition_hash": "d", "objective": "Say hello", "inputs": {}, "needs": {},
        "namespace": "project-1", "lineage": "t1.1",
    }  # fmt: skip
    return Brief(**{**values, **fields})


@pytest.fixture
def speak(settings: Any) -> Any:
    def speak(*turns: Any) -> Script:
        settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:agent", embedder="hashing")
        return scripted("agent", turns)

    return speak


def finish(text: str = "hello") -> Say:
    return Say(calls=(("finish", {"text": text}),))


def run(tmp_path: Path, b: Brief | None = None, fails_at: int = 0) -> tuple[Report, Lent]:
    ports = Lent(tmp_path, fails_at)
    return attempt_run(b or brief(), ports), ports


def test_it_uses_tools_and_hands_in_what_the_model_finished_with(
    speak: Any, tmp_path: Path
) -> None:
    lines = speak(Say(calls=(("recall", {"query": "hello"}),)), finish())
    report, ports = run(tmp_path)
    assert (report.outcome, report.output) == (Outcome.DONE, {"text": "hello"})
    assert (report.usage.model_calls, report.usage.tool_calls) == (2, 1)
    assert lines.remaining == 0
    assert ports.reserved == ports.settled > 0
    assert ModelCall.objects.count() == 2


def test_the_contract_stands_in_the_prompt_word_for_word(speak: Any, tmp_path: Path) -> None:
    contract = {"objective": "exactly this", "budget": {"tokens": 5}}
    lines = speak(finish())
    run(tmp_path, brief(contract=contract, contract_hash=digest(contract), reasons=("too long",)))
    prompt = lines.asked[0][0].content
    verbatim = prompt.split("## Contract (verbatim)\n")[1].splitlines()[0]
    assert digest_bytes(verbatim.encode()) == digest(contract)
    assert "too long" in prompt
    assert prompt.endswith(f"Contract hash {digest(contract)}. Definition hash d.")


def test_a_successor_of_a_lost_attempt_pays_for_no_call_twice(speak: Any, tmp_path: Path) -> None:
    lines = speak(Say(calls=(("recall", {"query": "a"}),)), finish())
    with pytest.raises(LeaseLost):
        run(tmp_path, fails_at=4)
    assert lines.remaining == 1
    report, _ = run(tmp_path, brief(attempt_id=2, fence=2))
    assert report.outcome is Outcome.DONE
    assert lines.remaining == 0
    assert list(Step.objects.order_by("index").values_list("kind", flat=True)) == [
        "prompt", "model", "tool", "model",
    ]  # fmt: skip


def test_the_same_call_three_times_is_a_loop(speak: Any, tmp_path: Path) -> None:
    speak(*[Say(calls=(("recall", {"query": "a"}),))] * 3)
    report, _ = run(tmp_path)
    assert report.failure is not None
    assert "the same call 3 times" in report.failure.message


def test_steps_are_bounded(speak: Any, tmp_path: Path) -> None:
    speak(*[f"thinking {n}" for n in range(4)])
    report, _ = run(tmp_path, brief(limits=Limits(steps_max=4)))
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_OUTPUT


def test_a_question_waits_for_a_person(speak: Any, tmp_path: Path) -> None:
    speak(Say(calls=(("ask_person", {"question": "red or blue?"}),)))
    report, _ = run(tmp_path)
    assert report.outcome is Outcome.ASKS
    assert report.question is not None
    assert report.question.text == "red or blue?"


def test_an_unknown_tool_is_told_not_raised(speak: Any, tmp_path: Path) -> None:
    lines = speak(Say(calls=(("rm", {}),)), finish())
    report, _ = run(tmp_path)
    assert report.outcome is Outcome.DONE
    assert "there is no tool `rm`" in lines.asked[1][-1].content


def test_without_a_model_it_fails_and_says_how_to_get_one(settings: Any, tmp_path: Path) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="")
    report, _ = run(tmp_path)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT
    assert "AGENTSYS_MODEL" in report.failure.message
