"""One health check: a command, a TCP port, free disk space or an HTTP address."""

from __future__ import annotations

import http.client
import ipaddress
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workers import sandbox

CHECKS = ("argv", "tcp", "disk", "http")
SECONDS_MAX = 10.0
DETAIL_CHARS = 500


def check(wanted: Mapping[str, Any], workspace: Path) -> dict[str, Any]:
    """{"name", "ok", "detail", "duration_seconds"}; what cannot be checked is not ok."""
    started = time.monotonic()
    kind = next(kind for kind in CHECKS if kind in wanted)
    try:
        if kind == "argv":
            ok, detail = _command(wanted, workspace)
        else:
            ok, detail = {"tcp": _tcp, "disk": _disk, "http": _http}[kind](wanted)
    except (OSError, ValueError, http.client.HTTPException) as error:
        ok, detail = False, f"{type(error).__name__}: {error}"
    return {
        "name": str(wanted["name"]),
        "ok": ok,
        "detail": detail[:DETAIL_CHARS],
        "duration_seconds": round(time.monotonic() - started, 3),
    }


def _seconds(wanted: Mapping[str, Any]) -> float:
    return float(wanted.get("timeout_seconds", SECONDS_MAX))


def _command(wanted: Mapping[str, Any], workspace: Path) -> tuple[bool, str]:
    ended = sandbox.run(
        wanted["argv"],
        cwd=workspace,
        readable=[workspace],
        timeout_seconds=_seconds(wanted),
        output_bytes_max=20_000,
    )
    if ended.timed_out:
        return False, f"took over {_seconds(wanted):g} s"
    said = (ended.stdout.strip() or ended.stderr.strip()).splitlines()[-1:]
    return ended.exit_code == 0, f"exit code {ended.exit_code}" + "".join(f": {s}" for s in said)


def _tcp(wanted: Mapping[str, Any]) -> tuple[bool, str]:
    host, _, port = wanted["tcp"].rpartition(":")
    address = _address(host.strip("[]"), wanted)
    with socket.create_connection((address, int(port)), timeout=_seconds(wanted)):
        return True, f"{wanted['tcp']} accepts connections"


def _disk(wanted: Mapping[str, Any]) -> tuple[bool, str]:
    free_mb = shutil.disk_usage(wanted["disk"]).free // 2**20
    least = wanted.get("min_free_mb", 0)
    return free_mb >= least, f"{free_mb} MB free on {wanted['disk']}, expected at least {least:g}"


def _http(wanted: Mapping[str, Any]) -> tuple[bool, str]:
    """One GET, redirects not followed, no proxy; 2xx and 3xx are ok."""
    parts = urlsplit(wanted["http"])
    address = _address(parts.hostname or "", wanted)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    port = parts.port or (443 if secure else 80)
    connection = kind(address, port, timeout=_seconds(wanted))
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Host": parts.netloc.rpartition("@")[2]})
        status = connection.getresponse().status
    finally:
        connection.close()
    return 200 <= status < 400, f"{wanted['http']} answers {status}"


def _address(host: str, wanted: Mapping[str, Any]) -> str:
    """The address to connect to, resolved once. Without `remote` only this machine's loopback, and
    never a link-local one: a plan's text must not make the worker knock on other doors."""
    found = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    address = ipaddress.ip_address(found.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if not address.is_loopback and not wanted.get("remote"):
        raise ValueError(f"{host} is {found}, not this machine; set `remote` to check it")
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{host} is {found}, which is never checked")
    return found
