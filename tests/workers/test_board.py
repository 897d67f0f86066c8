"""The blackboard: agents of one goal leave notes for one another, bounded, with origin and trust."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from agentsys.gateway.scripted import Say, scripted
from agentsys.kernel.errors import BadInput
from memory import blackboard
from memory import services as memory
from orchestration.models import Goal
from orchestration.services.sessions import session_close
from orchestration.services.wrapup import wrap_up
from tests.orchestration.pump import node, pump, submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _settings(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing", backoff_seconds=0.001)
    yield
    session_close()


def calls(name: str, **args: Any) -> Say:
    return Say(calls=((name, args),))


def put(goal: Goal, key: str, text: str, trust: str = "unverified") -> int:
    return memory.blackboard_put(goal.pk, key, text, actor="somebody", trust=trust)


def test_what_one_agent_writes_another_reads_as_data_of_its_writer(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:board")
    lines = scripted(
        "board",
        [
            calls("write_board", key="server", text="The staging server is called tulip."),
            calls("finish", text="noted"),
            calls("read_board"),
            calls("write_board", key="mine", text="I have read that."),
            calls("finish", text="read"),
            calls("ask_person", question="May the goal end?"),
        ],
    )
    first = node("first", agent="model", objective="Leave a note")
    second = node("second", "first", agent="model", objective="Read it")
    goal = submit(first, second, node("third", "second", agent="model", objective="Ask"))
    pump(goal)
    answer = str(lines.asked[3][-1].content)
    assert "tulip" in answer
    assert "model at first" in answer
    assert "the blackboard" in answer  # where it came from: it is no order
    notes = {note["key"]: note for note in memory.blackboard_get(goal.pk)}
    assert notes["server"]["trust"] == "unverified"
    assert notes["mine"]["trust"] == "untrusted"  # its writer had read what no person wrote


def test_goals_do_not_see_each_others_boards_and_a_goal_that_is_over_has_none() -> None:
    one, other = submit(node("a")), submit(node("a"))
    put(one, "k", "of one")
    assert memory.blackboard_get(other.pk) == []
    pump(one)
    wrap_up(one.pk)
    assert memory.blackboard_get(one.pk) == []


def test_a_newer_note_replaces_an_older_one_but_no_more_trusted_one() -> None:
    goal = submit(node("a"))
    put(goal, "k", "old")
    put(goal, "k", "new")
    assert [note["text"] for note in memory.blackboard_get(goal.pk)] == ["new"]
    with pytest.raises(memory.TooLittleTrust):
        put(goal, "k", "worse", trust="untrusted")


def test_a_board_holds_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blackboard, "BOARD_NOTES_MAX", 2)
    monkeypatch.setattr(blackboard, "BOARD_WRITES_MAX", 4)
    goal = submit(node("a"))
    put(goal, "a", "1")
    put(goal, "b", "1")
    with pytest.raises(BadInput, match="has 2 notes"):
        put(goal, "c", "1")
    put(goal, "a", "2")
    put(goal, "a", "3")
    with pytest.raises(BadInput, match="written to 4 times"):
        put(goal, "a", "4")
    with pytest.raises(BadInput, match="1 to 2000 characters"):
        put(goal, "a", "x" * 2001)


@pytest.mark.parametrize(("key", "stands"), [("a\x00b", "ab"), ("\ud800", "?"), (" k ", "k")])
def test_a_key_that_cannot_be_stored_stands_as_what_can(key: str, stands: str) -> None:
    goal = submit(node("a"))
    put(goal, key, "text")
    put(goal, key, "newer")
    assert [(n["key"], n["text"]) for n in memory.blackboard_get(goal.pk)] == [(stands, "newer")]


def test_writers_at_once_cannot_overfill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blackboard, "BOARD_NOTES_MAX", 3)
    goal = submit(node("a"))
    refused: list[str] = []

    def write(number: int) -> None:
        try:
            put(goal, f"k{number}", "text")
        except BadInput:
            refused.append(f"k{number}")
        finally:
            connection.close()

    writers = [Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(memory.blackboard_get(goal.pk)) == 3
    assert len(refused) == 5


def test_whoever_works_with_notes_of_others_in_view_writes_untrusted_ones(settings: Any) -> None:
    """The board is in the brief: it was read without any call."""
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:board")
    scripted(
        "board",
        [
            calls("write_board", key="mine", text="I have seen the other one."),
            calls("finish", text="noted"),
            calls("ask_person", question="May the goal end?"),
        ],
    )
    first = node("first", agent="model", objective="Leave a note")
    goal = submit(first, node("second", "first", agent="model", objective="Ask"))
    put(goal, "server", "The staging server is called tulip.")
    pump(goal)
    notes = {note["key"]: note for note in memory.blackboard_get(goal.pk)}
    assert notes["mine"]["trust"] == "untrusted"
