"""Misconfigurations, planted one by one in real settings, environments and servers: the doctor names each
and says how to mend it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection

from agentsys import doctor, ports, supervisor
from agentsys.doctor import Check
from agentsys.embedded import valkey
from tests.integration.servers import command

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Ground:
    """What a seed is planted in."""

    settings: Any
    env: pytest.MonkeyPatch
    folder: Path
    redis: redis.Redis

    def ours(self, **values: Any) -> None:
        self.settings.AGENTSYS = replace(self.settings.AGENTSYS, **values)

    def sql(self, *statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def file(self, name: str, text: str = "x", mode: int = 0o644) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, whose configuration may be changed."""
    folder = tmp_path_factory.mktemp("doctor") / "valkey"
    yield valkey.start(folder)
    valkey.stop(folder)


@pytest.fixture
def ground(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_redis: str
) -> Iterator[Ground]:
    monkeypatch.setenv("REDIS_URL", own_redis)
    with redis.Redis.from_url(own_redis) as client:
        before = {name: client.config_get(name)[name] for name in CHANGED}
        yield Ground(settings, monkeypatch, tmp_path, client)
        for name, value in before.items():
            client.config_set(name, value)


CHANGED = ("maxmemory", "maxmemory-policy", "appendonly")
Seed = Callable[[Ground], Any]
SEEDS: dict[str, tuple[str, str, Seed]] = {}


def seed(check: str, word: str) -> Callable[[Seed], Seed]:
    """A misconfiguration that `check` finds, with `word` in its fix."""

    def plant(do: Seed) -> Seed:
        SEEDS[do.__name__.replace("_", " ")] = (check, word, do)
        return do

    return plant


def setting(name: str, value: Any) -> Seed:
    return lambda ground: setattr(ground.settings, name, value)


def ours(**values: Any) -> Seed:
    return lambda ground: ground.ours(**values)


def environment(**values: str) -> Seed:
    return lambda ground: [ground.env.setenv(name, value) for name, value in values.items()]


# --- Settings ----------------------------------------------------------------------------------------

SEEDS |= {
    "debug": ("web", "unset DEBUG", setting("DEBUG", True)),
    "a short secret key": ("secret", "set SECRET_KEY", setting("SECRET_KEY", "short")),
    "any host": ("hosts", "name the hosts", setting("ALLOWED_HOSTS", ["*"])),
    "no host": ("hosts", "set ALLOWED_HOSTS", setting("ALLOWED_HOSTS", [])),
    "tls without a public name": ("hosts", "add the public name", setting("TLS", True)),
    "an origin without a scheme": (
        "origins", "https://agents.example.org", setting("CSRF_TRUSTED_ORIGINS", ["agents.example.org"])
    ),
    "any origin": ("origins", "take * out", setting("CSRF_TRUSTED_ORIGINS", ["https://*"])),
    "local time": ("timezone", "UTC", setting("TIME_ZONE", "Europe/Berlin")),
    "naive times": ("timezone", "USE_TZ", setting("USE_TZ", False)),
    "early acknowledgement": ("messages", "ACKS_LATE", setting("CELERY_TASK_ACKS_LATE", False)),
    "messages that die with a worker": (
        "messages", "WORKER_LOST", setting("CELERY_TASK_REJECT_ON_WORKER_LOST", False)
    ),
    "prefetching": ("messages", "PREFETCH", setting("CELERY_WORKER_PREFETCH_MULTIPLIER", 4)),
    "pickle": ("messages", "json only", setting("CELERY_ACCEPT_CONTENT", ["json", "pickle"])),
    "publishing again and again": (
        "messages", "PUBLISH_RETRY", setting("CELERY_TASK_PUBLISH_RETRY", True)
    ),
    "eager tasks": ("messages", "EAGER", setting("CELERY_TASK_ALWAYS_EAGER", True)),
    "a short visibility timeout": (
        "visibility", "twice", setting("CELERY_BROKER_TRANSPORT_OPTIONS", {"visibility_timeout": 60})
    ),
    "a soft limit over the hard one": (
        "visibility", "SOFT", setting("CELERY_TASK_SOFT_TIME_LIMIT", 9000)
    ),
    "a heartbeat that is too slow": ("timings", "HEARTBEAT", ours(heartbeat_seconds=20.0)),
    "slices over the time limit": ("timings", "SLICE", ours(slice_seconds=3000.0)),
    "draining longer than the stack waits": ("timings", "DRAIN", ours(drain_seconds=60.0)),
    "a backoff over its most": ("timings", "BACKOFF", ours(backoff_seconds=900.0)),
    "no isolation": ("sandbox", "unset AGENTSYS_SANDBOX", ours(sandbox="none")),
    "a model of nobody": ("models", "expected PROVIDER:NAME", ours(model="nonsense")),
    "digests by a model of nobody": ("models", "PROVIDER:NAME", ours(digest_model="nonsense")),
    "an embedder of nobody": ("embedder", "nobody", ours(embedder="nobody:small")),
    "a URL in place of a host": ("fetching", "docs.example.org", ours(fetch_hosts="https://x.org/")),
    "playbooks that are not there": ("playbooks", "AGENTSYS_PLAYBOOKS", ours(playbooks=Path("/none"))),
}  # fmt: skip


