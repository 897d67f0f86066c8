"""Every setting of agentsys, read from the environment in one place, typed, with its default.

`django.conf.settings.AGENTSYS` is a `Config`. Nothing else in the project reads the environment,
except `agentsys.embedded`, which runs before Django and sets DATABASE_URL and REDIS_URL.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit, urlunsplit

from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import did_you_mean

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
    drain_seconds: float = 5.0  # after SIGTERM: what is not finished by then is given back
    batch_max: int = 200  # cheap deterministic tasks settled at once
    swarm_slots: int = 1000  # items of a swarm that one process has under way at once
    attempts_max: int = 3
    lost_max: int = 3  # workers lost to one task before it is quarantined
    backoff_seconds: float = 2.0
    backoff_max_seconds: float = 300.0
    approval_days: float = 3.0
    plan_tasks_max: int = 20_000
    model: str = ""  # provider:model, e.g. openai:gpt-5-mini or ollama:llama3.2
    model_wait_seconds: float = 5.0  # a provider's "later" that is waited out in place
    breaker_outages: int = 5  # in a row; then the provider is not asked for a while
    breaker_seconds: float = 30.0  # the first such pause; doubles up to five minutes
    verifier_floor: float = 0.7  # precision below which a measured verifier only advises
    embedder: str = "auto"  # auto | minilm | wordllama | hashing | provider:model
    memory_rows_max: int = 50_000  # live memories of a namespace; what is over is pruned
    memory_bytes_max: int = 268_435_456  # of a namespace's memories and what search keeps of them
    digest_model: str = ""  # provider:model that writes digests; empty: quotes, without a model
    backup_days: float = 30.0  # how long a backup may still hold what was forgotten
    on_drift: str = "restart"  # restart | ask: what follows when a model agent left its task
    sandbox: str = "auto"  # auto | none (runs without isolation; never with untrusted input)
    url: str = ""  # what people open the console at, for links in mails
    fetch_hosts: str = ""  # that agents may fetch pages from, e.g. docs.example.org,*.example.net
    flower_url: str = ""  # where Flower is, for the console's link; `stack` fills it in
    playbooks: Path = ROOT / "orchestration" / "playbooks"
    step_up_minutes: float = 15.0  # how long a password that was given counts, for what is risky
    api_per_minute: int = 1200  # requests of one token, or of one person's session
    log_format: str = "console"  # console | json
    log_level: str = "WARNING"


# What is read from the environment without the prefix, here and in `agentsys.settings`.
PLAIN_NAMES = (
    "DATABASE_URL", "REDIS_URL", "REDIS_KEYPREFIX", "SECRET_KEY", "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS", "TLS", "DEBUG", "CONN_MAX_AGE",
)  # fmt: skip

CHOICES = {
    "sandbox": ("auto", "none"),
    "on_drift": ("restart", "ask"),
    "embedder": ("auto", "minilm", "wordllama", "hashing"),
    "log_format": ("console", "json"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
}


def load(environ: Mapping[str, str] = os.environ) -> Config:
    """Read AGENTSYS_*; BadInput names each unknown, unreadable or impossible one."""
    known = {f"AGENTSYS_{f.name.upper()}": f for f in fields(Config)}
    values: dict[str, Any] = {}
    problems = []
    for name, text in environ.items():
        if not name.startswith("AGENTSYS_"):
            continue
        field = known.get(name)
        if field is None:
            known_ones = f"known are {', '.join(sorted(known))}"
            problems.append(f"{name} is not a setting{did_you_mean(name, known)}; {known_ones}")
            continue
        try:
            values[field.name] = _value(type(field.default), text)
        except ValueError:
            problems.append(f"{name}={text!r} is not a {type(field.default).__name__}")
    config = Config(**values)
    problems += _impossible(config)
    if problems:
        raise BadInput(what="environment", problems=problems)
    return config


def _value(kind: Any, text: str) -> Any:
    """Relative paths count from the checkout, wherever a command was started."""
    return (ROOT / text).resolve() if issubclass(kind, Path) else kind(text)


def _impossible(config: Config) -> Iterator[str]:
    """What can be read but cannot be meant."""
    for name, value in asdict(config).items():
        shown = f"AGENTSYS_{name.upper()}={value}"
        plain = value.upper() if name == "log_level" else value
        if name == "embedder" and ":" in plain:
            continue  # provider:model, which the check of memory looks at
        if name in CHOICES and plain not in CHOICES[name]:
            yield f"{shown} is not one of {', '.join(CHOICES[name])}"
        elif isinstance(value, int | float) and not 0 < value < float("inf"):
            yield f"{shown} is not more than 0"
        elif name == "flower_url" and value and not value.startswith(("http://", "https://")):
            yield f"{shown} is no address; write http://HOST:PORT/ or https://HOST/"
        elif name == "verifier_floor" and value > 1:
            yield f"{shown} is not a fraction: 0.7 is 70 %"
    if config.heartbeat_seconds >= config.lease_seconds:
        yield (
            f"AGENTSYS_HEARTBEAT_SECONDS={config.heartbeat_seconds} is not less than "
            f"AGENTSYS_LEASE_SECONDS={config.lease_seconds}: "
            "every lease would run out; a sixth of it is usual"
        )


def installed(*names: str) -> list[str]:
    """Those of `names` that can be imported: optional Django apps."""
    from importlib.util import find_spec

    return [name for name in names if find_spec(name) is not None]


def local_secret(home: Path) -> str:
    """A secret key made once per machine and kept, readable by its owner only, in `home`.
    BadInput for a folder that is somebody else's."""
    try:
        return _local_secret(home)
    except OSError as error:
        told = f"AGENTSYS_HOME={home} cannot be used: {error}; give a folder of your own"
        raise BadInput(what="environment", problems=[told]) from error


