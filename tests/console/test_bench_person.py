"""Who opens pages for measurements and pictures leaves nothing behind."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.urls import reverse

from orchestration.bench.serving import signed_in

pytestmark = pytest.mark.django_db


def test_neither_a_superuser_nor_a_session_is_left() -> None:
    with signed_in() as client:
        assert client.get(reverse("admin:index")).status_code == 200
    assert not User.objects.exists()
    assert not Session.objects.exists()


def test_a_superuser_who_was_there_stays_and_is_signed_out() -> None:
    ann = User.objects.create_superuser("ann")
    with signed_in() as client:
        assert client.get(reverse("admin:index")).status_code == 200
    assert [*User.objects.all()] == [ann]
    assert not Session.objects.exists()