@seed("cookies", "SESSION_COOKIE_SECURE")
def cookies_that_travel_without_tls(ground: Ground) -> None:
    ground.settings.TLS, ground.settings.SESSION_COOKIE_SECURE = True, False


@seed("origins", "no form comes from http")
def an_origin_without_tls_behind_tls(ground: Ground) -> None:
    ground.settings.TLS = True
    ground.settings.CSRF_TRUSTED_ORIGINS = ["http://agents.example.org"]


@seed("connections", "unset CONN_MAX_AGE")
def a_pool_of_persistent_connections(ground: Ground) -> None:
    default = ground.settings.DATABASES["default"]
    pooled = {**default, "CONN_MAX_AGE": 600, "OPTIONS": {**default["OPTIONS"], "pool": True}}
    ground.env.setitem(ground.settings.DATABASES, "default", pooled)


@seed("connections", "CONN_HEALTH_CHECKS")
def connections_that_nobody_checks(ground: Ground) -> None:
    kept = {**ground.settings.DATABASES["default"], "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": False}
    ground.env.setitem(ground.settings.DATABASES, "default", kept)


@seed("redis_databases", "of their own")
def results_in_the_brokers_database(ground: Ground) -> None:
    ground.settings.CELERY_RESULT_BACKEND = ground.settings.CELERY_BROKER_URL


@seed("redis_databases", "REDIS_KEYPREFIX")
def keys_without_a_prefix(ground: Ground) -> None:
    options = ground.settings.CELERY_BROKER_TRANSPORT_OPTIONS
    ground.settings.CELERY_BROKER_TRANSPORT_OPTIONS = {**options, "global_keyprefix": ""}


# --- This machine ------------------------------------------------------------------------------------


@seed("home", "AGENTSYS_HOME")
def a_home_that_cannot_be_written(ground: Ground) -> None:
    ground.ours(home=ground.file("taken") / "home")  # below a file: not even root can


@seed("git", "install git")
def no_git(ground: Ground) -> None:
    ground.env.setenv("PATH", str(ground.folder))


@seed("git", "2.38 or newer")
def an_old_git(ground: Ground) -> None:
    ground.file("git", "#!/bin/sh\necho git version 2.30.2\n", 0o755)
    ground.env.setenv("PATH", f"{ground.folder}:/usr/bin:/bin")


@seed("secrets", "chmod 600")
def a_secret_key_for_everybody(ground: Ground) -> None:
    ground.ours(home=ground.file("home/secret_key").parent)


@seed("secrets", ".env")
def an_env_file_for_everybody(ground: Ground) -> None:
    ground.settings.BASE_DIR = ground.file(".env", "SECRET_KEY=x").parent


@seed("environment", "rename DATABSE_URL to DATABASE_URL")
def a_misspelt_setting(ground: Ground) -> None:
    ground.env.setenv("DATABSE_URL", "postgresql://x/y")
    ground.env.delenv("DATABASE_URL")


@seed("models", "set OPENAI_API_KEY")
def a_model_without_its_key(ground: Ground) -> None:
    ground.env.delenv("OPENAI_API_KEY", raising=False)
    ground.ours(model="openai:gpt-5-mini")


@seed("playbooks", "broken.yaml")
def a_playbook_that_cannot_be_read(ground: Ground) -> None:
    ground.ours(playbooks=ground.file("books/broken.yaml", "name: [").parent)


# --- PostgreSQL --------------------------------------------------------------------------------------

SEEDS |= {
    "postgresql away": ("database", "DATABASE_URL", environment(DATABASE_URL="postgresql://127.0.0.1:1/x")),
    "redis away": ("redis", "REDIS_URL", environment(REDIS_URL="redis://127.0.0.1:1/0")),
}  # fmt: skip


@seed("vector", "CREATE EXTENSION vector")
def no_vectors(ground: Ground) -> None:
    ground.sql("DROP EXTENSION vector CASCADE")


