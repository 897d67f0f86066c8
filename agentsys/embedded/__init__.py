"""Embedded PostgreSQL and Valkey, for a machine that has no servers of its own.

`ensure()` gives every process its DATABASE_URL and REDIS_URL. Where the environment (or `.env`)
names servers, those are used and nothing is started. Otherwise the servers in AGENTSYS_HOME are
adopted if they answer a query, and started if they do not, by one process at a time. A process
that uses them says so with a shared lock on `users.lock` for as long as it lives; whoever leaves
last stops them. A process that was killed leaves no lock behind, only running servers, which the
next one adopts.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from agentsys.embedded import postgres, valkey
from agentsys.embedded.health import check_database, check_redis
from agentsys.kernel.errors import AgentsysError, ServiceAway

__all__ = [
    "check_database", "check_redis", "database_url", "down", "embedded_urls", "ensure",
    "ensure_or_exit", "home", "running",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent.parent
_users: IO[str] | None = None


def home() -> Path:
    """AGENTSYS_HOME (a relative one counts from the checkout), or `.agentsys` beside the code."""
    return (ROOT / (os.environ.get("AGENTSYS_HOME") or ".agentsys")).resolve()


def ensure(*, fast: bool = False) -> None:
    """Set DATABASE_URL and REDIS_URL, starting or adopting embedded servers where they are unset.

    Called again, it brings back a server that has died. `fast` gives up durability for speed; for
    tests only. Raises ServiceAway when a server cannot be had.
    """
    _read_env_file()
    folder = home()
    if all(_elsewhere(folder)):
        return
    with _starting(folder):
        _use(folder)
        database, redis = _elsewhere(folder)
        if not database:
            os.environ["DATABASE_URL"] = postgres.start(folder / "postgres", fast=fast)
        if not redis:
            os.environ["REDIS_URL"] = valkey.start(folder / "valkey")


def ensure_or_exit() -> None:
    """`ensure()` for programs that are not ours (celery, uvicorn): one line, not a traceback."""
    try:
        ensure()
    except AgentsysError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def _elsewhere(folder: Path) -> tuple[bool, bool]:
    """Do the variables name servers that are not this home's? Children inherit our URLs: they use
    the embedded servers as much as we do, and must say so."""
    database, redis = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    return (
        bool(database) and database != postgres.url_of(folder / "postgres"),
        bool(redis) and redis != valkey.url_of(folder / "valkey"),
    )


def embedded_urls() -> tuple[str, str]:
    """Where the embedded servers of this home listen, whether or not they run."""
    return postgres.url_of(home() / "postgres"), valkey.url_of(home() / "valkey")


def database_url() -> str:
    """Where PostgreSQL is, given or embedded, whether or not it runs; starts nothing."""
    _read_env_file()
    return os.environ.get("DATABASE_URL") or embedded_urls()[0]


def running() -> dict[str, bool]:
    """Which embedded servers answer."""
    database, redis = embedded_urls()
    answers = {}
    for name, check, url in (
        ("postgres", check_database, database),
        ("valkey", check_redis, redis),
    ):
        try:
            check(url)
            answers[name] = True
        except AgentsysError:
            answers[name] = False
    return answers


def down() -> None:
    """Stop the embedded servers, whoever uses them."""
    with _starting(home()):
        postgres.stop(home() / "postgres")
        valkey.stop(home() / "valkey")


def _read_env_file() -> None:
    import environ

    with suppress(FileNotFoundError):
        environ.Env.read_env(str(ROOT / ".env"))


@contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """One process at a time starts or stops servers."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "start.lock").open("w")
    except OSError as error:
        raise ServiceAway(
            service="the folder of the embedded servers",
            where=str(folder),
            reason=str(error),
            way_out="Give AGENTSYS_HOME a folder that you may write to",
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _use(folder: Path) -> None:
    global _users
    if _users is not None:
        return
    _users = (folder / "users.lock").open("w")
    fcntl.flock(_users, fcntl.LOCK_SH)
    atexit.register(_leave, folder, os.getpid())


def _leave(folder: Path, pid: int) -> None:
    """The last one out stops the servers. A forked child is not a user of its own."""
    if os.getpid() != pid or _users is None:
        return
    with suppress(ServiceAway), _starting(folder), _users:
        try:
            fcntl.flock(_users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        postgres.stop(folder / "postgres")
        valkey.stop(folder / "valkey")
