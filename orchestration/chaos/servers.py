"""Servers of chaos's own, to stop, kill, restart and wipe: PostgreSQL and Valkey in one folder.

They are the embedded ones, started by the same code but in a folder that no other process looks
into, so that nobody but the scenario brings back what the scenario took away.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import redis

from agentsys.embedded import postgres, valkey
from agentsys.kernel.errors import ServiceAway

ROOT = Path(__file__).resolve().parent.parent.parent
GONE_SECONDS = 20.0
STOPS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class Servers:
    """PostgreSQL and Valkey in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._postgres = folder / "postgres"
        self._valkey = folder / "valkey"

    # --- both ---

    def start(self) -> None:
        postgres.start(self._postgres)
        valkey.start(self._valkey)

    def stop(self) -> None:
        postgres.stop(self._postgres)
        valkey.stop(self._valkey)

    def env(self, database: str) -> dict[str, str]:
        """What a process needs to use them."""
        return {"DATABASE_URL": self.database_url(database), "REDIS_URL": self.redis_url}

    # --- PostgreSQL ---

    def database_url(self, database: str) -> str:
        return postgres.url_of(self._postgres, database)

    def socket(self) -> Path:
        """The socket that PostgreSQL listens on."""
        with psycopg.connect(self.database_url("postgres")) as connection:
            return Path(connection.info.host) / f".s.PGSQL.{connection.info.port}"

    def postgres_stop(self, how: str) -> None:
        """`fast` breaks connections and writes everything down; `immediate` is a crash."""
        pid = self.postgres_pid()
        os.kill(pid, STOPS[how])
        _until_gone(pid, "PostgreSQL")

    def postgres_start(self) -> None:
        postgres.start(self._postgres)

    def postgres_pid(self) -> int:
        return int((self._postgres / "postmaster.pid").read_text().splitlines()[0])

    def database_from(self, name: str, template: str) -> None:
        """Make the database anew as a copy."""
        with psycopg.connect(self.database_url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())

    def database_exists(self, name: str) -> bool:
        with psycopg.connect(self.database_url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            return found.fetchone() is not None

    # --- Valkey ---

    @property
    def redis_url(self) -> str:
        return valkey.url_of(self._valkey)

    def redis_flush(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def redis_kill(self) -> None:
        """kill -9, and everything it had written is gone."""
        with redis.Redis.from_url(self.redis_url) as client:
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGKILL)
        _until_gone(pid, "Valkey")
        shutil.rmtree(self._valkey / "appendonlydir", ignore_errors=True)

    def redis_start(self) -> None:
        valkey.start(self._valkey)

    def redis_lengths(self) -> dict[str, int]:
        """How many messages wait, and how many were taken and not acknowledged."""
        with redis.Redis.from_url(self.redis_url) as client:
            keys = [k.decode() for k in client.keys("*")]
            queues = {k: int(client.llen(k)) for k in keys if client.type(k) == b"list"}
            taken = sum(int(client.hlen(k)) for k in keys if k.endswith("unacked"))
            return {**queues, "unacked": taken}


def migrations_mark() -> str:
    """Changes whenever a migration does."""
    mark = hashlib.sha256()
    for path in sorted(ROOT.glob("*/migrations/*.py")):
        mark.update(path.read_bytes())
    return mark.hexdigest()[:12]


def _until_gone(pid: int, what: str) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while _is_there(pid):
        if time.monotonic() > deadline:
            raise ServiceAway(
                service=what, where=f"process {pid}", reason="it does not end", way_out="End it"
            )
        time.sleep(0.02)


def _is_there(pid: int) -> bool:
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in ("Z", "X")
    return False
