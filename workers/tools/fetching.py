"""Fetching a page over HTTP, from granted hosts only, so that no internal service can be reached.

The host must be on the installation's list and in the task's grant. Its name is resolved once, all
its addresses are checked, and the connection goes to the checked one, while TLS is checked against
the name. Redirects are followed by hand, each as a new URL that goes through all of it. Proxies of
the environment are not used. Time and size are capped, the size of what is unpacked as well.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin

from workers.policy import Kind, host_matches
from workers.tools.addresses import TOOL, Resolve, parsed, resolved, system_resolve
from workers.tools.base import Tool, ToolFailed, arguments

BYTES_MAX = 2_000_000  # as sent, and again as unpacked
SECONDS_MAX = 20.0  # for all of it, redirects included
REDIRECTS_MAX = 5
_REDIRECT = (301, 302, 303, 307, 308)
_HEADERS = {
    "User-Agent": "agentsys",
    "Accept": "text/*, application/json, application/xml;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip, deflate, identity",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Fetcher:
    """`loopback` lets this machine be reached, `any_port` any port: for tests only, by whoever makes
    one; no setting of an installation and no grant does."""

    hosts: tuple[str, ...]
    resolve: Resolve = system_resolve
    loopback: bool = False
    any_port: bool = False

    def tool(self) -> Tool:
        return Tool(
            TOOL,
            f"Fetch a page (GET). Only from: {', '.join(self.hosts)}.",
            arguments({"url": {"type": "string", "maxLength": 4000}}),
            lambda args: self.fetch(args["url"]),
            kinds={"url": Kind.URL},
            origin="the web",
            hosts=self.hosts,
        )

    def fetch(self, url: str) -> str:
        """Status, media type and text; ToolFailed for what may not be, or cannot be, fetched."""
        ends = time.monotonic() + SECONDS_MAX
        for _ in range(REDIRECTS_MAX + 1):
            answer = self._get(url, ends)
            if answer.location is None:
                return answer.shown(url)
            url = urljoin(url, answer.location)
        raise ToolFailed(tool=TOOL, reason=f"more than {REDIRECTS_MAX} redirects")

    def _get(self, url: str, ends: float) -> _Answer:
        parts = self._checked(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        address = resolved(host, port, self.resolve, loopback=self.loopback)
        connection = _Pinned(host, port, address, secure, _left(ends))
        timer = threading.Timer(_left(ends), connection.cut)
        timer.daemon = True
        timer.start()
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={**_HEADERS, "Host": parts.netloc})
            answer = _read(connection, ends)
            _left(ends)  # an answer that was cut off looks like a whole one
            return answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = f"{host} did not answer: {type(error).__name__}: {error}"[:300]
            raise ToolFailed(tool=TOOL, reason=reason) from error
        finally:
            timer.cancel()
            connection.close()
            connection.cut()

    def _checked(self, url: str) -> SplitResult:
        parts = parsed(url, any_port=self.any_port)
        host = parts.hostname or ""
        if not host_matches(host, self.hosts):
            granted = ", ".join(self.hosts) or "none"
            reason = f"host {host[:200]!r} is not on the list ({granted})"
            raise ToolFailed(tool=TOOL, reason=reason)
        return parts


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    media_type: str
    body: bytes
    location: str | None
    truncated: bool

    def shown(self, url: str) -> str:
        cut = f", cut off at {len(self.body)} bytes" if self.truncated else ""
        head = f"{url}: status {self.status}, {self.media_type[:100]}{cut}\n"
        if b"\0" in self.body[:4000]:
            return f"{head}(binary, {len(self.body)} bytes)"
        return head + self.body.decode("utf-8", "replace")


class _Pinned(http.client.HTTPConnection):
    """Connects to an address that was checked, and checks the certificate against the name."""

    def __init__(self, host: str, port: int, address: str, secure: bool, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address, self._secure = address, secure
        self._plain: socket.socket | None = None

    def connect(self) -> None:
        self._plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._plain
        if self._secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self._plain, server_hostname=self.host)
            self._plain = self.sock

    def cut(self) -> None:
        """End it from outside, also in mid-header: a server may drip for ever."""
        if self._plain is not None:
            with suppress(OSError):
                self._plain.shutdown(socket.SHUT_RDWR)
            self._plain.close()


def _read(connection: http.client.HTTPConnection, ends: float) -> _Answer:
    response = connection.getresponse()
    location = response.getheader("Location") if response.status in _REDIRECT else None
    if location is not None:
        return _Answer(response.status, "", b"", location, False)
    raw, truncated = _capped(response, ends)
    body, more = _unpacked(raw, (response.getheader("Content-Encoding") or "").strip().lower())
    media_type = response.getheader("Content-Type") or "no media type"
    return _Answer(response.status, media_type, body, None, truncated or more)


def _capped(response: http.client.HTTPResponse, ends: float) -> tuple[bytes, bool]:
    """What is sent, up to the cap; a server that drips is left when the time is up."""
    parts: list[bytes] = []
    size = 0
    while size <= BYTES_MAX:
        part = response.read1(65_536)
        if not part:
            return b"".join(parts), False
        _left(ends)
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:BYTES_MAX], True


def _unpacked(raw: bytes, encoding: str) -> tuple[bytes, bool]:
    """At most BYTES_MAX, however much it would unpack to."""
    if encoding in ("", "identity"):
        return raw, False
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ToolFailed(tool=TOOL, reason=f"the content encoding {encoding[:40]!r} is not read")
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        found = unpack.decompress(raw, BYTES_MAX)
    except zlib.error as error:
        raise ToolFailed(tool=TOOL, reason=f"what was sent is no {encoding}: {error}") from error
    return found, bool(unpack.unconsumed_tail)


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise ToolFailed(tool=TOOL, reason=f"it took more than {SECONDS_MAX:.0f} s")
    return left


def fetching_tools(hosts: Sequence[str]) -> list[Tool]:
    """None, where the installation names no host."""
    return [Fetcher(tuple(hosts)).tool()] if hosts else []
