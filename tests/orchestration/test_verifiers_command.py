"""`verifiers score|list|trust|demote`."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from agentsys.kernel.errors import BadInput
from verification import scoreboard
from verification.models import Panel, Scorecard

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    scoreboard.forget()
    yield
    scoreboard.forget()


def run(*words: Any) -> str:
    out = StringIO()
    call_command("verifiers", *map(str, words), stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """60 items, a good judge and a bad one, each asked in both orders."""
    dice = random.Random(3)
    path = tmp_path / "votes.jsonl"
    lines = []
    for item in range(60):
        gold = 1 + item % 2
        good, bad = (gold if dice.random() < p else 3 - gold for p in (0.9, 0.4))
        votes = {
            f"{judge}|plain|{order}": said
            for judge, said in (("good", good), ("bad", bad))
            for order in ("straight", "swapped")
        }
        lines.append(json.dumps({"item": item, "gold": gold, "votes": votes}))
    path.write_text("\n".join(lines))
    return path


def test_score_reports_each_judge_and_the_consensus(data: Path) -> None:
    told = json.loads(run("score", "--data", data, "--json", "--splits", 3))
    assert [j["judge"] for j in told["judges"]] == ["bad|plain", "good|plain"]
    (panel,) = told["panels"]
    assert panel["panel"] == "plain"
    assert panel["rules"]["consensus"]["precision"] > panel["rules"]["majority"]["precision"] - 0.1
    assert 1 <= panel["effective_votes"] <= 2
    assert "effective votes" in run("score", "--data", data, "--splits", 1)


def test_nothing_is_kept_unless_asked(data: Path) -> None:
    run("score", "--data", data, "--splits", 1)
    assert not Scorecard.objects.exists()
    told = json.loads(run("score", "--data", data, "--splits", 1, "--store", "--json"))
    assert told["demoted"] == ["bad|plain"]
    assert Scorecard.objects.count() == 2
    assert Panel.objects.get().weights["good|plain"] > 0
    assert "advisory" in run("list")


def test_a_floor_of_its_own(data: Path) -> None:
    told = json.loads(
        run("score", "--data", data, "--splits", 1, "--store", "--json", "--floor", 0.1)
    )
    assert told["demoted"] == []


def test_judges_can_be_chosen_and_left_out(data: Path) -> None:
    told = json.loads(run("score", "--data", data, "--json", "--without", "bad*"))
    assert [j["judge"] for j in told["judges"]] == ["good|plain"]
    with pytest.raises(BadInput, match=r"no judge is left; there are bad.plain, good.plain"):
        run("score", "--data", data, "--only", "nobody")


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        run("score", "--data", tmp_path / "none.jsonl")
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="cannot be read"):
        run("score", "--data", tmp_path / "latin")


def test_goals_without_a_person_s_word_have_nothing_to_score() -> None:
    assert json.loads(run("score", "--goals", "--json"))["items"] == 0
    assert run("score", "--goals") == ""


def test_trust_and_demote_take_a_reason_and_are_listed() -> None:
    run("demote", "semantic", "--reason", "it passes everything")
    listed = {p["verifier"]: p for p in json.loads(run("list", "--json"))}
    assert listed["semantic"]["state"] == "advisory"
    assert listed["schema"]["state"] == "trusted"
    run("trust", "semantic", "--reason", "a better model")
    assert scoreboard.advisory_names() == frozenset()
    with pytest.raises(BadInput, match="there is no verifier `semantik`"):
        run("demote", "semantik", "--reason", "x")
