"""A long attempt as its provider sees it: the server itself asserts what every request says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsys.gateway.loopback import Asked, Loopback, Say, Turn
from tests.workers.speaking import a_brief, a_tool, run
from tests.workers.test_context import STEPS, TAIL, VERBATIM, long_reading, narrow
from workers.contracts import Outcome
from workers.domain.context import tokens

pytest.importorskip("langchain_openai")
pytestmark = pytest.mark.django_db(transaction=True)

WINDOW = 20_000


def test_every_request_of_three_hundred_holds_the_contract_word_for_word(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compactions = 0

    def answers(asked: Asked) -> Turn:
        nonlocal compactions
        first, last = asked.messages[0], asked.messages[-1]
        assert first["role"] == "system"
        assert f"## Contract (verbatim)\n{VERBATIM}\n" in first["content"]
        assert last["content"].endswith(TAIL)
        assert tokens(asked.text) < WINDOW
        compactions += "replaced by facts" in last["content"]
        if asked.number == STEPS:
            return Say(calls=(("finish", {"text": "done"}),))
        return Say(calls=(("read_file", {"path": f"src/{asked.number}.py"}),))

    read = a_tool("read_file", lambda args: long_reading(args["path"]))
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    with Loopback(answers) as server:
        settings.AGENTSYS = replace(
            settings.AGENTSYS, model=server.model_name(), embedder="hashing"
        )
        report = run(tmp_path, a_brief(limits=narrow(context_tokens_max=WINDOW)), [read])
    assert (report.outcome, len(server.asked)) == (Outcome.DONE, STEPS), report.failure
    assert compactions >= 10
