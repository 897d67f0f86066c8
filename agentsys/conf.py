"""Every setting of agentsys, read from the environment in one place, typed, with its default.

`django.conf.settings.AGENTSYS` is a `Config`. Nothing else in the project reads the environment,
except `agentsys.embedded`, which runs before Django and sets DATABASE_URL and REDIS_URL.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from agentsys.kernel.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Config:
    """Names are the environment's, lower case, without the prefix AGENTSYS_."""

    home: Path = ROOT / ".agentsys"  # embedded servers, workspaces, logs
    lease_seconds: float = 30.0
    heartbeat_seconds: float = 5.0
    sweep_seconds: float = 1.0
    republish_seconds: float = 5.0  # first re-publish of an unclaimed row; doubles up to the max
    republish_max_seconds: float = 60.0
    slice_seconds: float = 600.0  # longest stretch of work behind one message
    batch_max: int = 50  # cheap deterministic tasks claimed at once
    attempts_max: int = 3
    lost_max: int = 3  # workers lost to one task before it is quarantined
    backoff_seconds: float = 2.0
    backoff_max_seconds: float = 300.0
    approval_days: float = 3.0
    plan_tasks_max: int = 20_000
    model: str = ""  # provider:model, e.g. openai:gpt-5-mini or ollama:llama3.2
    embedder: str = "wordllama"  # wordllama | hashing
    sandbox: str = "auto"  # auto | none (runs without isolation; never with untrusted input)
    playbooks: Path = ROOT / "orchestration" / "playbooks"
    log_format: str = "console"  # console | json
    log_level: str = "WARNING"


def load(environ: Mapping[str, str] = os.environ) -> Config:
    """Read AGENTSYS_*; BadInput names each unknown or unreadable one."""
    known = {f"AGENTSYS_{f.name.upper()}": f for f in fields(Config)}
    values: dict[str, Any] = {}
    problems = []
    for name, text in environ.items():
        if not name.startswith("AGENTSYS_"):
            continue
        field = known.get(name)
        if field is None:
            problems.append(f"{name} is not a setting; known are {', '.join(sorted(known))}")
            continue
        kind: Any = type(field.default)
        try:
            values[field.name] = (Path if issubclass(kind, Path) else kind)(text)
        except ValueError:
            problems.append(f"{name}={text!r} is not a {kind.__name__}")
    if problems:
        raise BadInput(what="environment", problems=problems)
    return Config(**values)


def installed(*names: str) -> list[str]:
    """Those of `names` that can be imported: optional Django apps."""
    from importlib.util import find_spec

    return [name for name in names if find_spec(name) is not None]


def local_secret(home: Path) -> str:
    """A secret key made once per machine and kept, readable by its owner only, in `home`."""
    path = home / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        home.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
        return path.read_text().strip()


def database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a libpq URL; sockets are given as `?host=/folder`."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "agentsys",
        "USER": unquote(parts.username or query.pop("user", "")),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or "") or query.pop("host", ""),
        "PORT": str(parts.port or query.pop("port", "") or ""),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, **query},
    }


def celery_urls(url: str) -> tuple[str, str]:
    """Broker and result-backend URLs: databases 0 and 1 of the server at `url`.

    `unix:///path` (redis-py's form) becomes kombu's `redis+socket:///path?virtual_host=N`.
    """
    parts = urlsplit(url)
    if parts.scheme in ("unix", "redis+socket"):
        first = int(parse_qs(parts.query).get("db", ["0"])[0])
        return (
            f"redis+socket://{parts.path}?virtual_host={first}",
            f"redis+socket://{parts.path}?virtual_host={first + 1}",
        )
    first = int(parts.path.strip("/") or 0)
    base = urlunsplit((parts.scheme, parts.netloc, "", parts.query, ""))
    return _with_path(base, first), _with_path(base, first + 1)


def _with_path(base: str, number: int) -> str:
    parts = urlsplit(base)
    return urlunsplit((parts.scheme, parts.netloc, f"/{number}", parts.query, ""))
