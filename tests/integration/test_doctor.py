"""The doctor: every finding that is not well has its fix; a server away is 69, not a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agentsys.doctor import examine, machine
from tests.integration.servers import command

AWAY = {"DATABASE_URL": "postgresql://x:hidden@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.mark.django_db
def test_a_sound_installation_has_nothing_to_mend() -> None:
    findings = list(examine())
    assert [f for f in findings if f.fix and not f.advice] == []
    assert {"python", "git", "sandbox", "database", "pgvector", "migrations", "redis"} <= {
        f.name for f in findings
    }


def test_with_its_servers_away_it_still_examines_the_rest(tmp_path: Path) -> None:
    ended = command(tmp_path, "doctor", "--json", **AWAY)
    assert ended.returncode == 69
    assert "hidden" not in ended.stdout + ended.stderr
    found = {f["name"]: f for f in json.loads(ended.stdout)}
    assert found["database"]["away"]
    assert "DATABASE_URL" in found["database"]["fix"]
    assert found["redis"]["away"]
    assert found["migrations"]["found"] == "not examined"
    assert found["git"]["fix"] == ""


@pytest.mark.django_db
def test_what_is_wrong_is_named_with_its_fix(settings: Any, monkeypatch: Any) -> None:
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60}
    settings.DEBUG = True
    settings.SECRET_KEY = "short"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(machine, "FREE_MB_MIN", 10**12)
    found = {f.name: f for f in examine()}
    for name in ("visibility", "web", "secret key", "git", "disk"):
        assert found[name].fix, name
