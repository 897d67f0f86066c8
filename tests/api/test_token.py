"""API tokens: made by a command, shown once, kept as a hash, ended by time or by a person."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from tests.api.people import goal, person

pytestmark = pytest.mark.django_db


def token(*args):
    out = StringIO()
    call_command("token", *args, "--json", stdout=out)
    return json.loads(out.getvalue())


def asked(secret):
    return Client().get("/api/v1/goals", headers={"Authorization": f"Token {secret}"}).status_code


def test_a_token_opens_the_api_and_only_its_hash_is_kept():
    person("vera", "viewer")
    goal()
    made = token("create", "--user", "vera")
    assert asked(made["token"]) == 200
    assert asked("x" * 64) == 401
    row = AuthToken.objects.get()
    assert made["token"] not in (row.digest, row.token_key)


def test_a_token_ends_when_its_time_is_over():
    person("vera", "viewer")
    made = token("create", "--user", "vera", "--ttl", "1")
    assert asked(made["token"]) == 200
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert asked(made["token"]) == 401


def test_a_revoked_token_is_worthless():
    person("vera", "viewer")
    made = token("create", "--user", "vera")
    token("revoke", made["key"])
    assert asked(made["token"]) == 401
    assert token("list") == {"tokens": []}


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("create", "--user", "nobody"), 6),
        (("create", "--user", "vera", "--ttl", "0"), 2),
        (("revoke", "zzzz"), 6),
    ],
)
def test_what_cannot_be_done_says_why(args, code):
    person("vera", "viewer")
    with pytest.raises(CommandError) as refused:
        call_command("token", *args)
    assert refused.value.returncode == code
    assert not AuthToken.objects.exists()
