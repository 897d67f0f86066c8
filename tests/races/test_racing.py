"""A few of the races that `make races` runs by the thousand, and that they can find anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.models import Proposal
from orchestration.services import proposals
from tests.races.racing import race

pytestmark = pytest.mark.django_db(transaction=True)


def test_whatever_happens_at_once_one_decision_counts_and_is_carried_out_once(
    tmp_path: Path,
) -> None:
    (tally,) = race(10, tmp_path)
    assert tally.violations == []
    assert tally.races == 10


def test_who_applies_without_looking_whether_it_was_approved_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(proposal_id: int, **_: Any) -> Proposal:
        return Proposal.objects.select_related("goal", "task").get(pk=proposal_id)

    monkeypatch.setattr(proposals, "_take", take)
    monkeypatch.setattr(proposals, "_is_withdrawn", lambda proposal: False)
    *_, tally = race(10, tmp_path)
    assert any("the world holds" in violation for violation in tally.violations)
