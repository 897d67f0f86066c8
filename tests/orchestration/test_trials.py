"""No history of services on rows accepts or applies what nobody had the right to; planted bugs show
that such a history would be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Permission
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from orchestration.services import approvals, proposals, tribunal
from tests import factories as given
from tests.orchestration.trials import Trials
from verification.contracts import VerdictOutcome
from verification.domain import ruling
from verification.domain.authority import Opinion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

Patch = Callable[[], Any]


@pytest.fixture(autouse=True)
def _people(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)
    given.project()
    Trials.people = {
        "ann": given.person("ann"),
        "boss": given.person("boss", "admin"),
        "stranger": given.person("stranger", None),
    }
    Trials.people["boss"].user_permissions.add(Permission.objects.get(codename="override_verdict"))


def played(examples: int) -> None:
    run_state_machine_as_test(
        Trials,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),  # shrinking on real rows takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)
def test_nothing_is_accepted_or_applied_without_right() -> None:
    played(40)


@contextmanager
def together(*patches: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def a_person_needs_no_reason() -> Any:
    forceful = property(lambda said: said.outcome in ("pass", "fail"))
    return mock.patch.object(Opinion, "has_force", forceful)


def an_abstention_is_a_pass() -> Any:
    tally = ruling.tally

    def lenient(*given: Any, **terms: Any) -> VerdictOutcome:
        said = tally(*given, **terms)
        return VerdictOutcome.PASS if said is VerdictOutcome.ABSTAIN else said

    return mock.patch.object(ruling, "tally", lenient)


def lapsed_verdicts_count() -> Any:
    return mock.patch.object(ruling, "still_binding", lambda views, **_: tuple(views))


def bytes_are_believed() -> Any:
    """What is judged goes by the hash in the row, not by the bytes."""
    return mock.patch.object(tribunal, "artifact_hash", lambda report: kept_hash(report))


def kept_hash(report: Any) -> str:
    from orchestration.models import Attempt

    row = Attempt.objects.filter(report=report).first()
    return row.artifact_hash if row else ""


def an_approval_outlives_an_edit() -> Any:
    same = mock.Mock(side_effect=lambda payload: Same())
    return mock.patch.object(proposals, "digest", same)


class Same(str):
    """A hash that equals every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def one_approval_is_enough() -> Any:
    return mock.patch.object(
        approvals,
        "_outcome",
        lambda request, decision: {"approve": "approved"}.get(decision, "rejected"),
    )


PLANTS: tuple[tuple[Patch, str], ...] = (
    (a_person_needs_no_reason, r"lifted without a reason|did not pass"),
    (an_abstention_is_a_pass, r"did not pass"),
    (lapsed_verdicts_count, r"did not pass these bytes"),
    (bytes_are_believed, r"did not pass these bytes|approved other bytes"),
    (an_approval_outlives_an_edit, r"approved this"),
    (one_approval_is_enough, r"1 of 2 approved this"),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("plant", "says"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_a_planted_bug_is_found(plant: Patch, says: str) -> None:
    with plant(), pytest.raises(AssertionError, match=says):
        played(150)
