"""PostgreSQL and Redis: do they answer, and are they set up as what runs on them needs it?"""

from __future__ import annotations

import os
import time
from typing import Any

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agentsys import embedded
from agentsys.doctor.check import Check, all_of
from agentsys.embedded import check_database, check_redis
from agentsys.embedded.health import shown
from agentsys.kernel.errors import ServiceAway

PGVECTOR_MIN = (0, 7)  # halfvec
SKEW_SECONDS_MAX = 2.0
CONNECTIONS_MIN = 20
REDIS_FULL = 0.9
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


def _url(name: str, service: str) -> str:
    """The URL in the environment; unset where the embedded server could not be started."""
    url = os.environ.get(name)
    if url is None:
        raise ServiceAway(
            service=service,
            where="this machine",
            reason="the embedded server did not start",
            way_out=f"Read the logs below {settings.AGENTSYS.home}, or set {name}",
        )
    return url


def _asked(statement: str, *values: Any) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return tuple(cursor.fetchone() or ())


def _database() -> Check:
    url = _url("DATABASE_URL", "PostgreSQL")
    check_database(url)
    (version,) = _asked("SHOW server_version")
    fix = "" if int(version.split(".")[0]) >= 16 else "use PostgreSQL 16 or newer"
    return Check("database", f"PostgreSQL {version} at {shown(url)}", fix)


def _vector() -> Check:
    row = _asked("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if not row:
        return Check("pgvector", "missing", "let a superuser run CREATE EXTENSION vector")
    version = tuple(int(n) for n in row[0].split(".")[:2])
    return Check("pgvector", row[0], "" if version >= PGVECTOR_MIN else "update pgvector to 0.7+")


def _migrations() -> Check:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return Check("migrations", f"{len(plan)} to apply", "run `manage.py migrate`" if plan else "")


def _clock() -> Check:
    """Leases run by the database's clock; what is shown and logged by this machine's."""
    before = time.time()
    (theirs,) = _asked("SELECT extract(epoch FROM clock_timestamp())")
    skew = float(theirs) - (before + time.time()) / 2
    fix = "" if abs(skew) <= SKEW_SECONDS_MAX else "synchronise both machines' clocks (NTP)"
    return Check("clock", f"{skew:+.1f} s between PostgreSQL and here", fix)


def _isolation() -> Check:
    """Guarded updates see what others have committed: under any other level they fail or miss it."""
    (level,) = _asked("SHOW default_transaction_isolation")
    way = "ALTER ROLE … SET default_transaction_isolation = 'read committed'"
    return Check("isolation", level, "" if level == "read committed" else way)


def _durability() -> Check:
    """What PostgreSQL has said is committed must be there after a crash. Test servers do without."""
    off = [name for name in DURABLE if _asked(f"SHOW {name}") == ("off",)]
    fix = f"set {', '.join(off)} to on: PostgreSQL is the truth here" if off else ""
    return Check("durability", f"{', '.join(off) or 'nothing'} off", fix, advice=settings.TESTING)


def _room() -> Check:
    """Connections that others may still open; each worker thread and stream has one."""
    most, used = _asked(
        "SELECT current_setting('max_connections')::int,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
    )
    low = most - used < CONNECTIONS_MIN
    fix = f"raise max_connections: fewer than {CONNECTIONS_MIN} are left" if low else ""
    return Check("connections left", f"{most - used} of {most}", fix, advice=True)


def _redis() -> Check:
    url = _url("REDIS_URL", "Redis")
    check_redis(url)
    return Check("redis", shown(url))


def _eviction() -> Check:
    policy = _told("memory").get("maxmemory_policy", "unknown")
    fix = "" if policy == "noeviction" else "set maxmemory-policy noeviction: others lose messages"
    return Check("redis eviction", str(policy), fix)


def _full() -> Check:
    """With noeviction a full Redis refuses messages: work waits for the sweep."""
    memory = _told("memory")
    used, most = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
    if not most:
        return Check("redis memory", f"{used // 1_000_000} MB, without a limit")
    full = used / most
    fix = "raise maxmemory, or see what fills it" if full > REDIS_FULL else ""
    return Check("redis memory", f"{full:.0%} of {most // 1_000_000} MB", fix)


def _persistence() -> Check:
    """A restart that loses messages costs time only: rows are sent again."""
    kept = int(_told("persistence").get("aof_enabled", 0))
    way = "set appendonly yes: after a restart work waits until the sweep sends it again"
    return Check(
        "redis persistence", f"AOF {'on' if kept else 'off'}", "" if kept else way, advice=True
    )


def _told(section: str) -> dict[str, Any]:
    with redis.Redis.from_url(_url("REDIS_URL", "Redis"), socket_timeout=3) as client:
        return dict(client.info(section))


def _redis_databases() -> Check:
    """Messages and results in databases of their own, under a prefix of this installation's own."""
    broker, results = settings.CELERY_BROKER_URL, settings.CELERY_RESULT_BACKEND
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    shared = not prefix and os.environ.get("REDIS_URL") not in embedded.embedded_urls()
    fix = all_of(
        "give results a database of their own: they crowd messages" if broker == results else "",
        "set REDIS_KEYPREFIX: installations that share a server mix up their keys"
        if shared
        else "",
    )
    return Check("redis databases", f"prefix {prefix or 'none'}", fix, advice=broker != results)


CHECKS = (
    _database, _vector, _migrations, _clock, _isolation, _durability, _room, _redis, _eviction, _full,
    _persistence, _redis_databases,
)  # fmt: skip