def _local_secret(home: Path) -> str:
    path = home / "secret_key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=home, prefix="secret_key.") as file:  # mode 0600
            file.write(secrets.token_urlsafe(50))
            file.flush()
            with suppress(FileExistsError):  # another process was first: its key counts
                os.link(file.name, path)
    return path.read_text().strip()


def database(url: str, *, lease_seconds: float) -> dict[str, Any]:
    """Django's DATABASES entry for a libpq URL; sockets are given as `?host=/folder`.

    A process that is stopped within a transaction holds its locks no longer than a lease: others
    wait for them, above all the sweep that would take back what it held. And a server that is
    gone without a word is waited for no longer than that.
    """
    parts = _parts("DATABASE_URL", url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "agentsys",
        "USER": unquote(parts.username or query.pop("user", "")),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or "") or query.pop("host", ""),
        "PORT": str(parts.port or query.pop("port", "") or ""),
        "CONN_MAX_AGE": int(os.environ.get("CONN_MAX_AGE", "0")),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            # Django prepares nothing by itself; this lets `agentsys.prepared` do so.
            "prepare_threshold": _threshold(query.pop("prepare_threshold", "5")),
            "keepalives_idle": math.ceil(lease_seconds / 2),
            "keepalives_interval": math.ceil(lease_seconds / 6),
            "keepalives_count": 3,
            "tcp_user_timeout": round(lease_seconds * 1000),
            "options": "-c jit=off "  # every statement is short: compiling takes longer
            f"-c idle_in_transaction_session_timeout={round(lease_seconds * 1000)}ms",
            **query,
        },
    }


def _threshold(given: str) -> int | None:
    """How often a statement comes before it is prepared by itself; `none`: no statement ever is."""
    if given == "none":
        return None
    if not given.isdecimal():
        problem = f"prepare_threshold of DATABASE_URL is a number or none, not `{given}`"
        raise BadInput(what="environment", problems=[problem])
    return int(given)


def _parts(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise BadInput(what="environment", problems=[f"{name} is no URL: {error}"]) from error
    return parts


REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+socket")


def celery_urls(url: str) -> tuple[str, str]:
    """Broker and result-backend URLs: databases N and N+1 of the server at `url`.

    `unix:///path` (redis-py's form) becomes kombu's `redis+socket:///path?virtual_host=N`.
    BadInput for what is no Redis URL. Empty means unset: the embedded server's comes later.
    """
    parts = _parts("REDIS_URL", url)
    on_socket = parts.scheme in ("unix", "redis+socket")
    number = parse_qs(parts.query).get("db", ["0"])[0] if on_socket else parts.path.strip("/")
    if url and (parts.scheme not in REDIS_SCHEMES or not (number or "0").isdigit()):
        raise BadInput(
            what="environment",
            problems=[
                "REDIS_URL is not a Redis URL; write redis://HOST:PORT/N, rediss://… or "
                "unix:///path/to/socket?db=N, where N is a number"
            ],
        )
    first = int(number or 0)
    if on_socket:
        return (
            f"redis+socket://{parts.path}?virtual_host={first}",
            f"redis+socket://{parts.path}?virtual_host={first + 1}",
        )
    base = urlunsplit((parts.scheme, parts.netloc, "", parts.query, ""))
    return _with_path(base, first), _with_path(base, first + 1)


def _with_path(base: str, number: int) -> str:
    parts = urlsplit(base)
    return urlunsplit((parts.scheme, parts.netloc, f"/{number}", parts.query, ""))
