"""Fixtures that every kind of test may use. Servers come from the plugin `agentsys.testing`."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# How fast examples are made says how busy the machine is, nothing about the code.
hypothesis_settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Every entry that a test wrote is as the catalogue of events has it. A hook, since the rows are
    still there: no fixture has taken them away."""
    makes_them_up = item.get_closest_marker("invents_entries") is not None
    found = [] if makes_them_up else _uncatalogued()
    done = yield
    if found:
        pytest.fail("entries that domain.events does not know so:\n" + "\n".join(found[:10]))
    return done


def _uncatalogued() -> list[str]:
    models = sys.modules.get("orchestration.models")
    if models is None:
        return []
    from django.db import Error

    from orchestration.domain.events import written_problems

    try:
        rows = list(models.LedgerEntry.objects.values_list("event", "payload"))
    except (RuntimeError, Error):  # the test may not use the database, or has broken its connection
        return []
    return [problem for event, payload in rows for problem in written_problems(event, payload)]


@pytest.fixture(scope="session", autouse=True)
def _emptied_by_rows() -> Iterator[None]:
    """Thousands of tests have transactions of their own: what they wrote goes quickly."""
    from django.test import TransactionTestCase

    from tests.emptying import emptied

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptied)
        yield


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, settings: Any) -> None:
    """Files that a test makes go to a folder of its own."""
    settings.AGENTSYS = replace(settings.AGENTSYS, home=tmp_path / "home")


@pytest.fixture(autouse=True)
def _no_policy_left() -> Iterator[None]:
    """A process keeps what it read of policies for some seconds: other tests have other rows."""
    yield
    services = sys.modules.get("verification.services")
    if services is not None:
        services.policies_forget()
    scoreboard = sys.modules.get("verification.scoreboard")
    if scoreboard is not None:
        scoreboard.forget()


@pytest.fixture(autouse=True)
def _no_session_left() -> Iterator[None]:
    """A worker session that a test opened holds a connection to its database: close it."""
    yield
    sessions = sys.modules.get("orchestration.services.sessions")
    if sessions is not None:
        sessions.session_close()
