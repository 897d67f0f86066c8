"""What subscribers were sent: listed for members, and sent again by administrators."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.models import Delivery
from tests.api.people import api, person
from tests.api.stocked import stocked

pytestmark = pytest.mark.django_db


@pytest.fixture
def given_up() -> Delivery:
    stocked()
    return Delivery.objects.get()


def test_a_member_sees_what_became_of_each(given_up: Delivery) -> None:
    vera = api(person("vera", "viewer"))
    (row,) = vera.get("/api/v1/deliveries?state=given_up").json()["deliveries"]
    assert (row["id"], row["state"], row["said"]) == (given_up.pk, "given_up", given_up.said)
    assert vera.get("/api/v1/deliveries?state=due").json()["deliveries"] == []
    assert api(person("eve", "admin", where="beta")).get("/api/v1/deliveries").json() == {
        "deliveries": [],
        "next": None,
    }


def test_what_was_given_up_is_due_again_and_what_is_due_is_left_alone(given_up: Delivery) -> None:
    root: Any = api(person("root", is_superuser=True))
    url = f"/api/v1/deliveries/{given_up.pk}/again"
    first = root.post(url, {}, format="json").json()
    assert (first["state"], first["tries"], first["finished_at"]) == ("due", 0, None)
    Delivery.objects.update(tries=3)
    assert root.post(url, {}, format="json").json() == {**first, "tries": 3}
