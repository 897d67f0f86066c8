"""What tests of the gateway share: the database, a model by name, and nothing kept in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from agentsys.gateway import breakers, roles

Use = Callable[..., None]


@pytest.fixture(autouse=True)
def _rows(db: None) -> Iterator[None]:
    """Profiles are rows, which another test must not see."""
    roles.forget()
    yield
    roles.forget()


@pytest.fixture(autouse=True)
def _own_keys(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breakers and limits of a test are its own."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    prefix = f"{options['global_keyprefix']}{uuid4().hex[:8]}:"
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {**options, "global_keyprefix": prefix}
    monkeypatch.setattr(breakers, "_local", breakers.LocalStore())


@pytest.fixture
def use(settings: Any) -> Use:
    """Set AGENTSYS_MODEL and other settings."""

    def use(model: str, **others: Any) -> None:
        settings.AGENTSYS = replace(settings.AGENTSYS, model=model, **others)

    return use
