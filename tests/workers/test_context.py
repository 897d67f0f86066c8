"""What a model agent is shown: what binds is never cut, what informs has its share."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway.loopback import Loopback
from agentsys.gateway.loopback.server import Asked
from agentsys.gateway.scripted import Say
from agentsys.kernel.errors import LeaseLost
from agentsys.kernel.hashing import canonical
from tests.workers.given import GivenPorts
from tests.workers.speaking import CONTRACT, a_brief, a_tool, does, finish, prompt, run
from workers.contracts import FailureKind, Limits, Note, Outcome, Recollection, Risk
from workers.conversation import Conversation
from workers.domain.context import SHARES, tokens
from workers.models import Blob, DriftScore, Step
from workers.prompts import layout
from workers.services import blob_get

pytestmark = pytest.mark.django_db(transaction=True)

VERBATIM = canonical(CONTRACT)
TAIL = "Contract hash hash-of-contract. Definition hash hash-of-definition."
STEPS = 300


def narrow(**limits: Any) -> Limits:
    return Limits(**{"steps_max": 400, "tokens_max": 10**9, "seconds_max": 10_000, **limits})


def long_reading(path: str) -> str:
    return f"{path} holds leases. " + "word " * 700


class Told(GivenPorts):
    """People say something at the 40th answer."""

    asked = 0

    def directives(self) -> tuple[str, ...]:
        self.asked += 1
        said = ("answer in English", "never touch production")
        return said if self.asked >= 40 else said[:1]


def test_three_hundred_steps_with_ten_compactions_keep_the_contract_in_every_prompt(
    settings: Any, tmp_path: Path
) -> None:
    """Over real HTTP: what counts is the bytes that reached the provider."""
    pytest.importorskip("langchain_openai")
    faults: list[str] = []

    def expect(holds: bool, asked: Asked, what: str) -> None:
        if not holds:
            faults.append(f"request {asked.number}: {what}")

    def answers(asked: Asked) -> Say:
        first, last = (str(asked.messages[at]["content"]) for at in (0, -1))
        expect(f"## Contract (verbatim)\n{VERBATIM}\n" in first, asked, "no contract")
        expect("- t: find the cause\n- u: mend it" in asked.text, asked, "no plan")
        expect("answer in English" in asked.text, asked, "no directive")
        expect(
            asked.number <= 40 or "never touch production" in asked.text, asked, "not the newest"
        )
        expect(last.endswith(TAIL), asked, "no contract at the end")
        expect(tokens(asked.text) < 20_000, asked, "too long")
        turn = asked.number
        return does("read_file", path=f"src/{turn}.py") if turn < STEPS else finish()

    read = a_tool("read_file", lambda args: long_reading(args["path"]))
    brief = a_brief(
        limits=narrow(context_tokens_max=20_000),
        plan=("t: find the cause", "u: mend it"),
        directives=("answer in English",),
    )
    with Loopback(answers) as server:
        model = f"openai:m?base_url={server.base_url}"
        settings.AGENTSYS = replace(settings.AGENTSYS, model=model)
        report = run(tmp_path, brief, [read], Told(tmp_path))
        compacted = sum("replaced by facts" in str(a.messages[-1]["content"]) for a in server.asked)
    assert (report.outcome, report.usage.model_calls) == (Outcome.DONE, STEPS)
    assert faults == []
    assert compacted >= 10
    assert not DriftScore.objects.filter(outcome="drifted").exists()


def test_what_is_stored_grows_with_the_steps_and_not_with_their_square(
    speak: Any, tmp_path: Path
) -> None:
    """Each message stands in the journal once, each text that was left out is one blob."""
    read = a_tool("read_file", lambda args: long_reading(args["path"]))
    sizes = []
    for number, steps in enumerate((40, 80)):
        speak(*[does("read_file", path=f"{steps}/{n}.py") for n in range(steps)], finish())
        brief = a_brief(limits=narrow(context_tokens_max=15_000), lineage=f"t{number}")
        before = sum(Blob.objects.values_list("size", flat=True))
        run(tmp_path, brief, [read])
        rows = Step.objects.filter(lineage=f"t{number}")
        size = sum(len(canonical([r.request, r.outcome])) for r in rows)
        sizes.append(size + sum(Blob.objects.values_list("size", flat=True)) - before)
    assert sizes[1] < sizes[0] * 2.3


def test_a_fact_names_tool_arguments_size_and_handle_and_can_be_read_back(
    speak: Any, tmp_path: Path
) -> None:
    read = a_tool("read_file", lambda args: long_reading(args["path"]))
    limits = narrow(context_tokens_max=6_000)
    turns = [does("read_file", path=f"src/{n}.py") for n in range(8)]
    lines = speak(*turns, finish())
    run(tmp_path, a_brief(limits=limits), [read])
    line = r"(\d+)\. read_file args ([0-9a-f]{12}): (\d+) characters, handle ([0-9a-f]{64})"
    found = re.search(line, prompt(lines, 8))
    assert found is not None
    text = blob_get(found[4]).decode()
    assert len(text) == int(found[3])
    assert "src/0.py holds leases" in text
    lines = speak(*turns, does("read_more", handle=found[4]), finish())
    run(tmp_path, a_brief(limits=limits, lineage="t1.2"), [read])
    assert "src/0.py holds leases" in prompt(lines, 9)


def test_a_handle_of_another_conversation_gives_nothing(speak: Any, tmp_path: Path) -> None:
    from workers.services import blob_put

    lines = speak(does("read_more", handle=blob_put(b"secret of another project")), finish())
    run(tmp_path, a_brief(), [])
    assert "failed: read_more: there is no handle" in prompt(lines, 1)
    assert "secret" not in prompt(lines, 1)


def test_what_a_person_said_outlives_every_compaction() -> None:
    talk = Conversation("system")
    for n in range(30):
        talk.answer("", [{"id": "a", "name": "ask_person", "args": {}}])
        talk.result(f"a-{n + 1}" if n else "a", "x" * 900)
        if n == 1:
            talk.say("A person tells you: keep the API", from_person=True)
    assert talk.compact(lambda _text: None, window=4_000)
    assert sum("keep the API" in m["content"] for m in talk.messages) == 1
    assert talk.tokens < 4_000


def test_a_successor_comes_to_the_same_messages_through_compactions(
    speak: Any, tmp_path: Path
) -> None:
    read = a_tool("read_file", lambda args: long_reading(args["path"]))
    turns = [does("read_file", path=f"src/{n}.py") for n in range(30)]
    brief = a_brief(limits=narrow(context_tokens_max=8_000))
    lines = speak(*turns, finish())

    class Cut(GivenPorts):
        guards = 0

        def guard(self) -> None:
            self.guards += 1
            if self.guards == 45:
                raise LeaseLost(attempt_id=1, fence=1, reason="test")

    with pytest.raises(LeaseLost):
        run(tmp_path, brief, [read], Cut(tmp_path))
    report = run(tmp_path, replace(brief, fence=2, attempt_id=2), [read])
    assert report.outcome is Outcome.DONE
    assert report.usage.model_calls == len(lines.asked) == 31
    again = run(tmp_path, replace(brief, fence=3, attempt_id=3), [read])
    assert again.output == report.output
    assert not Step.objects.filter(lineage__contains="~").exists()


# --- Sections ------------------------------------------------------------------------------------


def test_a_contract_that_does_not_fit_fails_says_so_and_asks_no_model(
    speak: Any, tmp_path: Path
) -> None:
    speak()
    brief = a_brief(contract={"objective": "x" * 40_000}, limits=narrow(context_tokens_max=9_000))
    report = run(tmp_path, brief, [])
    assert report.failure is not None
    assert report.failure.kind is FailureKind.CONTEXT
    assert "the contract alone takes about 13" in report.failure.message


def test_directives_that_do_not_fit_fail_and_are_not_cut(speak: Any, tmp_path: Path) -> None:
    speak()
    brief = a_brief(directives=("y" * 30_000,), limits=narrow(context_tokens_max=9_000))
    report = run(tmp_path, brief, [])
    assert report.failure is not None
    assert report.failure.kind is FailureKind.CONTEXT
    assert "directives 10001" in report.failure.message


def test_each_section_that_informs_keeps_to_its_share() -> None:
    window = 10_000
    memories = tuple(
        Recollection(n, "semantic", "z" * 600, 1.0, "verified", "goal-1") for n in range(50)
    )
    notes = tuple(Note(f"key {n}", "n" * 600, "model at a", "unverified") for n in range(50))
    brief = a_brief(
        inputs={"text": "a" * 90_000}, needs={"x": "b" * 90_000}, reasons=("c" * 90_000,),
        recalled=memories, board=notes, limits=narrow(context_tokens_max=window),
    )  # fmt: skip
    laid = layout(brief)
    assert set(SHARES) == {"reasons", "inputs", "needs", "board", "recalled"}
    assert tokens(laid.text) < window * (0.5 + sum(SHARES.values()))
    assert VERBATIM in laid.text
    assert len(laid.left_out) == 3
    for handle, text in laid.left_out.items():
        assert f"handle {handle}" in laid.text
        assert len(text) >= 90_000


def test_inputs_that_were_cut_can_be_read_back(speak: Any, tmp_path: Path) -> None:
    brief = a_brief(
        inputs={"text": "a" * 50_000 + " the end"}, limits=narrow(context_tokens_max=9_000)
    )
    handle = next(iter(layout(brief).left_out))
    lines = speak(does("read_more", handle=handle, start=49_000), finish())
    run(tmp_path, brief, [])
    assert "the end" not in prompt(lines, 0)
    assert "the end" in prompt(lines, 1)


TOO_LONG = gateway.ProviderMissing(
    model="m", reason="This model's maximum context length is 8192 tokens"
)


def test_a_model_that_finds_it_too_long_gets_less_and_then_it_is_a_failure(
    speak: Any, tmp_path: Path
) -> None:
    read = a_tool("read_file", lambda args: long_reading(args["path"]))
    turns = [does("read_file", path=f"{n}.py") for n in range(5)]
    lines = speak(*turns, TOO_LONG, finish())
    report = run(tmp_path, a_brief(), [read])
    assert report.outcome is Outcome.DONE
    assert tokens(prompt(lines, 6)) < tokens(prompt(lines, 5)) / 2
    speak(*turns, TOO_LONG, TOO_LONG)
    report = run(tmp_path, a_brief(lineage="t1.2"), [read])
    assert report.failure is not None
    assert report.failure.kind is FailureKind.CONTEXT


def test_a_result_that_alone_is_too_long_becomes_a_handle(speak: Any, tmp_path: Path) -> None:
    read = a_tool("read_file", "w" * 39_000)
    lines = speak(does("read_file", path="a"), finish())
    report = run(tmp_path, a_brief(limits=narrow(context_tokens_max=5500)), [read])
    assert report.outcome is Outcome.DONE
    assert "characters; handle " in prompt(lines, 1)


# --- Told again ----------------------------------------------------------------------------------

AGAIN = "Remember the task: Find out why leases are lost"


def test_the_task_is_said_again_every_ten_steps(speak: Any, tmp_path: Path) -> None:
    lines = speak(*[does("read_file", path=str(n)) for n in range(21)], finish())
    run(tmp_path, a_brief(), [a_tool("read_file")])
    said = [n for n in range(22) if AGAIN in str(lines.asked[n][-1].content)]
    assert said == [10, 20]


def test_the_task_is_said_again_to_whoever_takes_over(speak: Any, tmp_path: Path) -> None:
    lines = speak(does("read_file", path="a"), does("ask_person", question="go on?"), finish())
    assert run(tmp_path, a_brief(), [a_tool("read_file")]).outcome is Outcome.ASKS
    assert AGAIN not in prompt(lines, 1)
    said = {
        "kind": "question",
        "decision": "respond",
        "asked": "go on?",
        "payload": {"text": "yes"},
    }
    run(tmp_path, a_brief(fence=2, answers=(said,)), [a_tool("read_file")])
    assert "A person has decided" in str(lines.asked[2][-1].content)
    assert AGAIN in str(lines.asked[2][-1].content)


def test_a_decision_on_something_else_is_told_once(speak: Any, tmp_path: Path) -> None:
    busy = gateway.RateLimited(model="m", reason="slow", retry_after_seconds=600.0)
    lines = speak(does("read_file", path="a"), busy, busy, busy, finish())
    assert run(tmp_path, a_brief(), [a_tool("read_file")]).outcome is Outcome.FAILED
    said = {"kind": "proposal", "decision": "reject", "asked": "Delete?", "reason": "no"}
    for fence in (2, 3, 4):
        run(tmp_path, a_brief(fence=fence, answers=(said,)), [a_tool("read_file")])
    assert prompt(lines, 4).count("A person decided") == 1
    assert prompt(lines, 4).count(AGAIN) == 1


def test_the_task_is_said_again_after_a_call_outside_the_scopes(speak: Any, tmp_path: Path) -> None:
    from workers.contracts import ScopeGrant

    lines = speak(does("write_file", path="prod/x"), finish())
    brief = a_brief(scopes=(ScopeGrant("repo:src/**"),))
    run(tmp_path, brief, [a_tool("write_file", risk=Risk.WRITE)])
    assert "outside of your task" in str(lines.asked[1][-1].content)


def test_a_malformed_answer_is_no_reason_to_stop(speak: Any, tmp_path: Path) -> None:
    speak(Say(calls=(("finish", "{"),)), finish())
    assert run(tmp_path, a_brief(), []).outcome is Outcome.DONE
