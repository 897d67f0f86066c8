"""Verdict rows on a real PostgreSQL: set-based inserts, guards, the outbox, what the database
refuses."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from agentsys.kernel.errors import BadInput, NotFound
from verification import services
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from verification.models import Verdict

pytestmark = pytest.mark.django_db
PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
DRAFT = VerdictDraft(verifier="safety", kind=Kind.SAFETY, outcome=PASS)
VETO = replace(DRAFT, outcome=FAIL, veto=True, reasons=("a key in src/a.py:3",))


def row(attempt_id: int, draft: VerdictDraft | None = DRAFT, **fields: Any) -> services.VerdictRow:
    given: dict[str, Any] = {
        "attempt_id": attempt_id,
        "goal_id": 1,
        "draft": draft,
        "verifier": draft.verifier if draft else "execution",
        "voter": draft.voter if draft else "",
        "kind": draft.kind if draft else Kind.EXECUTION,
        "spec_hash": "s" * 64,
        "artifact_hash": "a" * 64,
    }
    return services.VerdictRow(**{**given, **fields})


def test_many_attempts_are_inserted_at_once() -> None:
    rows = [r for n in range(500) for r in (row(n), row(n, None, publish_due_seconds=5))]
    assert services.verdicts_insert(rows) == 1000
    assert Verdict.objects.filter(state="done", publish_due_at=None).count() == 500
    assert Verdict.objects.filter(state="queued", outcome=None, finished_at=None).count() == 500


def test_inserting_nothing_asks_the_database_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert services.verdicts_insert([]) == 0


def test_a_second_insert_of_the_same_voter_changes_nothing() -> None:
    services.verdicts_insert([row(1, VETO)])
    assert services.verdicts_insert([row(1, DRAFT)]) == 0
    (view,) = services.verdicts_of([1])[1]
    assert view.outcome is FAIL
    assert view.veto


def test_a_verdict_comes_back_as_it_was_said() -> None:
    draft = replace(
        VETO,
        voter="v2",
        score=0.25,
        reasons=("päth\x00 \ud800 'x' % {}", "b"),
        evidence={"n": 1, "deep": {"a": [1.5]}},
    )
    services.verdicts_insert([row(1, draft)])
    (view,) = services.verdicts_of([1])[1]
    assert (view.verifier, view.voter, view.kind) == ("safety", "v2", Kind.SAFETY)
    assert (view.outcome, view.veto, view.score) == (FAIL, True, 0.25)
    assert view.reasons == ("päth ? 'x' % {}", "b")
    assert view.evidence == {"n": 1, "deep": {"a": [1.5]}}
    assert (view.spec_hash, view.artifact_hash) == ("s" * 64, "a" * 64)


def test_evidence_without_bound_is_not_kept() -> None:
    services.verdicts_insert(
        [row(1, replace(DRAFT, evidence={"tail": "x" * 100_000, "passed": 3}))]
    )
    (view,) = services.verdicts_of([1])[1]
    assert view.evidence["passed"] == 3
    assert "too long" in view.evidence["note"]


def test_an_attempt_without_verdicts_has_an_empty_list() -> None:
    assert services.verdicts_of([7]) == {7: []}
    assert services.verdicts_of([]) == {}


def test_only_one_worker_claims_a_queued_verdict() -> None:
    services.verdicts_insert([row(1, None)])
    assert services.verdict_claim(1, "execution", "", 60)
    assert not services.verdict_claim(1, "execution", "", 60)
    assert services.verdicts_due(10) == []


def test_a_claim_that_ran_out_is_due_and_claimable_again() -> None:
    services.verdicts_insert([row(1, None)])
    assert services.verdict_claim(1, "execution", "", 0)
    assert [due[1:] for due in services.verdicts_due(10)] == [(1, "execution", "")]
    assert services.verdict_claim(1, "execution", "", 60)


def test_a_recorded_verdict_stands() -> None:
    services.verdicts_insert([row(1, None)])
    said = VerdictDraft(verifier="execution", kind=Kind.EXECUTION, outcome=PASS, score=1.0)
    assert services.verdict_record(1, said)
    assert not services.verdict_record(1, replace(said, outcome=FAIL))
    assert not services.verdict_claim(1, "execution", "", 60)
    assert services.verdicts_due(10) == []
    (view,) = services.verdicts_of([1])[1]
    assert view.outcome is PASS


def test_published_rows_are_due_again_later_each_time() -> None:
    services.verdicts_insert([row(n, None) for n in range(3)])
    due = services.verdicts_due(2)
    assert len(due) == 2
    for publishes, seconds in ((1, 10), (2, 20), (3, 40), (4, 60), (5, 60)):
        services.verdicts_published([due[0][0]], first_seconds=10, most_seconds=60)
        verdict = Verdict.objects.get(pk=due[0][0])
        assert verdict.publishes == publishes
        assert verdict.publish_due_at is not None
        assert verdict.publish_due_at.timestamp() - time.time() == pytest.approx(seconds, abs=5)
    assert len(services.verdicts_due(10)) == 2


def test_verdicts_of_an_attempt_that_is_over_are_no_longer_published() -> None:
    services.verdicts_insert([row(1, None), row(2, None)])
    assert services.verdicts_withdraw([1]) == 1
    assert [due[1] for due in services.verdicts_due(10)] == [2]


def test_a_person_lifts_a_veto_and_the_verifier_is_still_quoted() -> None:
    services.verdicts_insert([row(1, VETO)])
    view = services.verdict_override(
        1, "safety", "", outcome="pass", by="ada", reason="a key of the test server"
    )
    assert view.counts_as is PASS
    assert not view.vetoes
    assert (view.outcome, view.veto, view.reasons) == (FAIL, True, VETO.reasons)


def test_a_person_need_not_wait_for_a_verifier() -> None:
    services.verdicts_insert([row(1, None)])
    view = services.verdict_override(
        1, "execution", outcome="pass", by="ada", reason="I ran the tests myself"
    )
    assert (view.outcome, view.counts_as) == (VerdictOutcome.ABSTAIN, PASS)
    assert services.verdicts_due(10) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"reason": "  "}, "no reason"),
        ({"by": ""}, "nobody is named"),
        ({"outcome": "abstain"}, "`pass` or `fail`"),
    ],
)
def test_an_override_without_its_parts_is_refused(fields: dict[str, str], problem: str) -> None:
    services.verdicts_insert([row(1, VETO)])
    given = {"outcome": "pass", "by": "ada", "reason": "because", **fields}
    with pytest.raises(BadInput, match=problem):
        services.verdict_override(1, "safety", "", **given)
    assert not Verdict.objects.exclude(overridden_by=None).exists()


def test_an_override_of_what_is_not_there_says_so() -> None:
    with pytest.raises(NotFound, match="attempt-1/consensus/v2"):
        services.verdict_override(1, "consensus", "v2", outcome="pass", by="ada", reason="x")


@pytest.mark.parametrize(
    "change",
    [
        {"state": "done", "outcome": None},
        {"outcome": "pass"},
        {"state": "done", "outcome": "bogus"},
        {"veto": True},
        {"state": "done", "outcome": "pass", "veto": True},
        {"score": 1.5},
        {"kind": "bogus"},
        {"overridden_by": "ada"},
        {"overridden_by": "ada", "overridden_outcome": "pass"},
        {"overridden_by": "ada", "override_reason": "", "overridden_outcome": "pass"},
    ],
)
def test_the_database_refuses_what_cannot_be(change: dict[str, Any]) -> None:
    services.verdicts_insert([row(1, None)])
    if change.get("state") == "done":
        change["finished_at"] = "2030-01-01T00:00:00Z"
    with pytest.raises(IntegrityError), transaction.atomic():
        Verdict.objects.filter(attempt_id=1).update(**change)


@pytest.mark.parametrize(
    "change",
    [{"veto": False}, {"outcome": "pass", "veto": False}, {"reasons": []}, {"spec_hash": "x"}],
)
def test_the_database_keeps_what_was_said(change: dict[str, Any]) -> None:
    services.verdicts_insert([row(1, VETO)])
    with pytest.raises(IntegrityError, match="spoken and stands"), transaction.atomic():
        Verdict.objects.filter(attempt_id=1).update(**change)


def test_the_figures_count_outcomes_scores_and_ungrounded_claims() -> None:
    assert services.metrics()["hallucination_rate"] is None
    grounded = VerdictDraft(
        verifier="grounding",
        kind=Kind.GROUNDING,
        outcome=FAIL,
        score=0.75,
        evidence={"claims": 8, "ungrounded": 2},
    )
    services.verdicts_insert([row(1), row(2, VETO), row(3, None), row(3, grounded)])
    services.verdict_override(2, "safety", outcome="pass", by="ada", reason="known")
    figures = services.metrics()
    assert figures["verdicts"] == {
        "safety": {"pass": 1, "fail": 1},
        "execution": {"queued": 1},
        "grounding": {"fail": 1},
    }
    assert (figures["vetoes"], figures["overridden"]) == (1, 1)
    assert figures["score_mean"] == {"grounding": 0.75}
    assert (figures["claims"], figures["ungrounded"]) == (8, 2)
    assert figures["hallucination_rate"] == 0.25
