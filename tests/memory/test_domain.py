"""Ranking, sameness and importance: pure rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.importance import importance_of
from memory.domain.ranking import Candidate, Corpus, bm25, fitting, rank, tokens_of, wilson
from memory.domain.sameness import gist, is_noise

words = st.dictionaries(st.sampled_from(["budget", "deploy", "cat"]), st.integers(1, 5))
cosines = st.none() | st.floats(-1, 1)
candidates = st.lists(
    st.builds(Candidate, st.integers(1, 999), words, st.integers(1, 50), cosines, st.booleans()),
    unique_by=lambda c: c.id,
    max_size=12,
)
CORPUS = Corpus(rows=100, with_word={"budget": 3, "deploy": 40, "cat": 1})


@given(candidates)
def test_signals_add_up_to_the_score_and_the_order_is_the_scores(found: list[Candidate]) -> None:
    ranked = rank(found, CORPUS)
    for row in ranked:
        assert sum(row.signals.values()) == pytest.approx(row.score)
    assert [r.score for r in ranked] == sorted((r.score for r in ranked), reverse=True)


@given(candidates)
def test_the_order_does_not_depend_on_the_order_of_the_candidates(found: list[Candidate]) -> None:
    assert [r.id for r in rank(found, CORPUS)] == [r.id for r in rank(found[::-1], CORPUS)]


def test_pinned_rows_are_never_left_out_and_chance_likeness_is() -> None:
    found = [Candidate(1, pinned=True), Candidate(2, cosine=0.02), Candidate(3, cosine=0.8)]
    assert {r.id for r in rank(found, CORPUS)} == {1, 3}


def test_a_missing_signal_gives_its_weight_to_the_other() -> None:
    ranked = rank([Candidate(1, cosine=0.9), Candidate(2, cosine=0.5)], CORPUS)
    assert ranked[0].signals == {"dense": pytest.approx(1.0)}


def test_rare_words_count_more_than_common_ones() -> None:
    scores = bm25([Candidate(1, {"deploy": 1}, 10), Candidate(2, {"cat": 1}, 10)], CORPUS)
    assert scores[2] > scores[1]


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
        ("api.py calls db.py", "db.py calls api.py"),
        ("coverage must be > 80", "coverage must be < 80"),
        ("The limit is 500 requests", "The limit is 5000 requests"),
        ("function foo in a.py is never used", "function bar in a.py is never used"),
        ("deploys are allowed on Friday", "deploys are not allowed on Friday"),
        ("the build is green", "is the build green?"),
        ("the offset is 5", "the offset is -5"),
        ("the service was down", "the service is down"),
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
