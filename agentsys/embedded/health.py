"""Does a server answer a query? Asked before every use, since a started server may be dead."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from agentsys.kernel.errors import ServiceAway


def check_database(url: str, *, seconds: float = 0.0) -> None:
    """`SELECT 1`, again until `seconds` have passed; ServiceAway with the reason and the way out."""
    import psycopg

    def ask() -> None:
        with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
            connection.execute("SELECT 1")

    _until(
        ask,
        psycopg.Error,
        seconds,
        service="PostgreSQL",
        url=url,
        way_out="Check DATABASE_URL, or unset it to use the embedded server",
    )


def check_redis(url: str, *, seconds: float = 0.0) -> None:
    """`PING`, again until `seconds` have passed; ServiceAway with the reason and the way out."""
    import redis

    def ask() -> None:
        with redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as client:
            client.ping()

    _until(
        ask,
        redis.RedisError,
        seconds,
        service="Redis",
        url=url,
        way_out="Check REDIS_URL, or unset it to use the embedded server",
    )


def _until(
    ask: Callable[[], None],
    errors: type[Exception],
    seconds: float,
    *,
    service: str,
    url: str,
    way_out: str,
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            ask()
            return
        except (errors, OSError, ValueError) as error:
            if time.monotonic() >= deadline:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                reason = lines[0][:300].rstrip(" .")
                raise ServiceAway(
                    service=service, where=shown(url), reason=reason, way_out=way_out
                ) from error
        time.sleep(0.05)


def shown(url: str) -> str:
    """A URL without its password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"  # and may hold a password
    if parts.password:
        return url.replace(f":{parts.password}@", ":***@", 1)
    return url
