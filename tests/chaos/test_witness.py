"""The witness keeps what it was told, counts it, and refuses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.chaos import agents
from orchestration.chaos.crew import Witness
from orchestration.chaos.witness import records


@pytest.fixture
def witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    made = Witness(tmp_path)
    monkeypatch.setenv(agents.WITNESS, made.url)
    yield made
    made.end()


def tell(key: str) -> int:
    return agents.tell("effects", {"key": key, "task": 1, "attempt": 1, "fence": 1})


def test_what_comes_twice_is_written_twice(witness: Witness) -> None:
    assert [tell("a/1"), tell("a/1"), tell("a/2")] == [1, 2, 1]
    assert [r["key"] for r in records(witness.path)] == ["a/1", "a/1", "a/2"]


def test_the_probe_says_how_often_a_key_has_come(witness: Witness) -> None:
    tell("goal-1/task-1")
    assert (agents.heard("goal-1/task-1"), agents.heard("goal-1/task-2")) == (1, 0)


def test_it_remembers_after_it_was_killed(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell("a")
    witness.end()
    again = Witness(witness.path.parent)
    monkeypatch.setenv(agents.WITNESS, again.url)
    try:
        assert agents.heard("a") == 1
    finally:
        again.end()


def test_a_line_that_was_cut_off_is_not_a_record(tmp_path: Path) -> None:
    path = tmp_path / "witness.jsonl"
    path.write_text('{"kind":"effect","key":"a"}\n{"kind":"eff')
    assert [r["key"] for r in records(path)] == ["a"]
    assert list(records(tmp_path / "none")) == []


def test_a_witness_that_is_away_is_a_connection_error(witness: Witness) -> None:
    witness.end()
    with pytest.raises(ConnectionError, match="the witness does not answer"):
        tell("a")
