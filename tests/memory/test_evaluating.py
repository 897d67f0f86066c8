"""`memory eval` reads the public sets as they are, asks through the public service, and keeps nothing."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from agentsys.kernel.errors import BadInput
from memory import services as memory
from memory.evaluating import beam, locomo
from memory.evaluating.questions import Found, Question, by_category, figures
from memory.evaluating.truth import Truth
from memory.models import Memory

pytestmark = pytest.mark.django_db

TALK = [
    {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ann",
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ann", "dia_id": "D1:1", "text": "I moved the heron survey to Lisbon."},
                {
                    "speaker": "Bo",
                    "dia_id": "D1:2",
                    "text": "The bakery sells rye bread on Mondays.",
                },
            ],
            "session_2_date_time": "9:00 am on 3 Jun, 2023",
            "session_2": [
                {
                    "speaker": "Ann",
                    "dia_id": "D2:1",
                    "text": "Look at this.",
                    "blip_caption": "a photo of a violin",
                }
            ],
        },
        "qa": [
            {"question": "Where is the heron survey?", "category": 4, "evidence": ["D1:01"]},
            {"question": "When is rye bread sold?", "category": 2, "evidence": ["D:1:2; D9:9"]},
            {"question": "What instrument was shared?", "category": 5, "evidence": ["D2:1"]},
            {"question": "Who knows?", "category": 3, "evidence": ["D7:7"]},
        ],
    }
]
CHAT = [
    {
        "batch_number": 1,
        "turns": [
            [
                {
                    "role": "user",
                    "id": 0,
                    "time_anchor": "March-15-2024",
                    "content": "The kiln is set to 900 degrees. ->-> 1,1",
                },
                {"role": "assistant", "id": 1, "content": "Noted, the kiln stays there."},
                {"role": "user", "id": 2, "content": "Now the kiln is set to 1000 degrees."},
            ]
        ],
    }
]
PROBES = {
    "knowledge_update": [
        {
            "question": "How hot is the kiln?",
            "source_chat_ids": {"original_info": [0], "updated_info": "2"},
        }
    ],
    "abstention": [{"question": "What is the weather?", "source_chat_ids": None}],
}


@pytest.fixture(autouse=True)
def _settings(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing")


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "locomo10.json"
    path.write_text(json.dumps(TALK))
    return path


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    folder = tmp_path / "chats" / "7" / "probing_questions"
    folder.mkdir(parents=True)
    (folder / "probing_questions.json").write_text(json.dumps(PROBES))
    (folder.parent / "chat.json").write_text(json.dumps(CHAT))
    return tmp_path / "chats"


def test_locomo_is_read_with_its_captions_and_its_odd_evidence(talk: Path) -> None:
    (conversation,) = locomo.load(talk)
    assert [turn.id for turn in conversation.turns] == ["D1:1", "D1:2", "D2:1"]
    assert conversation.turns[2].text == "Look at this. [shared a photo of a violin]"
    assert conversation.turns[2].at.isoformat() == "2023-06-03T09:00:00+00:00"
    assert [q.evidence for q in conversation.questions] == [("D1:1",), ("D1:2",), ("D2:1",), ()]


def test_beam_is_read_with_versions_and_the_last_date_known(chats: Path) -> None:
    (conversation,) = beam.load(chats)
    assert conversation.turns[0].text == "The kiln is set to 900 degrees."
    assert {turn.at.date().isoformat() for turn in conversation.turns} == {"2024-03-15"}
    update, abstention = conversation.questions
    assert (update.old, update.new, update.evidence) == (("0",), ("2",), ("0", "2"))
    assert abstention.evidence == ()


@pytest.mark.parametrize("harness", ["locomo", "beam"])
def test_the_command_answers_with_figures_and_keeps_nothing(
    harness: str, talk: Path, chats: Path
) -> None:
    data = talk if harness == "locomo" else chats
    out = io.StringIO()
    call_command(
        "memory", "eval", "--harness", harness, "--data", data, "--json", stdout=out,
        stderr=io.StringIO(),
    )  # fmt: skip
    found = json.loads(out.getvalue())
    assert found["overall"]["R@10"] == 100.0
    assert found["memories"] == 3
    assert found["hits_marked_outdated"] == (33.3 if harness == "beam" else 0)
    assert not Memory.objects.exists()


@pytest.mark.parametrize("harness", ["locomo", "beam"])
def test_data_of_another_form_is_named(harness: str, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "chat.json").write_text("{}")
    (tmp_path / "x.json").write_text('{"no": 1}')
    data = tmp_path / "x.json" if harness == "locomo" else tmp_path
    with pytest.raises(BadInput, match=r"form|is not LoCoMo"):
        call_command("memory", "eval", "--harness", harness, "--data", data, stderr=io.StringIO())
    with pytest.raises(BadInput, match="there is nothing at"):
        call_command("memory", "eval", "--harness", harness, "--data", tmp_path / "none")


def test_figures_count_shares_ranks_and_categories() -> None:
    def found(ranking: list[str], *evidence: str, category: str = "a") -> Found:
        return Found(Question("?", category, evidence), tuple(ranking), 0.0)

    half = found(["x", "e1", *map(str, range(18)), "e2"], "e1", "e2")
    none = found(["x"], "e1", category="b")
    counted = figures([half, none])
    assert (counted["R@5"], counted["R@20"], counted["any@10"]) == (25.0, 25.0, 50.0)
    assert counted["MRR"] == 25.0
    assert by_category([half, none])["b"]["R@10"] == 0.0


def told(text: str, day: int) -> int:
    at = datetime(2026, 3, day, tzinfo=UTC)
    return memory.remember("eval", "episodic", text, actor="user", occurred_at=at)


def update_figures(ids: list[int], *, old: str, new: str) -> dict[str, Any]:
    """Of one question about an update, of which all texts were found."""
    turns = {row: str(n) for n, row in enumerate(ids)}
    question = Question(
        "What is the budget for the garden?", "knowledge_update", (), (old,), (new,)
    )
    truth = Truth()
    truth.look("eval", turns, [Found(question, tuple(turns.values()), 0.0)])
    figures: dict[str, Any] = truth.figures()["newest_marked_current"]
    return figures


def test_the_newest_version_counts_as_current_only_where_nothing_marks_it() -> None:
    texts = [f"The budget for the garden is ${sum_}." for sum_ in (400, 500, 600)]
    ids = [told(text, day) for day, text in enumerate(texts, start=1)]
    current = update_figures(ids[:2], old="0", new="1")
    assert (current["both_found"], current["newest_current"], current["older_marked"]) == (
        1,
        0,
        100,
    )
    current = update_figures(ids, old="1", new="2")
    assert (current["newest_current"], current["older_marked"]) == (100, 100)


def test_an_update_of_which_nothing_is_marked_counts_as_missed() -> None:
    ids = [told("I like the garden.", 1), told("The budget for the garden is $500.", 2)]
    figures = update_figures(ids, old="0", new="1")
    assert (figures["newest_current"], figures["older_marked"]) == (0, 0)
