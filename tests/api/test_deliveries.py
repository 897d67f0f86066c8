"""What subscribers were sent: listed for who may see the subscription, and sent again by superusers."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from orchestration.models import Delivery
from tests.api.people import api, person
from tests.api.stocked import stocked

pytestmark = pytest.mark.django_db


@pytest.fixture
def given_up() -> Delivery:
    stocked()
    return Delivery.objects.get()


def test_who_administers_the_project_sees_what_became_of_each(given_up: Delivery) -> None:
    pam = api(person("pam", "admin"))
    (row,) = pam.get("/api/v1/deliveries?state=given_up").json()["deliveries"]
    assert (row["id"], row["state"], row["said"]) == (given_up.pk, "given_up", given_up.said)
    assert pam.get("/api/v1/deliveries?state=due").json()["deliveries"] == []


@pytest.mark.parametrize(
    ("role", "where"),
    [("viewer", "alpha"), ("operator", "alpha"), ("approver", "alpha"), ("admin", "beta")],
)
def test_others_are_not_told_what_a_subscriber_answered(
    given_up: Delivery, role: str, where: str, client: Any
) -> None:
    user, answer = person("vera", role, where=where, is_staff=True), "the receiver's own words"
    Delivery.objects.update(said=answer, finished_at=timezone.now())
    told = api(user).get("/api/v1/deliveries").json()
    assert told == {"deliveries": [], "next": None}
    client.force_login(user)
    page = client.get("/admin/agentsys_orchestration/delivery/")
    assert answer not in page.content.decode()
    assert page.status_code == (200 if role == "admin" else 403)
    one = client.get(f"/admin/agentsys_orchestration/delivery/{given_up.pk}/change/", follow=True)
    assert answer not in one.content.decode()
    assert "reached nobody" not in client.get("/admin/").content.decode()


def test_what_was_given_up_is_due_again_and_what_is_due_is_left_alone(given_up: Delivery) -> None:
    root: Any = api(person("root", is_superuser=True))
    url = f"/api/v1/deliveries/{given_up.pk}/again"
    first = root.post(url, {}, format="json").json()
    assert (first["state"], first["tries"], first["finished_at"]) == ("due", 0, None)
    Delivery.objects.update(tries=3)
    assert root.post(url, {}, format="json").json() == {**first, "tries": 3}
