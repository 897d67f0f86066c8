"""Settings are read from the environment once, typed; what cannot be meant is refused by name."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsys import conf
from agentsys.embedded.health import shown
from agentsys.kernel.errors import BadInput


def test_without_variables_everything_has_its_default() -> None:
    assert conf.load({}) == conf.Config()


def test_values_are_typed() -> None:
    read = conf.load({"AGENTSYS_LEASE_SECONDS": "12", "AGENTSYS_BATCH_MAX": "7", "PATH": "/bin"})
    assert read.lease_seconds == 12.0
    assert isinstance(read.lease_seconds, float)
    assert read.batch_max == 7


def test_a_relative_folder_counts_from_the_checkout_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert conf.load({"AGENTSYS_HOME": "here"}).home == conf.ROOT / "here"
    assert conf.load({"AGENTSYS_HOME": str(tmp_path)}).home == tmp_path


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AGENTSYS_LEESE_SECONDS", "3", "did you mean"),
        ("AGENTSYS_LEASE_SECONDS", "soon", "is not a float"),
        ("AGENTSYS_BATCH_MAX", "1.5", "is not a int"),
        ("AGENTSYS_BATCH_MAX", "0", "not more than 0"),
        ("AGENTSYS_SWEEP_SECONDS", "-1", "not more than 0"),
        ("AGENTSYS_SWEEP_SECONDS", "nan", "not more than 0"),
        ("AGENTSYS_SWEEP_SECONDS", "inf", "not more than 0"),
        ("AGENTSYS_SANDBOX", "off", "not one of auto, none"),
        ("AGENTSYS_EMBEDDER", "", "not one of auto, minilm, wordllama, hashing"),
        ("AGENTSYS_LOG_LEVEL", "LOUD", "not one of DEBUG"),
        ("AGENTSYS_LEASE_SECONDS", "5", "AGENTSYS_HEARTBEAT_SECONDS=5.0 is not less than"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(name: str, value: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        conf.load({name: value})
    assert says in str(refused.value)
    assert name in str(refused.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        conf.load({"AGENTSYS_NO": "1", "AGENTSYS_BATCH_MAX": "x", "AGENTSYS_SANDBOX": "off"})
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://ann:p%40ss@db.example:5433/things?sslmode=require",
            {"NAME": "things", "USER": "ann", "PASSWORD": "p@ss", "HOST": "db.example",
             "PORT": "5433"},
        ),
        (
            "postgresql:///things?host=/run/pg&user=ann",
            {"NAME": "things", "USER": "ann", "PASSWORD": "", "HOST": "/run/pg", "PORT": ""},
        ),
        ("postgresql://%2Frun%2Fpg/things", {"HOST": "/run/pg", "NAME": "things"}),
        ("", {"NAME": "agentsys", "HOST": ""}),
    ],
)  # fmt: skip
def test_a_database_url_becomes_djangos_entry(url: str, expected: dict[str, Any]) -> None:
    found = conf.database(url, lease_seconds=30)
    assert {key: found[key] for key in expected} == expected
    assert "user" not in found["OPTIONS"]
    if "sslmode" in url:
        assert found["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize("lease", [4.0, 30.0, 600.0])
def test_a_server_that_is_gone_without_a_word_is_noticed_within_a_lease(lease: float) -> None:
    options = conf.database("", lease_seconds=lease)["OPTIONS"]
    probes = options["keepalives_interval"] * options["keepalives_count"]
    assert options["keepalives_idle"] + probes <= lease + 1
    assert options["tcp_user_timeout"] == lease * 1000
    known = {entry.keyword.decode() for entry in psycopg.pq.Conninfo.get_defaults()}
    assert set(options) - {"prepare_threshold"} <= known


@pytest.mark.parametrize(("given", "expected"), [("", 5), ("0", 0), ("12", 12), ("none", None)])
def test_what_is_prepared_is_said_in_the_url(given: str, expected: int | None) -> None:
    url = "postgresql://h/d" + (f"?prepare_threshold={given}" if given else "")
    assert conf.database(url, lease_seconds=30)["OPTIONS"]["prepare_threshold"] == expected
    with pytest.raises(BadInput, match="a number or none"):
        conf.database("postgresql://h/d?prepare_threshold=often", lease_seconds=30)


@pytest.mark.parametrize(
    ("url", "broker", "results"),
    [
        ("redis://h:6379/4", "redis://h:6379/4", "redis://h:6379/5"),
        ("redis://h", "redis://h/0", "redis://h/1"),
        ("rediss://u:p@h:1/2", "rediss://u:p@h:1/2", "rediss://u:p@h:1/3"),
        (
            "unix:///run/v.sock?db=2",
            "redis+socket:///run/v.sock?virtual_host=2",
            "redis+socket:///run/v.sock?virtual_host=3",
        ),
    ],
)
def test_messages_and_results_have_databases_side_by_side(
    url: str, broker: str, results: str
) -> None:
    assert conf.celery_urls(url) == (broker, results)


@pytest.mark.parametrize("url", ["http://h/0", "h:6379", "redis://h/one", "unix:///s?db=x"])
def test_what_is_no_redis_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BadInput, match="REDIS_URL is not a Redis URL") as refused:
        conf.celery_urls(url)
    assert url not in str(refused.value)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=20))
def test_a_url_is_shown_without_its_password(password: str) -> None:
    url = f"postgresql://someone:{password}@host.example/name"
    assert f":{password}@" not in shown(url)
    assert "someone:***@host.example/name" in shown(url)


def test_a_secret_is_made_once_even_when_many_ask_and_is_its_owners_alone(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(conf.local_secret(tmp_path / "home")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0]) >= 50
    assert (tmp_path / "home" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "home") == ["secret_key"]  # noqa: PTH208


@pytest.mark.parametrize("made", ["file", "key-is-a-folder"])
def test_a_home_that_cannot_be_used_is_bad_input(tmp_path: Path, made: str) -> None:
    home = tmp_path / "home"
    if made == "file":
        home.write_text("")
    else:
        (home / "secret_key").mkdir(parents=True)
    with pytest.raises(BadInput, match=f"AGENTSYS_HOME={home} cannot be used"):
        conf.local_secret(home)


def test_an_address_that_is_none_is_bad_input_and_never_shown() -> None:
    url = "postgresql://ann:secret@[::bad/x"
    with pytest.raises(BadInput, match="DATABASE_URL is no URL"):
        conf.database(url, lease_seconds=30)
    with pytest.raises(BadInput, match="REDIS_URL is no URL"):
        conf.celery_urls("redis://[::bad/x")
    assert "secret" not in shown(url)
