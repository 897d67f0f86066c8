"""The probes: `/healthz` says that the process answers, `/readyz` that it can do work.

`/healthz` touches nothing outside the process, so that a database outage does not make a
supervisor restart web servers that are fine. `/readyz` names what is missing and the way out, and
is 503 until nothing is.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import Redis
from redis.exceptions import RedisError

PROBE_SECONDS = 2.0
UNAPPLIED_SHOWN_MAX = 5


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    report = readiness()
    missing = [name for name, problem in report.items() if problem]
    body = {
        "status": "missing" if missing else "ready",
        "missing": missing,
        "checks": {name: problem or "ok" for name, problem in report.items()},
    }
    return JsonResponse(body, status=503 if missing else 200)


def readiness() -> dict[str, str]:
    """For each thing the web process needs: what is wrong with it, or an empty string."""
    database = database_problem()
    return {
        "database": database,
        "migrations": "the database cannot be asked" if database else migrations_problem(),
        "broker": broker_problem(),
    }


def database_problem() -> str:
    return _problem(_ask_database)


def migrations_problem() -> str:
    return _problem(_ask_migrations)


def broker_problem() -> str:
    return _problem(_ask_broker)


def _ask_database() -> str:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _ask_migrations() -> str:
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return ""
    names = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
    more = ", …" if len(names) > UNAPPLIED_SHOWN_MAX else ""
    shown = ", ".join(names[:UNAPPLIED_SHOWN_MAX])
    return f"{len(names)} not applied ({shown}{more}); `python manage.py migrate` applies them"


def _ask_broker() -> str:
    if not settings.REDIS_URL:
        return "REDIS_URL is not set"
    timeout = {"socket_timeout": PROBE_SECONDS, "socket_connect_timeout": PROBE_SECONDS}
    with Redis.from_url(settings.REDIS_URL, **timeout) as client:
        client.ping()
    return ""


def _problem(ask: Callable[[], str]) -> str:
    """Errors of the thing asked become the answer. The message carries no password: drivers name
    host and port only, and just its first line is kept."""
    try:
        return ask()
    except (DatabaseError, InconsistentMigrationHistory, RedisError, OSError, ValueError) as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
