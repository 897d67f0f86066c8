"""Statements that cannot both be true are found; those that can are left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memory import services as memory
from tests.verification.conftest import MakeCase
from verification.contracts import VerdictOutcome
from verification.domain.consistency import Statement, contradiction
from verification.verifiers.consistency import ConsistencyVerifier

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL


def between(a: str, b: str) -> str | None:
    found = contradiction(Statement.of(a), Statement.of(b))
    assert (found is None) == (contradiction(Statement.of(b), Statement.of(a)) is None)
    return found


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        (
            "The cache holds 500 entries per worker",
            "The cache holds 1,000 entries per worker",
            "500",
        ),
        ("Version 2.1 supports Python 3.9", "Version 2.1 supports Python 3.11", "3.9"),
        (
            "The service is enabled in production by default",
            "The service is disabled in production by default",
            "enabled",
        ),
        (
            "The migration changes the users table",
            "The migration never changes the users table",
            "denies",
        ),
        ("Latency of the search endpoint rose", "Latency of the search endpoint fell", "rose"),
    ],
)
def test_opposite_statements_contradict(a: str, b: str, why: str) -> None:
    found = between(a, b)
    assert found is not None
    assert why in found


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("The cache holds 500 entries", "The queue holds 1,000 messages for each consumer"),
        ("The cache holds 1,000 entries per worker", "The cache holds 1000 entries per worker"),
        ("The whale weighs 150 tonnes", "The whale weighs 150.0 tonnes"),
        ("It was released in 2021", "It was released in March 2021 after 3 betas"),
        ("Reads are not locked by writers", "Writers do not lock the reads"),
        ("It is never disabled in production mode", "It is enabled in production mode"),
        ("", ""),
        ("5", "6"),
    ],
)
def test_statements_that_may_both_be_true_do_not(a: str, b: str) -> None:
    assert between(a, b) is None


def claims(*texts: str) -> dict[str, Any]:
    return {"claims": [{"text": text, "quote": text, "source": "a.md"} for text in texts]}


CACHE = "The cache holds 500 entries per worker"
OTHER = "The cache holds 1,000 entries per worker"


def test_a_claim_against_an_accepted_one_fails_and_names_both(make_case: MakeCase) -> None:
    case = make_case(report=claims("The sky is blue today", CACHE))
    case = replace(case, accepted_claims=lambda: [{"task": "measure", "text": OTHER}])
    verdict = ConsistencyVerifier().judge(case)
    assert verdict.outcome is FAIL
    (reason,) = verdict.reasons
    assert "claim 2" in reason
    assert "task measure" in reason
    assert verdict.evidence["compared"] == 1


def test_claims_of_one_report_are_held_against_each_other(make_case: MakeCase) -> None:
    verdict = ConsistencyVerifier().judge(make_case(report=claims(CACHE, OTHER)))
    assert verdict.outcome is FAIL
    assert "claim 2" in verdict.reasons[0]
    assert "claim 1" in verdict.reasons[0]


def test_without_claims_there_is_nothing_to_say(make_case: MakeCase) -> None:
    assert ConsistencyVerifier().judge(make_case()).outcome is VerdictOutcome.ABSTAIN


@pytest.mark.django_db
@pytest.mark.parametrize(("trust", "outcome"), [("verified", FAIL), ("untrusted", PASS)])
def test_only_what_memory_holds_as_verified_binds(
    make_case: MakeCase, trust: str, outcome: VerdictOutcome
) -> None:
    memory.remember_many(
        [
            memory.MemoryDraft(
                namespace="project-9",
                layer="semantic",
                text=OTHER,
                kind="fact",
                actor="ada",
                trust=trust,
            )
        ]
    )
    case = replace(make_case(report=claims(CACHE)), namespace="project-9")
    verdict = ConsistencyVerifier().judge(case)
    assert verdict.outcome is outcome
    told = [*verdict.reasons, *verdict.evidence.get("notes", [])]
    assert any("memory-" in text for text in told)
