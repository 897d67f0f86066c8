"""Settings that every test of the console needs."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings


@pytest.fixture(scope="session", autouse=True)
def served_from_source():
    """Static files from where they are written; for the session, since the live server is its."""
    django_settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def light_settings(settings):
    """Passwords hashed fast, not well."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
