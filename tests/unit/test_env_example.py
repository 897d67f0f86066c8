"""`.env.example` lists every setting there is, with the default that the code has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from agentsys import conf

LINE = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$")
TEXT = (conf.ROOT / ".env.example").read_text()
LISTED = {found[1]: found[2] for line in TEXT.splitlines() if (found := LINE.match(line))}
SETTINGS = {f"AGENTSYS_{f.name.upper()}": f for f in fields(conf.Config)}
OTHERS = {
    "DATABASE_URL", "REDIS_URL", "REDIS_KEYPREFIX", "SECRET_KEY", "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS", "TLS", "DEBUG", "EMAIL_URL", "DEFAULT_FROM_EMAIL",
}  # fmt: skip


def test_every_setting_is_listed_and_nothing_else() -> None:
    assert set(LISTED) == set(SETTINGS) | OTHERS


def test_the_other_settings_are_all_that_django_reads() -> None:
    source = (conf.ROOT / "agentsys" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"(\w+)"', source))
    assert read - {"TESTING"} == OTHERS


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_the_value_shown_is_the_default(name: str) -> None:
    loaded = conf.load({name: LISTED[name]})
    field = SETTINGS[name]
    shown, default = getattr(loaded, field.name), field.default
    if isinstance(default, Path):
        shown = conf.ROOT / shown
    assert shown == default


def test_a_copy_sets_nothing_by_itself() -> None:
    """Everything is commented out, so that `cp .env.example .env` changes nothing."""
    assert all(not line or line.startswith("#") for line in TEXT.splitlines())


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_what_a_project_needs_beside_its_code_is_there(name: str) -> None:
    assert (conf.ROOT / name).stat().st_size > 200
