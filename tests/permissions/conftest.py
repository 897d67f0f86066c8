"""Settings that every test of HTTP needs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def light_settings(settings):
    """Static files from where they are written; passwords hashed fast, not well."""
    settings.WHITENOISE_AUTOREFRESH = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
