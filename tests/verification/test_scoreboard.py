"""The scoreboard on a real PostgreSQL: measured, demoted, looked at by a person."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agentsys.kernel.errors import BadInput
from verification import scoreboard
from verification.domain.recordings import Recording
from verification.domain.scoring import score
from verification.models import Scorecard, Standing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    scoreboard.forget()
    yield
    scoreboard.forget()


def measured(verifier: str, right: int, of: int, *, floor: float = 0.7) -> list[str]:
    recordings = [
        Recording(str(n), "pass", {verifier: ("pass" if n < right else "fail",)}) for n in range(of)
    ]
    return scoreboard.scores_store(
        [score(verifier, recordings)],
        source="test",
        data_hash=scoreboard.data_hash(recordings),
        by="tester",
        floor=floor,
    )


def test_below_its_floor_a_verifier_only_advises_and_the_reason_says_why() -> None:
    assert measured("semantic", 13, 20) == ["semantic"]
    assert scoreboard.advisory_names() == {"semantic"}
    (place,) = [p for p in scoreboard.scoreboard() if p.verifier == "semantic"]
    assert (place.state, place.by, place.precision) == ("advisory", "scoreboard", 0.65)
    assert "13 of 20 answers on test were right, which is 65.0%, below its floor" in place.reason


def test_at_its_floor_it_stays() -> None:
    assert measured("semantic", 14, 20) == []
    assert scoreboard.advisory_names() == frozenset()


def test_a_handful_of_answers_says_nothing() -> None:
    assert measured("semantic", 0, 19) == []


def test_a_person_takes_it_back_and_the_same_measurement_does_not_demote_again() -> None:
    measured("semantic", 5, 20)
    scoreboard.standing_set("semantic", "trusted", by="ada", reason="the set was mislabelled")
    assert measured("semantic", 5, 20) == []
    assert scoreboard.advisory_names() == frozenset()
    assert measured("semantic", 5, 21) == ["semantic"], "a new measurement counts anew"


def test_measuring_twice_keeps_one_row() -> None:
    for _ in range(2):
        measured("semantic", 20, 20)
    assert Scorecard.objects.count() == 1


def test_standings_need_a_known_name_and_a_reason() -> None:
    with pytest.raises(BadInput) as refused:
        scoreboard.standing_set("semantik", "trusted", by="ada", reason=" ")
    assert len(refused.value.problems) == 2
    assert not Standing.objects.exists()


def test_a_set_is_named_by_what_is_in_it_whatever_its_order() -> None:
    one, two = Recording("1", "pass", {"a": ("pass",)}), Recording("2", "fail", {"a": (None,)})
    assert scoreboard.data_hash([one, two]) == scoreboard.data_hash([two, one])
    other = Recording("2", "fail", {"a": ("pass",)})
    assert scoreboard.data_hash([one, two]) != scoreboard.data_hash([one, other])


def test_in_the_console_a_person_adds_a_standing_and_changes_none(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ada"))
    url = "/admin/agentsys_verification/standing/"
    form = {"verifier": "grounding", "state": "advisory", "reason": "looked at ten digests"}
    assert client.post(f"{url}add/", form).status_code == 302
    standing = Standing.objects.get()
    assert (standing.verifier, standing.by) == ("grounding", "ada")
    assert scoreboard.advisory_names() == {"grounding"}
    client.post(f"{url}{standing.pk}/change/", {**form, "state": "trusted"})
    assert Standing.objects.get().state == "advisory"
    measured("semantic", 15, 20)
    for page in ("scorecard", "panel", "standing"):
        assert client.get(f"/admin/agentsys_verification/{page}/").status_code == 200


def test_others_than_superusers_neither_see_nor_add_standings(client: Client) -> None:
    client.force_login(User.objects.create_user("bob", is_staff=True))
    url = "/admin/agentsys_verification/standing/"
    assert client.get(url).status_code == 403
    form = {"verifier": "grounding", "state": "advisory", "reason": "no"}
    assert client.post(f"{url}add/", form).status_code == 403
    assert not Standing.objects.exists()
