"""The grounding verifier: quotes stand where they are said to, claims add and deny nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.verification.conftest import MakeCase
from verification.contracts import VerdictOutcome
from verification.domain.grounding import claim_fault, text_fault
from verification.verifiers.grounding import GroundingVerifier, hallucination_rate

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
TEXT = "Ä short text. The pump lasted 1,500 hours. It did not fail under load."
SOURCE = (("notes.md", "data", TEXT),)
DATA = Path(__file__).parent.parent / "data"
judge = GroundingVerifier().judge


def claim(quote: str, text: str = "", **changes: Any) -> dict[str, Any]:
    start = TEXT.find(quote)
    return {
        "text": text or quote,
        "source": "notes.md",
        "quote": quote,
        "start": start,
        "end": start + len(quote),
        **changes,
    }


GOOD = claim("The pump lasted 1,500 hours.", "The pump ran for 1500 hours.")


def test_claims_that_stand_on_their_quotes_pass_with_full_score(make_case: MakeCase) -> None:
    case = make_case(claims=(GOOD, claim("It did not fail under load.")), artifacts=SOURCE)
    verdict = judge(case)
    assert (verdict.outcome, verdict.score) == (PASS, 1.0)
    assert verdict.evidence["hallucination_rate"] == 0.0
    assert hallucination_rate(case) == 0.0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (claim("It failed."), "nowhere in `notes.md`: “It failed.”"),
        ({**GOOD, "start": 3, "end": 3 + len(GOOD["quote"])}, "those words stand at 14"),
        ({**GOOD, "end": 10**9}, "those words stand at"),
        ({**GOOD, "start": None}, "gives no position"),
        ({**GOOD, "start": -5}, "gives no position"),
        ({**GOOD, "quote": " ", "start": 1, "end": 2}, "gives no quote"),
        ({**GOOD, "source": "other.md"}, "`other.md`, which is not there"),
        ({**GOOD, "text": "The pump lasted 2,500 hours."}, "has the number 2500"),
        ({**GOOD, "text": "The pump did not last 1,500 hours."}, "denies something"),
        (claim("It did not fail under load.", "It did fail under load."), "leaves out"),
        ({**GOOD, "text": ""}, "says nothing"),
    ],
)
def test_an_ungrounded_claim_fails_the_report_and_is_named(
    make_case: MakeCase, bad: dict[str, Any], reason: str
) -> None:
    verdict = judge(make_case(claims=(GOOD, bad), artifacts=SOURCE))
    assert (verdict.outcome, verdict.score) == (FAIL, 0.5)
    assert verdict.evidence["ungrounded"] == 1
    assert verdict.reasons[0].startswith("claim 2")
    assert reason in verdict.reasons[0]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Cost: 1.50 per unit", "it costs 1.5 per unit"),
        ("It has 3 parts and 007 agents", "3 parts, 7 agents"),
        ("It doesn\u2019t work", "it does not work"),
        ("work without pause", "they work without any pause"),
        ("the load", "It did not fail under the load"),
        ("A summary in other words", "it is not quite this"),
    ],
)
def test_other_spelling_is_no_other_number_or_denial(text: str, quote: str) -> None:
    assert text_fault(text, quote) is None


LOADED = "When the load is above 40 kW, Anna Berg stops the pump before Carl Dahl opens a valve."


@pytest.mark.parametrize(
    ("text", "quote", "fault"),
    [
        ("Carl Dahl stops the pump before Anna Berg opens a valve.", LOADED, "where its quote"),
        ("Eva Berg stops the pump.", LOADED, "“Eva” where"),
        ("Anna Berg stops the pump after Carl Dahl opens a valve.", LOADED, "“after” where"),
        ("The load is below 40 kW.", LOADED, "“below” where"),
        ("The load is above 40 MW.", LOADED, "says 40 MW"),
        ("According to Holm, the load is above 40 kW.", LOADED, "has it from Holm"),
        ("Sheep are kept for their wool on three islands.", LOADED, "number 3"),
        ("The sheep of the islands are kept for wool.", LOADED, "something else"),
        ("It ran from 20 to 5 hours.", "It ran from 5 to 20 hours.", "“20” where"),
        ("It takes four hours.", "It takes three hours.", "number 4"),
        ("It needs Python 3.1.", "It needs Python 3.10.", "number 3.1"),
        ("All users must agree.", "Some users must agree.", "“all” where"),
        ("You must leave.", "You may leave.", "“must” where"),
        ("It was the third attempt.", "It was the second attempt.", "“third”"),
        ("It works with a key.", "It works without a key.", "leaves out"),
        ("Cats sleep. Dogs sleep.", "Cats sleep. Dogs do not sleep.", "leaves out"),
    ],
)
def test_what_a_claim_turns_round_in_its_quote_is_said(text: str, quote: str, fault: str) -> None:
    assert fault in str(text_fault(text, quote, f"notes {quote}"))


@pytest.mark.parametrize(
    "text",
    [
        "According to the notes, Anna Berg stops the pump before Carl Dahl opens a valve.",
        "Anna Berg stops the pump when the load is above 40 kW.",
        "Carl Dahl opens a valve.",
        "Before Carl Dahl opens a valve, Anna Berg stops the pump.",
    ],
)
def test_a_claim_may_be_shorter_reordered_or_attributed(text: str) -> None:
    assert text_fault(text, LOADED, f"notes {LOADED}") is None


def test_a_name_for_which_the_quote_says_it_must_stand_in_the_source() -> None:
    quote, source = "It lasted 40 hours.", "The Merrow pump is new. It lasted 40 hours."
    assert text_fault("Merrow lasted 40 hours.", quote, source) is None
    assert text_fault("Hallam lasted 40 hours.", quote, source)


def test_a_quote_may_differ_from_its_source_in_line_breaks_and_quotation_marks() -> None:
    text = "He said “it is\n    old” and left."
    made = {"text": "It is old.", "source": "s", "quote": '"it is old"', "start": 8, "end": 24}
    assert claim_fault(made, text) is None
    assert claim_fault({**made, "start": 0, "end": 16}, text)
    assert claim_fault({**made, "quote": '"it was old"'}, text)


def test_free_paraphrases_are_seldom_refused() -> None:
    """Written by hand before the rules were measured on them; two are refused, as the docs say."""
    lines = (DATA / "paraphrases.tsv").read_text().splitlines()
    pairs = [line.split("\t") for line in lines]
    assert sum(text_fault(claimed, quote, quote) is not None for claimed, quote in pairs) <= 2


def test_a_report_without_claims_is_not_judged(make_case: MakeCase) -> None:
    case = make_case()
    assert judge(case).outcome is VerdictOutcome.ABSTAIN
    assert hallucination_rate(case) is None


def test_sources_may_be_files_of_the_corpus_and_never_files_outside(
    make_case: MakeCase, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "notes.md").write_text(TEXT)
    (corpus / "link.md").symlink_to(tmp_path / "outside.md")
    (corpus / "binary.md").write_bytes(b"\xff\xfe")
    (tmp_path / "outside.md").write_text(TEXT)
    inputs = {"corpus": str(corpus)}
    assert judge(make_case(claims=(GOOD,), inputs=inputs)).outcome is PASS
    for source in ("../outside.md", "link.md", str(tmp_path / "outside.md"), "binary.md", "."):
        verdict = judge(make_case(claims=({**GOOD, "source": source},), inputs=inputs))
        assert verdict.outcome is FAIL, source


def test_only_data_artifacts_are_sources(make_case: MakeCase) -> None:
    report = (("notes.md", "report", TEXT),)
    assert judge(make_case(claims=(GOOD,), artifacts=report)).outcome is FAIL
