"""Nothing on this machine or in its networks is reached through a URL, however it is written."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from workers.tools import fetching
from workers.tools.addresses import closed
from workers.tools.base import ToolFailed
from workers.tools.fetching import BYTES_MAX, Fetcher, fetching_tools


class Canary(ThreadingHTTPServer):
    """Counts every request that reaches this machine."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.held = threading.Event()
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        self.connections += 1
        return True

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: Canary

    def do_GET(self) -> None:
        self.server.hits.append(self.path)
        if self.path == "/drip":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            self.wfile.flush()
            self.server.held.wait(30)
            return
        status, headers, body = self.server.pages.get(self.path, (200, {}, b"canary"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.held.set()
        server.shutdown()
        thread.join()


SPELLINGS = """
127.0.0.1 127.1 127.0.1 0.0.0.0 0 127.127.127.127 127.0.0.1. 2130706433 017700000001 0x7f000001 0x7f.1
0x7f.0x0.0x0.0x1 0177.0.0.1 0177.0.0.01 00177.0.0.1 127.0.0.0x1 0x7f.0.0.1 0177.1 017700000001. 127.00.00.01
[::1] [::] [0:0:0:0:0:0:0:1] [0000::1] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1]
[0:0:0:0:0:ffff:127.0.0.1] [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
[64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:7f00:0001::1] [2001:0:7f00:1::] [2001::8080:fffe]
[fe80::1] [fec0::1] [fc00::1]
[fd00:ec2::254] [ff02::1] [::ffff:169.254.169.254] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::]
169.254.169.254 169.254.170.2 2852039166 0xa9fea9fe 0251.0376.0251.0376 0xa9.0xfe.0xa9.0xfe 169.254.43518
100.100.100.200 168.63.129.16 192.0.0.192 100.64.0.1 198.18.0.1 192.0.2.1 198.51.100.1 203.0.113.1
10.0.0.1 10.1 012.0.0.1 0xa.0.0.1 167772161 172.16.0.1 172.31.255.255 0xac100001 192.168.0.1 192.168.1
3232235521 0xc0a80001 0300.0250.0.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 4294967295
localhost LOCALHOST localhost. localhost.localdomain ip6-localhost metadata.google.internal
loop.test mixed.test private.test mapped.test nat64.test linklocal.test sixtofour.test multicast.test
localtest.me lvh.me 127.0.0.1.nip.io rebind.test cname.test
①②⑦.⓪.⓪.① 127。0。0。1 １２７.0.0.1 loc𝐚lhost ℓocalhost 0b1111111.0.0.1 256.0.0.1 127.0.0.1.1 1.1.1.1.1
127.0.0.01x 0x7f0000010 [::1%lo] [::1%25lo] [fe80::1%eth0]
""".split()
FORMS = """
http://{h}:{p}/  https://{h}:{p}/  http://user@{h}:{p}/
""".split()
ODD = """
http://good.test@127.0.0.1:{p}/ http://good.test:80@127.0.0.1:{p}/ http://127.0.0.1:{p}@good.test/
http://good.test\\@127.0.0.1:{p}/ http://127.0.0.1:{p}\\@good.test/ http://good.test%40127.0.0.1:{p}/
http:/\\127.0.0.1:{p}/ http:///127.0.0.1:{p}/ http:127.0.0.1:{p}/ //127.0.0.1:{p}/ http://127.0.0.1:{p}#@good.test/
http://good.test#@127.0.0.1:{p}/ http://good.test?@127.0.0.1:{p}/ file:///etc/passwd file://127.0.0.1:{p}/
gopher://127.0.0.1:{p}/_GET%20/ ftp://127.0.0.1:{p}/ dict://127.0.0.1:{p}/
ldap://127.0.0.1:{p}/ data:text/plain,x
javascript:alert(1) jar:http://127.0.0.1:{p}/!/ unix:///run/docker.sock tftp://127.0.0.1:{p}/ http+unix://%2Frun/x
http://127.0.0.1:0{p}/ http://127.0.0.1:65536/ http://127.0.0.1:-1/ http://[127.0.0.1]:{p}/ http://[::1:{p}/
http://::1:{p}/ http://%31%32%37.0.0.1:{p}/ http://127%2e0%2e0%2e1:{p}/ http://.127.0.0.1:{p}/ http://127..1:{p}/
HTTP://127.0.0.1:{p}/ hTTp://LOCALHOST:{p}/ http://127.0.0.1:{p}/?a=http://good.test http://:{p}/ http://
""".split()  # fmt: skip
ANSWERS = {
    "loop.test": ["127.0.0.1"], "mixed.test": ["93.184.216.34", "127.0.0.1"],
    "private.test": ["10.0.0.8"], "mapped.test": ["::ffff:127.0.0.1"],
    "nat64.test": ["64:ff9b::7f00:1"], "linklocal.test": ["169.254.169.254"],
    "sixtofour.test": ["2002:7f00:1::"], "multicast.test": ["224.0.0.1"],
    "rebind.test": ["127.0.0.1"], "cname.test": ["::1"],
    "metadata.google.internal": ["169.254.169.254"],
}  # fmt: skip


def payloads(port: int) -> list[str]:
    odd = [
        f"http://127.0.0.1:{port}/\r\nHost: good.test", f"http://127.0.0.1\t:{port}/",
        f" http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/\x00", f"http://127.0.0.1\u200b:{port}/",
    ]  # fmt: skip
    odd += [url.replace("{p}", str(port)) for url in ODD]
    return odd + [form.format(h=host, p=port) for host in SPELLINGS for form in FORMS]


def anything(url: str) -> Fetcher:
    """A fetcher whose list has this URL's host, whatever it is: only the addresses protect."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    hosts = tuple(filter(None, (host, "good.test", "127.0.0.1", "::1")))
    return Fetcher(hosts, resolve=answers, any_port=True)


def answers(host: str, port: int) -> list[str]:
    return ANSWERS.get(host.casefold().rstrip("."), ["127.0.0.1"])


def test_200_spellings_of_this_machine_do_not_reach_it(canary: Canary) -> None:
    urls = payloads(canary.port)
    assert len(urls) >= 200
    for url in urls:
        with pytest.raises(ToolFailed):
            anything(url).fetch(url)
    assert (canary.connections, canary.hits) == (0, [])


def test_the_canary_sings_when_it_is_reached(canary: Canary) -> None:
    found = Fetcher(("127.0.0.1",), loopback=True, any_port=True)
    assert "canary" in found.fetch(f"http://127.0.0.1:{canary.port}/here")
    assert canary.hits == ["/here"]


def named(canary: Canary, *hosts: str, loopback: bool = True) -> tuple[Fetcher, list[str]]:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        if len(asked) > 1 and host == "rebind.test":
            raise AssertionError("the name was resolved a second time")
        return ["127.0.0.1"]

    return Fetcher(hosts, resolve=resolve, loopback=loopback, any_port=True), asked


def test_a_name_is_resolved_once_and_the_checked_address_is_used(canary: Canary) -> None:
    fetcher, asked = named(canary, "rebind.test")
    fetcher.fetch(f"http://rebind.test:{canary.port}/")
    assert asked == ["rebind.test"]


@pytest.mark.parametrize(
    "to", ["http://other.test:{p}/secret", "//other.test:{p}/secret", "file:///etc/passwd",
           "http://user@a.test:{p}/secret", "gopher://a.test:{p}/secret"],
)  # fmt: skip
def test_a_redirect_goes_through_all_checks_again(canary: Canary, to: str) -> None:
    location = to.format(p=canary.port)
    canary.pages["/"] = (302, {"Location": location}, b"")
    fetcher, _ = named(canary, "a.test")
    with pytest.raises(ToolFailed):
        fetcher.fetch(f"http://a.test:{canary.port}/")
    assert canary.hits == ["/"]


def test_a_redirect_to_a_granted_host_is_followed_but_not_for_ever(canary: Canary) -> None:
    canary.pages["/"] = (302, {"Location": "/next"}, b"")
    canary.pages["/loop"] = (302, {"Location": "/loop"}, b"")
    fetcher, _ = named(canary, "a.test")
    assert "canary" in fetcher.fetch(f"http://a.test:{canary.port}/")
    with pytest.raises(ToolFailed, match="more than 5 redirects"):
        fetcher.fetch(f"http://a.test:{canary.port}/loop")


def test_proxies_of_the_environment_are_not_used(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    fetcher, _ = named(canary, "a.test")
    assert "canary" in fetcher.fetch(f"http://a.test:{canary.port}/")


def test_a_bomb_unpacks_to_the_cap_and_no_further(canary: Canary) -> None:
    bomb = gzip.compress(b"\n" * 100 * BYTES_MAX)
    canary.pages["/"] = (200, {"Content-Encoding": "gzip", "Content-Type": "text/plain"}, bomb)
    fetcher, _ = named(canary, "a.test")
    found = fetcher.fetch(f"http://a.test:{canary.port}/")
    assert f"cut off at {BYTES_MAX} bytes" in found
    assert len(found) < BYTES_MAX + 1000


def test_what_is_sent_is_capped(canary: Canary) -> None:
    canary.pages["/"] = (200, {}, b"x" * (BYTES_MAX + 10_000))
    fetcher, _ = named(canary, "a.test")
    assert f"cut off at {BYTES_MAX} bytes" in fetcher.fetch(f"http://a.test:{canary.port}/")


def test_a_server_that_drips_is_left(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS_MAX", 0.3)
    fetcher, _ = named(canary, "a.test")
    with pytest.raises(ToolFailed):
        fetcher.fetch(f"http://a.test:{canary.port}/drip")


def test_a_host_that_is_not_on_the_list_is_not_even_resolved(canary: Canary) -> None:
    fetcher, asked = named(canary, "a.test")
    with pytest.raises(ToolFailed, match="is not on the list"):
        fetcher.fetch(f"http://b.test:{canary.port}/")
    assert asked == []


def test_no_host_no_tool() -> None:
    assert fetching_tools([]) == []
    assert [tool.name for tool in fetching_tools(["a.test"])] == ["http_fetch"]


def test_public_addresses_are_open() -> None:
    assert [closed(a) for a in ("93.184.216.34", "2606:2800:220:1::1")] == ["", ""]
