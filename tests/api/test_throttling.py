"""A caller that sends too much is told to wait; one whose Redis is away is not."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from knox.models import AuthToken

from agentsys.gateway import counting, shared
from tests.api.people import api, person

pytestmark = pytest.mark.django_db
PATH = "/api/v1/projects"


@pytest.fixture
def three(settings: Any) -> None:
    """Three requests a minute, counted where nobody has counted before."""
    settings.AGENTSYS = replace(settings.AGENTSYS, api_per_minute=3)
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {**options, "global_keyprefix": f"{uuid.uuid4()}:"}
    counting._by_redis.cache_clear()
    counting._own.cache_clear()


@pytest.mark.usefixtures("three")
def test_the_fourth_is_told_when_to_come_back() -> None:
    vera = api(person("vera", "viewer"))
    assert [vera.get(PATH).status_code for _ in range(3)] == [200] * 3
    refused = vera.get(PATH)
    assert refused.status_code == 429
    assert refused["Content-Type"] == "application/problem+json"
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused.json()["code"] == "throttled"
    assert api(person("otto", "viewer")).get(PATH).status_code == 200


@pytest.mark.usefixtures("three")
def test_a_token_has_room_of_its_own() -> None:
    vera = person("vera", "viewer")
    tokens = [AuthToken.objects.create(vera)[1] for _ in range(2)]

    def asked(token: str) -> int:
        return Client().get(PATH, headers={"Authorization": f"Token {token}"}).status_code

    assert [asked(tokens[0]) for _ in range(4)] == [200, 200, 200, 429]
    assert asked(tokens[1]) == 200
    assert api(vera).get(PATH).status_code == 200


@pytest.mark.usefixtures("three")
def test_while_redis_is_away_each_process_counts_for_itself(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    try:
        vera = api(person("vera", "viewer"))
        assert [vera.get(PATH).status_code for _ in range(4)] == [200, 200, 200, 429]
    finally:
        shared._away_since.pop("redis://127.0.0.1:1/0", None)


@pytest.mark.usefixtures("three")
def test_who_is_not_signed_in_is_asked_to_and_counts_for_nobody() -> None:
    assert [api(None).get(PATH).status_code for _ in range(5)] == [401] * 5
