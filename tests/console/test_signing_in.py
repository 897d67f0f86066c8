"""Passwords are not guessed at the console's door: it waits, whoever is asked for and whoever asks."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orchestration.admin.signing_in import OF_A_NAME, OF_AN_ADDRESS
from tests.api.people import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def name() -> str:
    """Redis outlives a test: nobody was counted under this name."""
    return f"ann-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def address() -> str:
    return str(uuid.uuid4())


def tried(name: str, password: str, address: str) -> str:
    """ "in", "wrong" or "wait"."""
    response: Any = Client(REMOTE_ADDR=address).post(
        reverse("admin:login"), {"username": name, "password": password}
    )
    if response.status_code == 302:
        return "in"
    return "wait" if "Too many attempts to sign in: wait" in response.content.decode() else "wrong"


def test_after_some_wrong_passwords_for_a_name_not_even_the_right_one_is_looked_at(
    name: str, address: str
) -> None:
    person(name, "viewer", is_staff=True)
    told = [tried(name, "guess", f"{address}-{n}") for n in range(OF_A_NAME.most)]
    assert told == ["wrong"] * OF_A_NAME.most
    assert tried(name.upper(), "guess", address) == "wait"
    assert tried(name, "pass", address) == "wait"
    other = f"bo-{name}"
    person(other, "viewer", is_staff=True)
    assert tried(other, "pass", address) == "in"


def test_after_some_wrong_passwords_from_an_address_it_waits_whoever_is_asked_for(
    name: str, address: str
) -> None:
    person(name, "viewer", is_staff=True)
    told = [tried(f"{name}-{n}", "guess", address) for n in range(OF_AN_ADDRESS.most)]
    assert told == ["wrong"] * OF_AN_ADDRESS.most
    assert tried(name, "pass", address) == "wait"
    assert tried(name, "pass", f"{address}-other") == "in"


def test_the_right_password_sets_the_names_count_back(name: str, address: str) -> None:
    person(name, "viewer", is_staff=True)
    for _ in range(3):
        for _ in range(OF_A_NAME.most - 1):
            assert tried(name, "guess", address) == "wrong"
        assert tried(name, "pass", address) == "in"
