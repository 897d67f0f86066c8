"""What can be wrong with an installation, each with its fix. Reads only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import django.db
import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agentsys import embedded, ports, supervisor
from agentsys.embedded import check_database, check_redis
from agentsys.embedded.health import shown
from agentsys.kernel.errors import AgentsysError, ServiceAway
from agentsys.kernel.plugins import left_out

GIT_MIN = (2, 38)  # merge-tree --write-tree
FREE_MB_MIN = 500
PGVECTOR_MIN = (0, 7)  # halfvec


@dataclass(frozen=True, slots=True)
class Check:
    """`fix` is empty when all is well. `away`: a server cannot be reached. `advice`: the
    installation is sound without it."""

    name: str
    found: str
    fix: str = ""
    away: bool = False
    advice: bool = False


def examine() -> Iterator[Check]:
    """Every check, in order; one that breaks is a finding itself."""
    checks: tuple[Callable[[], Check], ...] = (
        _python, _git, _sandbox, _disk, _servers, _database, _vector, _migrations, _redis,
        _eviction, _visibility, _web, _secret, _embedder, _models, _roles, _breakers, _plugins, _workers,
        _stack,
    )  # fmt: skip
    for check in checks:
        yield _examined(check)


def _examined(check: Callable[[], Check]) -> Check:
    name = check.__name__.lstrip("_")
    try:
        return check()
    except ServiceAway as away:
        return Check(name, str(away.context["reason"]), str(away.context["way_out"]), away=True)
    except AgentsysError as error:
        return Check(name, type(error).__name__, str(error))
    except (django.db.Error, redis.RedisError):
        return Check(name, "not examined", "mend the server above first")
    except Exception as error:  # a check must not hide the others
        text = " ".join(str(error).split())[:300]
        return Check(name, f"{type(error).__name__}: {text}", "see the other findings first")


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", version, "" if sys.version_info >= (3, 11) else "install Python 3.11")


def _git() -> Check:
    path = shutil.which("git")
    if path is None:
        return Check("git", "not found", "install git 2.38 or newer")
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(n) for n in text.split()[2].split(".")[:2])
    return Check("git", text.strip(), "" if version >= GIT_MIN else "install git 2.38 or newer")


def _sandbox() -> Check:
    from workers import sandbox

    level = sandbox.level()
    fix = "" if level.name != "none" else "unset AGENTSYS_SANDBOX: nothing isolates agents now"
    return Check("sandbox", f"{level.name} ({level.detail})", fix)


def _disk() -> Check:
    home = settings.AGENTSYS.home
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free // 1_000_000
    fix = "" if free >= FREE_MB_MIN else f"free at least {FREE_MB_MIN} MB below {home}"
    return Check("disk", f"{free} MB free", fix)


def _servers() -> Check:
    database, redis = embedded.embedded_urls()
    found = {
        "PostgreSQL": _url("DATABASE_URL", "PostgreSQL") == database,
        "Redis": _url("REDIS_URL", "Redis") == redis,
    }
    return Check(
        "servers", ", ".join(f"{n} {'embedded' if ours else 'given'}" for n, ours in found.items())
    )


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


def _database() -> Check:
    url = _url("DATABASE_URL", "PostgreSQL")
    check_database(url)
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0]
    fix = "" if int(version.split(".")[0]) >= 16 else "use PostgreSQL 16 or newer"
    return Check("database", f"PostgreSQL {version} at {shown(url)}", fix)


def _vector() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        row = cursor.fetchone()
    if row is None:
        return Check("pgvector", "missing", "let a superuser run CREATE EXTENSION vector")
    version = tuple(int(n) for n in row[0].split(".")[:2])
    return Check("pgvector", row[0], "" if version >= PGVECTOR_MIN else "update pgvector to 0.7+")


def _migrations() -> Check:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return Check("migrations", f"{len(plan)} to apply", "run `manage.py migrate`" if plan else "")


def _redis() -> Check:
    url = _url("REDIS_URL", "Redis")
    check_redis(url)
    return Check("redis", shown(url))


def _eviction() -> Check:
    with redis.Redis.from_url(_url("REDIS_URL", "Redis"), socket_timeout=3) as client:
        policy = client.info("memory").get("maxmemory_policy", "unknown")
    fix = "" if policy == "noeviction" else "set maxmemory-policy noeviction: others lose messages"
    return Check("redis eviction", str(policy), fix)


def _visibility() -> Check:
    timeout = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    limit = settings.CELERY_TASK_TIME_LIMIT
    fix = "" if timeout > 2 * limit else "visibility_timeout must be over twice the time limit"
    return Check("visibility", f"{timeout} s for messages of at most {limit} s", fix)


def _web() -> Check:
    if settings.DEBUG:
        return Check("web", "DEBUG=1", "unset DEBUG: error pages show settings and code")
    how = "behind TLS" if settings.TLS else "plain http, for this machine only"
    return Check("web", f"settings: {how}")


def _secret() -> Check:
    length = len(settings.SECRET_KEY)
    return Check("secret key", f"{length} characters", "" if length >= 40 else "set SECRET_KEY")


def _embedder() -> Check:
    from agentsys.gateway.embeddings import embedder

    found = embedder(settings.AGENTSYS.embedder)
    found.embed(["hello"])
    return Check("embedder", found.name)


def _models() -> Check:
    from agentsys.gateway.providers import problem_of
    from agentsys.gateway.roles import profiles

    chains = profiles()
    found = [f"{role} {', '.join(map(str, chain))}" for role, chain in chains.items()]
    fixes = {
        f"{profile}: {problem}"
        for chain in chains.values()
        for profile in chain
        if (problem := problem_of(profile))
    }
    return Check("models", "; ".join(found) or "none", "; ".join(sorted(fixes)))


def _roles() -> Check:
    from agentsys.gateway.roles import profiles, unasked

    own = sorted(set(profiles()) - {"*"})
    hints = [hint for role in own if (hint := unasked(role))]
    return Check("model roles", ", ".join(own) or "none", "; ".join(hints), advice=True)


def _breakers() -> Check:
    from agentsys.gateway.breakers import breakers

    seen = [one for one in breakers() if one.state != "closed"]
    found = "; ".join(f"{one.source} {one.shown}" for one in seen) or "closed"
    fix = "wait, or see what these providers say about themselves" if seen else ""
    return Check("breakers", found, fix, advice=True)


def _plugins() -> Check:
    """Other packages' code, loaded as a worker would."""
    from agentsys.gateway import providers
    from verification.services import verifier_names
    from workers.micro import micro_agents
    from workers.services import agent_info
    from workers.tools.kit import tool_names

    for load in (agent_info, micro_agents, verifier_names, tool_names, providers.plugins):
        load()
    left = [str(one) for one in left_out()]
    return Check("plugins", f"{len(left) or 'none'} left out", "; ".join(left), advice=True)


def _workers() -> Check:
    from orchestration.services.sessions import sessions_alive

    alive = len(sessions_alive())
    fix = "" if alive else "start one: `make up`"
    return Check("workers", f"{alive} running", fix, advice=True)


def _stack() -> Check:
    """Of this home: what answers on a port may be anybody's, so its processes are looked at."""
    found = supervisor.status(supervisor.Layout(settings.AGENTSYS.home))
    down = supervisor.down_of(found)
    if down:
        fix = "`stack logs` says why; where a port is taken, stop and " + ports.OTHER_PORTS
        return Check("stack", f"{', '.join(down)} down", fix)
    if found["up"]:
        return Check("stack", ", ".join(found["services"]) + " up")
    strange = [str(port) for port in ports.PORTS.values() if ports.taken(port)]
    if strange:
        told = f"not running; port {' and '.join(strange)} taken by other programs"
        return Check("stack", told, "start it with " + ports.OTHER_PORTS, advice=True)
    return Check("stack", "not running")