@seed("migrations", "migrate")
def a_migration_that_is_not_applied(ground: Ground) -> None:
    ground.sql("DELETE FROM django_migrations WHERE app = 'knox'")


@seed("clock", "synchronise")
def a_clock_that_is_wrong(ground: Ground) -> None:
    ground.sql(
        "CREATE SCHEMA elsewhere",
        "CREATE FUNCTION elsewhere.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
        " $$ SELECT pg_catalog.clock_timestamp() - interval '90 seconds' $$",
        "SET LOCAL search_path = elsewhere, pg_catalog, public",
    )


@seed("isolation", "read committed")
def another_isolation(ground: Ground) -> None:
    ground.sql("SET LOCAL default_transaction_isolation = 'serializable'")


@seed("durability", "synchronous_commit")
def commits_that_may_be_lost(ground: Ground) -> None:
    ground.sql("SET LOCAL synchronous_commit = off")


# --- Redis -------------------------------------------------------------------------------------------


@seed("eviction", "noeviction")
def messages_that_are_evicted(ground: Ground) -> None:
    ground.redis.config_set("maxmemory-policy", "allkeys-lru")


@seed("full", "raise maxmemory")
def a_redis_that_is_full(ground: Ground) -> None:
    ground.redis.config_set("maxmemory", "500kb")


@seed("persistence", "appendonly")
def a_redis_that_forgets(ground: Ground) -> None:
    ground.redis.config_set("appendonly", "no")


# --- What runs ---------------------------------------------------------------------------------------

SEEDS |= {
    "flower for other machines": ("flower", "FLOWER_BASIC_AUTH", environment(FLOWER_ADDRESS="0.0.0.0")),
    "flower's api without a password": (
        "flower", "UNAUTHENTICATED", environment(FLOWER_UNAUTHENTICATED_API="true")
    ),
}  # fmt: skip


class Open(BaseHTTPRequestHandler):
    """A page of Flower's for whoever comes."""

    def do_GET(self) -> None:
        body = b"<html><title>Flower</title></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def open_flower() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Open)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join(30)


def found(name: str) -> Check:
    """What the check says, through the same door as the command's."""
    (check,) = (one for one in doctor.CHECKS if one.__name__ == f"_{name}")
    return doctor._examined(check)


@pytest.mark.parametrize("name", SEEDS)
def test_each_is_found_with_its_fix(ground: Ground, name: str) -> None:
    check, word, plant = SEEDS[name]
    before = found(check)
    plant(ground)
    seen = found(check)
    assert word in seen.fix
    assert seen != before or before.advice


def test_a_flower_that_lets_everybody_in_is_found(ground: Ground, open_flower: int) -> None:
    ground.env.setenv("FLOWER_PORT", str(open_flower))
    assert "asks nobody who they are" in found("flower").fix


def test_flower_is_looked_for_where_this_home_s_stack_has_it(
    ground: Ground, open_flower: int
) -> None:
    layout = supervisor.Layout(ground.settings.AGENTSYS.home)
    flower = supervisor.Service("flower", ["true"], port=open_flower)
    with supervisor.only_one(layout):
        supervisor.Supervisor(layout, [flower], print)._write()
        assert f"port {open_flower} asks nobody who they are" in found("flower").fix
    assert f"port {ports.PORTS['flower']}" in found("flower").found


def test_a_port_that_is_taken_is_named_with_the_way_out(ground: Ground) -> None:
    with socket.socket() as other:
        try:
            other.bind(("127.0.0.1", ports.PORTS["flower"]))
            other.listen()
        except OSError:
            pass  # it is taken by somebody else: as good
        assert "--flower-port" in found("stack").fix


def test_many_at_once_hide_none(ground: Ground) -> None:
    """All that can be planted together, in one examination."""
    apart = {"no host", "tls without a public name", "no git", "an old git", "naive times"}
    apart |= {"a migration that is not applied", "a clock that is wrong"}
    planted = [name for name in SEEDS if name not in apart]
    for name in planted:
        SEEDS[name][2](ground)
    wrong = {check.name for check in doctor.examine() if check.fix}
    assert len(wrong) >= 15


def test_a_setting_that_is_unknown_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    ended = command(tmp_path, "doctor", AGENTSYS_LEESE_SECONDS="3")
    assert ended.returncode == 2
    assert "did you mean `AGENTSYS_LEASE_SECONDS`?" in ended.stderr


def test_there_are_enough() -> None:
    assert len(SEEDS) >= 25
