"""The loopback server: it says over real HTTP what it is told to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from agentsys.gateway.loopback import Cut, Loopback, Raw, Say, limited, outage, silent

ASK = {"model": "m", "messages": [{"role": "user", "content": "how many?"}]}


def ask(server: Loopback, body: dict[str, Any] = ASK, timeout: float = 5.0) -> httpx.Response:
    return httpx.post(f"{server.base_url}/chat/completions", json=body, timeout=timeout)


def test_turns_are_taken_in_order_and_kept() -> None:
    with Loopback(["one", {"n": 2}]) as server:
        said = [ask(server).json()["choices"][0]["message"]["content"] for _ in range(2)]
    assert said == ["one", '{"n": 2}']
    assert [asked.text for asked in server.asked] == ["how many?"] * 2
    assert server.asked[0].at < server.asked[1].at


def test_a_function_of_the_request_answers() -> None:
    with Loopback(lambda asked: f"{asked.number}: {asked.text}") as server:
        assert ask(server).json()["choices"][0]["message"]["content"] == "1: how many?"


def test_a_streamed_answer_comes_in_chunks_with_calls_and_usage() -> None:
    turn = Say("a text that is longer than one chunk", calls=(("look", {"at": 1}),), cached=3)
    body = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    with Loopback([turn]) as server:
        lines = [line for line in ask(server, body).text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == turn.text
    assert deltas[-2]["tool_calls"][0]["function"]["name"] == "look"
    assert events[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}


def test_a_stream_reaches_a_langchain_model_as_it_is_made() -> None:
    openai = pytest.importorskip("langchain_openai")
    with Loopback([Say("a text that is longer than one chunk", tokens=(7, 9))]) as server:
        model = openai.ChatOpenAI(
            model="m", base_url=server.base_url, api_key="x", stream_usage=True
        )
        chunks = list(model.stream("hello"))
    assert len([chunk for chunk in chunks if chunk.content]) > 1
    assert sum((c.usage_metadata or {}).get("output_tokens", 0) for c in chunks) == 9


@pytest.mark.parametrize(
    ("turn", "status", "header"),
    [(limited(), 429, None), (limited(7), 429, "7"), (outage(502), 502, None)],
)
def test_faults_have_their_status(turn: Raw, status: int, header: str | None) -> None:
    with Loopback([turn]) as server:
        answer = ask(server)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, header)


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_can_break_off(reset: bool, stream: bool) -> None:
    with Loopback([Cut("a text of some length", after=60, reset=reset)]) as server:
        with pytest.raises(httpx.TransportError):
            ask(server, {**ASK, "stream": stream})
        assert server.remaining == 0


def test_a_silent_server_is_a_time_out_and_does_not_hold_up_the_end() -> None:
    with Loopback([silent()]) as server, pytest.raises(httpx.TimeoutException):
        ask(server, timeout=0.05)


def test_many_are_answered_at_once() -> None:
    everybody = threading.Barrier(20)

    def turn(asked: Any) -> str:
        everybody.wait(timeout=10)
        return "done"

    with Loopback(turn) as server:
        threads = [threading.Thread(target=ask, args=(server,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.open_max == 20


def test_a_script_asserts_that_it_fits() -> None:
    statuses: list[int] = []
    with pytest.raises(AssertionError, match="1 of 2 turns"), Loopback(["a", "b"]) as server:
        ask(server)
    with pytest.raises(AssertionError, match="asked 2 times for 1"), Loopback(["a"]) as server:
        statuses.extend(ask(server).status_code for _ in range(2))
    assert statuses == [200, 400]


def test_what_a_function_asserts_about_a_prompt_reaches_the_test() -> None:
    def turn(asked: Any) -> str:
        assert "the contract" in asked.text
        return "never"

    with pytest.raises(AssertionError, match="the contract"), Loopback(turn) as server:
        ask(server)
