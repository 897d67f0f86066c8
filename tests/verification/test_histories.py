"""No history makes the tribunal accept what nobody proved; each planted bug is found by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.verification.histories import Histories
from verification.contracts import Authority, VerdictOutcome
from verification.domain import ruling, verdicts
from verification.domain.authority import Opinion
from verification.domain.verdicts import VerdictView

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
Patch = Callable[[], Any]


def played(examples: int, *, shrinks: bool = True) -> None:
    phases = (Phase.generate, Phase.shrink) if shrinks else (Phase.generate,)
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_history_accepts_what_is_not_proven_or_lets_a_lower_authority_prevail() -> None:
    played(300)


def a_reason_is_not_asked_for() -> Any:
    forceful = property(lambda said: said.outcome in (PASS, FAIL))
    return mock.patch.object(Opinion, "has_force", forceful)


def an_override_outlives_its_withdrawal() -> Any:
    """Kept by who it was about, as a cache would."""
    kept: dict[tuple[str, ...], VerdictOutcome | None] = {}
    counts_as = VerdictView.counts_as.fget  # type: ignore[attr-defined]

    def remembered(view: VerdictView) -> VerdictOutcome | None:
        key = (view.verifier, view.voter, view.spec_hash, view.artifact_hash)
        if view.is_overridden:
            kept[key] = counts_as(view)
        found: VerdictOutcome | None = kept.get(key, counts_as(view))
        return found

    return mock.patch.object(VerdictView, "counts_as", property(remembered))


def abstaining_counts_as_a_pass() -> Any:
    tally = ruling.tally

    def lenient(voters: Sequence[VerdictView], **terms: Any) -> VerdictOutcome:
        said = tally(voters, **terms)
        return PASS if said is VerdictOutcome.ABSTAIN else said

    return mock.patch.object(ruling, "tally", lenient)


def breaking_is_overlooked() -> Any:
    rules = tuple(rule for rule in ruling.RULES if rule.__name__ != "_error")
    lenient = mock.patch.object(ruling, "RULES", rules)
    bench = ruling._Bench.of_required

    def silent(self: Any, outcome: VerdictOutcome) -> list[VerdictView]:
        found = bench(self, outcome)
        return found + bench(self, VerdictOutcome.ERROR) if outcome is PASS else found

    return together(lenient, mock.patch.object(ruling._Bench, "of_required", silent))


def lapsed_verdicts_are_counted() -> Any:
    return mock.patch.object(ruling, "still_binding", lambda views, **_: tuple(views))


def verdicts_bind_to_the_task_alone() -> Any:
    bound = verdicts.still_binding
    return mock.patch.object(
        ruling,
        "still_binding",
        lambda views, *, spec_hash, artifact_hash: bound(
            views, spec_hash=spec_hash, artifact_hash=None
        ),
    )


def who_speaks_last_prevails() -> Any:
    def last(opinions: Any) -> Opinion | None:
        spoken = [opinion for opinion in opinions if opinion.has_force]
        return spoken[-1] if spoken else None

    orchestrator = mock.patch.object(ruling, "Authority", mock.Mock(VERIFIER=Authority.WORKER - 1))
    return together(orchestrator, mock.patch.object(ruling, "prevailing", last))


def an_orchestrator_fills_the_silence() -> Any:
    def decide(*given: Any, words: Sequence[Opinion] = (), **terms: Any) -> Any:
        ruled = ruling.decide(*given, words=words, **terms)
        yes = any(w.authority is Authority.ORCHESTRATOR and w.outcome is PASS for w in words)
        if ruled.outcome is ruling.PERSON and yes:
            return replace(ruled, outcome=ruling.ACCEPT)
        return ruled

    return mock.patch.object(Histories, "decide", staticmethod(decide))


def a_majority_is_enough_for_what_is_irreversible() -> Any:
    return mock.patch.object(ruling, "IRREVERSIBLE", "nothing is")


def an_advisory_verifier_passes() -> Any:
    return mock.patch.object(ruling._Bench, "is_advisory", return_value=False)


def a_veto_is_a_fail_like_any_other() -> Any:
    rules = tuple(rule for rule in ruling.RULES if rule.__name__ != "_veto")
    return mock.patch.object(ruling, "RULES", rules)


@contextmanager
def together(*patches: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


PLANTS: tuple[tuple[Patch, str], ...] = (
    (a_reason_is_not_asked_for, r"against the veto|without reason|passed"),
    (an_override_outlives_its_withdrawal, r"against the veto|without reason|passed|did not pass"),
    (abstaining_counts_as_a_pass, r"and only .* passed"),
    (breaking_is_overlooked, r"passed|did not pass"),
    (lapsed_verdicts_are_counted, r"and only .* passed"),
    (verdicts_bind_to_the_task_alone, r"and only .* passed"),
    (who_speaks_last_prevails, r"changed Ruling"),
    (an_orchestrator_fills_the_silence, r"changed Ruling"),
    (a_majority_is_enough_for_what_is_irreversible, r"and only .* passed"),
    (an_advisory_verifier_passes, r"is advisory"),
    (a_veto_is_a_fail_like_any_other, r"against the veto"),
)


@pytest.mark.parametrize(("plant", "says"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_a_planted_bug_is_found(plant: Patch, says: str) -> None:
    with plant(), pytest.raises(AssertionError, match=says):
        played(1000, shrinks=False)
