"""How Django and Celery are set up: what lets others in, and what loses or doubles work."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from agentsys.doctor.check import Check, all_of

LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", "testserver"}
PREFETCH = 1
STOP_SECONDS = 30.0  # that the supervisor gives a worker


def _web() -> Check:
    if settings.DEBUG:
        return Check("web", "DEBUG=1", "unset DEBUG: error pages show settings and code")
    how = "behind TLS" if settings.TLS else "plain http, for this machine only"
    return Check("web", f"settings: {how}")


def _hosts() -> Check:
    hosts = set(settings.ALLOWED_HOSTS)
    public = settings.TLS and hosts <= LOCAL_HOSTS
    fix = all_of(
        "name the hosts in ALLOWED_HOSTS: * answers to any name" if "*" in hosts else "",
        "set ALLOWED_HOSTS: it is empty, and every request is refused" if not hosts else "",
        "add the public name to ALLOWED_HOSTS: TLS=1, and only local ones are there"
        if public and hosts
        else "",
    )
    return Check("hosts", ", ".join(sorted(hosts)) or "none", fix)


def _origins() -> Check:
    origins = settings.CSRF_TRUSTED_ORIGINS
    bare = [one for one in origins if "://" not in one]
    plain = [one for one in origins if one.startswith("http://")] if settings.TLS else []
    fix = all_of(
        f"write https://{bare[0]} in CSRF_TRUSTED_ORIGINS: an origin has a scheme" if bare else "",
        f"write https:// for {plain[0]}: behind TLS no form comes from http" if plain else "",
        "take * out of CSRF_TRUSTED_ORIGINS: any page could send forms"
        if any(one in ("*", "https://*", "http://*") for one in origins)
        else "",
    )
    return Check("form origins", ", ".join(origins) or "the console's own", fix)


def _cookies() -> Check:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT")
    off = [name for name in names if settings.TLS and not getattr(settings, name)]
    fix = f"set {', '.join(off)}: behind TLS a cookie must not travel without it" if off else ""
    return Check("cookies", "secure" if settings.TLS else "for plain http", fix)


def _secret() -> Check:
    length = len(settings.SECRET_KEY)
    return Check("secret key", f"{length} characters", "" if length >= 40 else "set SECRET_KEY")


def _timezone() -> Check:
    fix = all_of(
        "set USE_TZ = True: rows hold moments, not wall clocks" if not settings.USE_TZ else "",
        "set TIME_ZONE = 'UTC': schedules and pages mean UTC"
        if settings.TIME_ZONE != "UTC"
        else "",
    )
    return Check("timezone", f"{settings.TIME_ZONE}, USE_TZ={settings.USE_TZ}", fix)


def _connections() -> Check:
    """Pooling and persistent connections exclude each other; without health checks a server that was
    restarted costs each thread a request."""
    database: dict[str, Any] = settings.DATABASES["default"]
    pooled, age = bool(database.get("OPTIONS", {}).get("pool")), database.get("CONN_MAX_AGE", 0)
    checked = database.get("CONN_HEALTH_CHECKS", False)
    fix = all_of(
        "unset CONN_MAX_AGE: a pool keeps the connections" if pooled and age != 0 else "",
        "set CONN_HEALTH_CHECKS: connections are kept, and the server may have gone meanwhile"
        if age != 0 and not checked
        else "",
    )
    return Check("connections", f"CONN_MAX_AGE={age}{', pooled' if pooled else ''}", fix)


def _messages() -> Check:
    """Messages are acknowledged when their work is done, fetched one at a time, and hold JSON."""
    prefetch = settings.CELERY_WORKER_PREFETCH_MULTIPLIER
    accepted = set(settings.CELERY_ACCEPT_CONTENT) | set(settings.CELERY_RESULT_ACCEPT_CONTENT)
    fix = all_of(
        "set CELERY_TASK_ACKS_LATE: a message dies with its worker"
        if not settings.CELERY_TASK_ACKS_LATE
        else "",
        "set CELERY_TASK_REJECT_ON_WORKER_LOST: the same"
        if not settings.CELERY_TASK_REJECT_ON_WORKER_LOST
        else "",
        f"set CELERY_WORKER_PREFETCH_MULTIPLIER to 1: at {prefetch} messages wait behind a busy worker"
        if prefetch != PREFETCH
        else "",
        "accept json only: pickle in a message is code" if accepted != {"json"} else "",
        "unset CELERY_TASK_PUBLISH_RETRY: whoever publishes hangs while the broker is away"
        if settings.CELERY_TASK_PUBLISH_RETRY
        else "",
        "unset CELERY_TASK_ALWAYS_EAGER: work would run in the web process"
        if getattr(settings, "CELERY_TASK_ALWAYS_EAGER", False)
        else "",
    )
    return Check(
        "messages", f"late acknowledgement, prefetch {prefetch}, {', '.join(accepted)}", fix
    )


def _visibility() -> Check:
    timeout = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    limit, soft = settings.CELERY_TASK_TIME_LIMIT, settings.CELERY_TASK_SOFT_TIME_LIMIT
    fix = all_of(
        "visibility_timeout must be over twice the time limit" if timeout <= 2 * limit else "",
        "CELERY_TASK_SOFT_TIME_LIMIT must be under CELERY_TASK_TIME_LIMIT" if soft >= limit else "",
    )
    return Check("visibility", f"{timeout} s for messages of at most {limit} s", fix)


def _timings() -> Check:
    """Settings that are possible each by itself, and not together."""
    ours = settings.AGENTSYS
    soft = settings.CELERY_TASK_SOFT_TIME_LIMIT
    fix = all_of(
        f"AGENTSYS_HEARTBEAT_SECONDS={ours.heartbeat_seconds:g} must be under a third of a lease: one that"
        " is late loses work"
        if ours.heartbeat_seconds * 3 > ours.lease_seconds
        else "",
        f"AGENTSYS_SLICE_SECONDS={ours.slice_seconds:g} must be under the soft time limit of {soft} s"
        if ours.slice_seconds >= soft
        else "",
        f"AGENTSYS_DRAIN_SECONDS={ours.drain_seconds:g} must be under the {STOP_SECONDS:g} s after which"
        " `stack` ends a worker"
        if ours.drain_seconds >= STOP_SECONDS
        else "",
        "AGENTSYS_BACKOFF_SECONDS is over AGENTSYS_BACKOFF_MAX_SECONDS"
        if ours.backoff_seconds > ours.backoff_max_seconds
        else "",
        "AGENTSYS_REPUBLISH_SECONDS is over AGENTSYS_REPUBLISH_MAX_SECONDS"
        if ours.republish_seconds > ours.republish_max_seconds
        else "",
    )
    return Check("timings", f"lease {ours.lease_seconds:g} s, slice {ours.slice_seconds:g} s", fix)


CHECKS = (
    _web, _hosts, _origins, _cookies, _secret, _timezone, _connections, _messages, _visibility, _timings,
)  # fmt: skip
