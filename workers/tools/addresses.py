"""Which addresses may be connected to: those of the public internet, and none that stands for another.

A name is resolved once. Every address that it has must be allowed, since whoever chose the name
chose the answer, and one of them is then used, whatever the name says a moment later.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from workers.tools.base import ToolFailed

TOOL = "http_fetch"
PORTS = (80, 443)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]
# The IPv4 address is in the last 32 bits of these; in 2002::/16 and Teredo, elsewhere.
_EMBEDDING = (
    ipaddress.ip_network("::/96"),
    ipaddress.ip_network("::ffff:0:0/96"),
    ipaddress.ip_network("::ffff:0:0:0/96"),
    ipaddress.ip_network("64:ff9b::/96"),
    ipaddress.ip_network("64:ff9b:1::/48"),
)
_MORE_CLOSED = (
    ipaddress.ip_network("100.64.0.0/10"),  # shared with a carrier; some clouds' metadata
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("198.18.0.0/15"),
    ipaddress.ip_network("168.63.129.16/32"),  # a cloud's platform address, public by number
    ipaddress.ip_network("fec0::/10"),
)


def parsed(url: str, *, any_port: bool = False) -> SplitResult:
    """The parts of a plain http(s) URL; ToolFailed says why it is none."""
    problem = ""
    if any(ord(c) <= 32 or ord(c) == 127 for c in url) or "\\" in url:
        problem = "it holds white space, control characters or a backslash"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused(url, str(error)) from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https"):
        problem = "only http and https are fetched"
    elif "@" in parts.netloc:
        problem = "it names a user"
    elif not host or "%" in host or host.startswith(".") or ".." in host:
        problem = "its host is none"
    elif port is not None and port not in PORTS and not any_port:
        problem = f"only the ports {' and '.join(map(str, PORTS))} are used"
    elif not host.isascii():
        problem = "its host is not in ASCII; write the form that begins with xn--"
    if problem:
        raise _refused(url, problem)
    return parts


def resolved(host: str, port: int, resolve: Resolve, *, loopback: bool = False) -> str:
    """The address to connect to. ToolFailed when there is none, or any is closed."""
    literal = _literal(host)
    try:
        found = [literal] if literal else resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise _refused(host, f"the name cannot be resolved: {error}") from error
    if not found:
        raise _refused(host, "the name has no address")
    for text in found:
        if why := closed(text, loopback=loopback):
            raise _refused(host, f"{text} is {why}")
    return found[0]


def system_resolve(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def closed(text: str, *, loopback: bool = False) -> str:
    """Why an address is not connected to; "" when it may be."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "no address"
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return "of one link only"
        if (inner := _embedded(address)) is not None:
            return f"a form of {inner}, and such forms are not used"
    if address.is_loopback:
        return "" if loopback else "this machine"
    if any(address in net for net in _MORE_CLOSED if net.version == address.version):
        return "not public"
    return "" if address.is_global and not address.is_multicast else "not public"


def _literal(host: str) -> str:
    """The address that a host is a spelling of: also decimal, octal, hexadecimal, short forms,
    which some resolvers take and others do not. "" for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    bare = host.rstrip(".")
    last = bare.rpartition(".")[2]
    if not last or not (last.isdigit() or last.startswith("0x")):
        return ""
    try:
        return socket.inet_ntoa(socket.inet_aton(bare))
    except OSError as error:
        raise _refused(host, "it looks like an address and is none") from error


def _embedded(address: ipaddress.IPv6Address) -> Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if address in (ipaddress.IPv6Address("::"), ipaddress.IPv6Address("::1")):
        return None
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _refused(what: str, why: str) -> ToolFailed:
    return ToolFailed(tool=TOOL, reason=f"{what[:200]!r} is not fetched: {why}")
