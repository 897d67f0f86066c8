"""A call keeps to what its caller has left: a shorter answer, or no call at all."""

from __future__ import annotations

from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway.loopback import Loopback, Say
from agentsys.gateway.metering import tokens_of
from agentsys.gateway.room import ANSWER_TOKENS_MIN
from tests.gateway.test_gateway import ASK, Purse

pytest.importorskip("langchain_openai")
DOLLARS = 1_000_000.0  # no matter
PROMPT = tokens_of(ASK, ())


@pytest.fixture
def server(use: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    with Loopback(lambda _: Say("hello")) as loopback:
        use(loopback.model_name("max_tokens=1000&input_price=1&output_price=10"))
        yield loopback


def longest(server: Any) -> int:
    """Of the answer that the last request asked for."""
    body = server.asked[-1].body
    return int(body.get("max_completion_tokens") or body["max_tokens"])


def test_where_there_is_room_the_answer_is_as_long_as_the_profile_says(server: Any) -> None:
    gateway.chat(ASK, role="model", room=gateway.Room(PROMPT + 1000, DOLLARS))
    assert longest(server) == 1000


@pytest.mark.parametrize("left", [999, 700, ANSWER_TOKENS_MIN])
def test_an_answer_is_asked_to_be_as_short_as_what_is_left(server: Any, left: int) -> None:
    purse = Purse()
    gateway.chat(ASK, role="model", meter=purse, room=gateway.Room(PROMPT + left, DOLLARS))
    assert ANSWER_TOKENS_MIN <= longest(server) <= left
    assert purse.estimates[0].tokens <= PROMPT + left


def test_dollars_make_it_shorter_too(server: Any) -> None:
    room = gateway.Room(1_000_000, (PROMPT * 1.0 + 600 * 10.0) / 1_000_000)
    purse = Purse()
    gateway.chat(ASK, role="model", meter=purse, room=room)
    assert longest(server) == 512
    assert purse.estimates[0].cost_usd <= room.cost_usd


@pytest.mark.parametrize(
    ("room", "says"),
    [
        (gateway.Room(PROMPT + ANSWER_TOKENS_MIN - 1, DOLLARS), "tokens, of which"),
        (gateway.Room(0, DOLLARS), "of which 0 are left"),
        (gateway.Room(-5, DOLLARS), "of which 0 are left"),
        (gateway.Room(1_000_000, 0.000_000_1), r"of which \$0.00000010 is left"),
    ],
)
def test_where_no_answer_fits_nobody_is_asked_and_nothing_is_reserved(
    server: Any, room: gateway.Room, says: str
) -> None:
    purse = Purse()
    with pytest.raises(gateway.NoRoom, match=says) as caught:
        gateway.chat(ASK, role="model", meter=purse, room=room)
    assert caught.value.failure_kind == "budget"
    assert (server.asked, purse.estimates) == ([], [])


def test_a_profile_with_short_answers_needs_no_room_for_longer_ones(server: Any, use: Any) -> None:
    use(server.model_name("max_tokens=20"))
    gateway.chat(ASK, role="model", room=gateway.Room(PROMPT + 20, DOLLARS))
    assert longest(server) == 20
