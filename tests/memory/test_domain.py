"""Ranking, sameness and importance: pure rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsys.gateway.embedding import Query
from memory.domain import ranking
from memory.domain.importance import importance_of
from memory.domain.late import late_interaction
from memory.domain.pieces import pieces
from memory.domain.ranking import (
    ASSISTANT,
    DIALOGUE,
    NEUTRAL,
    Usual,
    fitting,
    profile_of,
    tokens_of,
    wilson,
)
from memory.domain.sameness import gist, is_noise
from memory.domain.standing import held, kind_of
from tests.memory.candidates import Candidate, together

candidates = st.lists(
    st.builds(
        Candidate,
        id=st.integers(1, 999),
        bm25=st.none() | st.floats(0.1, 30),
        cosine=st.none() | st.floats(-1, 1),
        pinned=st.booleans(),
        importance=st.floats(-2, 4),
        actor=st.sampled_from(["user", "assistant", "Ana"]),
        session=st.sampled_from(["a", "b"]),
        seq=st.integers(0, 6),
        words=st.integers(0, 900),
        found=st.booleans(),
    ),
    unique_by=lambda c: c.id,
    max_size=12,
)


def rank(rows: list[Candidate], query: str, usual: Sequence[Usual] = ()) -> list[ranking.Ranked]:
    return ranking.rank(together(rows), query, usual)


ASKED = "What did Ana tell me?"
USUAL = [Usual("user", 60, 12.0), Usual("assistant", 60, 20.0)]


@given(candidates)
def test_signals_add_up_to_the_score_and_the_order_is_the_scores(found: list[Candidate]) -> None:
    ranked = rank(found, ASKED, USUAL)
    for row in ranked:
        assert sum(row.signals.values()) == pytest.approx(row.score)
    assert [r.score for r in ranked] == sorted((r.score for r in ranked), reverse=True)


def test_pinned_rows_are_never_left_out_and_chance_likeness_is() -> None:
    found = [Candidate(1, pinned=True), Candidate(2, cosine=0.02), Candidate(3, cosine=0.8)]
    assert {r.id for r in rank(found, ASKED, USUAL)} == {1, 3}


def test_a_missing_signal_gives_its_weight_to_the_other() -> None:
    ranked = rank([Candidate(1, cosine=0.9), Candidate(2, cosine=0.5)], "deploy")
    assert ranked[0].signals == {"dense": pytest.approx(1.0)}


def test_what_was_said_beside_a_hit_and_in_its_session_counts_for_more() -> None:
    hit = Candidate(1, bm25=9.0, session="a", seq=4)
    beside, apart = (Candidate(2, bm25=1.0, session="a", seq=5), Candidate(3, bm25=1.0))
    far = Candidate(4, bm25=1.0, session="a", seq=9)
    assert [r.id for r in rank([hit, beside, apart, far], "deploy")] == [1, 2, 4, 3]


def test_a_question_in_the_first_person_asks_for_what_its_asker_said() -> None:
    said, heard = Candidate(2, bm25=2.0, actor="user"), Candidate(1, bm25=2.0, actor="assistant")
    assert [r.id for r in rank([said, heard], "Which port did I choose?")] == [2, 1]
    assert [r.id for r in rank([said, heard], "Which port was chosen?")] == [1, 2]


def test_a_question_about_what_you_said_asks_for_what_the_one_who_is_asked_said() -> None:
    said, heard = Candidate(1, bm25=2.0, actor="user"), Candidate(2, bm25=2.0, actor="assistant")
    assert [r.id for r in rank([said, heard], "Which port did you recommend for my app?")] == [2, 1]


def test_standing_instructions_count_for_more_and_only_those_of_people() -> None:
    rule = Candidate(3, cosine=0.5, kind="instruction", actor="ana")
    copied = Candidate(2, cosine=0.5, kind="instruction", actor="agent:coder")
    plain = Candidate(1, cosine=0.5, kind="note", actor="ana")
    assert [r.id for r in rank([rule, copied, plain], "Which libraries?")] == [3, 1, 2]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Always give version numbers with libraries.", "instruction"),
        ("From now on answer in French", "instruction"),
        ("I'd prefer tabs over spaces here", "preference"),
        ("The build always fails on Mondays", "note"),
    ],
)
def test_what_is_said_for_later_is_known_by_its_form(text: str, kind: str) -> None:
    assert kind_of(text) == kind


def test_a_stranger_instructs_nobody() -> None:
    assert held("instruction", "untrusted") == "note"
    assert held("instruction", "unverified") == "instruction"
    assert held("error", "untrusted") == "error"


def test_late_interaction_finds_the_text_with_the_words_of_the_question() -> None:
    query = Query(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.ones(2, np.float32))
    pack = lambda *rows: np.array(rows, np.int8).tobytes()  # noqa: E731
    texts = {1: pack([127, 0], [0, 127]), 2: pack([127, 0]), 3: pack([127, 0], [90, -90])}
    found = late_interaction(query, texts)
    assert found[1] == pytest.approx(1.0) and max(found, key=lambda key: found[key]) == 1
    # All have the first token: it tells them not apart, so the second weighs more.
    assert found[2] < 0.5
    assert late_interaction(Query(query.vector), texts) == {}


def test_pieces_are_of_like_length_and_lose_no_word() -> None:
    text = " ".join(map(str, range(130)))
    found = pieces(text)
    assert (" ".join(found), [len(p.split()) for p in found]) == (text, [44, 44, 42])
    assert pieces("") == [""]


def test_a_question_that_names_an_actor_asks_for_what_that_one_said() -> None:
    ana, bo = Candidate(2, bm25=2.0, actor="Ana"), Candidate(1, bm25=2.0, actor="Bo")
    assert [r.id for r in rank([ana, bo], "What did Ana say to me?")] == [2, 1]


def test_how_people_write_decides_what_surroundings_count_for() -> None:
    short, long = Usual("Ana", 60, 20.0), Usual("assistant", 60, 400.0)
    assert profile_of([short, Usual("Bo", 50, 30.0)]) is DIALOGUE
    assert profile_of([short, long]) is ASSISTANT
    assert profile_of([Usual("Ana", 10, 20.0)]) is NEUTRAL
    assert profile_of([short, Usual("rare", 2, 900.0)]) is DIALOGUE


@given(st.lists(st.text(max_size=200), max_size=8), st.integers(20, 200))
def test_what_is_shown_fits_the_budget(texts: list[str], budget: int) -> None:
    shown = fitting(texts, budget)
    assert sum(tokens_of(text) for _, text in shown) <= budget
    assert bool(shown) == bool(texts)


def test_a_long_text_does_not_keep_shorter_ones_out() -> None:
    assert fitting(["x" * 9000, "short", "also short"], 60) == [(1, "short"), (2, "also short")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The deploy needs two approvals.", "Deploy needs two approvals!"),
        ("  the\nbuild is green ", "Build green"),
    ],
)
def test_articles_case_and_punctuation_do_not_make_a_difference(one: str, other: str) -> None:
    assert gist(one) == gist(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Please note that the quota is 1,000 calls", "The quota is 1000 calls."),
        ("The job doesn't retry", "the job does not retry"),
        ("FYI: uploads of up to 20MB pass", "Uploads of up to 20 MB pass"),
        ("I've seen it in 5% of the runs", "I have seen it in 5 percent of the runs"),
        ("They can't log in", "They cannot log in"),
    ],
)
def test_two_spellings_say_the_same(one: str, other: str) -> None:
    assert gist(one) == gist(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("api.py calls db.py", "db.py calls api.py"),
        ("coverage must be > 80", "coverage must be < 80"),
        ("The limit is 500 requests", "The limit is 5000 requests"),
        ("function foo in a.py is never used", "function bar in a.py is never used"),
        ("deploys are allowed on Friday", "deploys are not allowed on Friday"),
        ("the build is green", "is the build green?"),
        ("the offset is 5", "the offset is -5"),
        ("the service was down", "the service is down"),
        ("Ana's gone", "Ana is gone"),
        ("version 1.000 is out", "version 1000 is out"),
        ("the quota is 1,00 euro", "the quota is 100 euro"),
        ("the job does retry", "the job doesn't retry"),
        ("the job can retry", "the job cannot retry"),
        ("the limit is 20 MB", "the limit is 20 GB"),
        ("remember Ana", "Ana"),
    ],
)
def test_order_numbers_names_denials_and_questions_do(one: str, other: str) -> None:
    assert gist(one) != gist(other)


@pytest.mark.parametrize("text", ["", "  ", "ok", "OK.", "Done!", "…", "got it", "heartbeat"])
def test_acknowledgements_are_noise(text: str) -> None:
    assert is_noise(text)


def test_instructions_matter_more_than_chatter() -> None:
    text = "Deploy to Frankfurt before 2026-12-01"
    assert (
        importance_of("directive", text) > importance_of("fact", text) > importance_of("tool", text)
    )
    assert importance_of("fact", text) > importance_of("fact", "deploy somewhere sometime")


def test_wilson_ranks_a_proven_record_above_a_lucky_one() -> None:
    assert wilson(0, 0) == 0
    assert wilson(1, 0) < wilson(20, 1) < 1
    assert wilson(0, 3) == pytest.approx(0, abs=1e-9)
