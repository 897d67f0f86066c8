"""The server itself: a thread for each connection, everything that was asked in a list."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from agentsys.gateway.loopback.turns import Cut, Raw, Turn, fault, rendered

Script = Sequence[Turn] | Callable[["Asked"], Turn]
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER for no time: closing sends RST


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `number` counts from 1, `at` is `time.monotonic()` when it had come in."""

    number: int
    at: float
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages") or ())

    @property
    def text(self) -> str:
        """All that the prompt says."""
        return "\n".join(str(message.get("content") or "") for message in self.messages)

    @property
    def tools(self) -> list[str]:
        return [tool["function"]["name"] for tool in self.body.get("tools") or ()]


class Loopback:
    """A context manager; `base_url` holds while it is entered. Safe for any number of clients.

    `asked`: every request so far. `open` and `open_max`: requests being answered, now and at most.
    """

    def __init__(self, script: Script) -> None:
        self.asked: list[Asked] = []
        self.open = self.open_max = 0
        self.closing = threading.Event()
        self._turns = None if callable(script) else list(script)
        self._function = script if callable(script) else None
        self._lock = threading.Lock()
        self._broken: list[BaseException] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def model_name(self, options: str = "") -> str:
        """For AGENTSYS_MODEL and everything else that takes PROVIDER:NAME."""
        return f"openai:loopback?base_url={self.base_url}{options and '&' + options}"

    @property
    def remaining(self) -> int:
        return max(len(self._turns or ()) - len(self.asked), 0)

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()
        if kind is None and self._broken:
            raise self._broken[0]
        if kind is None and self.remaining:
            count = len(self._turns or ())
            raise AssertionError(f"{self.remaining} of {count} turns were not asked for")

    def turn(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[Asked, Turn]:
        """Keep the request, and say what is to be answered."""
        with self._lock:
            asked = Asked(len(self.asked) + 1, time.monotonic(), body, headers)
            self.asked.append(asked)
            self.open += 1
            self.open_max = max(self.open, self.open_max)
        try:
            if self._function is not None:
                return asked, self._function(asked)
            turns = self._turns or []
            assert asked.number <= len(turns), f"asked {asked.number} times for {len(turns)} turns"
            return asked, turns[asked.number - 1]
        except BaseException as error:
            self._broken.append(error)
            return asked, fault(400, f"the script is broken: {error!r}")

    def answered(self) -> None:
        with self._lock:
            self.open -= 1


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = False  # joined when the server is closed
    allow_reuse_address = True

    def __init__(self, loopback: Loopback) -> None:
        self.loopback = loopback
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep for later."""
        with self._guard:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # the client was first
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        loopback = self.server.loopback
        try:
            body = json.loads(self.rfile.read(size))
        except ValueError:
            return self._send(fault(400, "the request is not JSON"))
        if not self.path.endswith("/chat/completions"):
            return self._send(fault(404, f"there is no {self.path}; ask /v1/chat/completions"))
        asked, turn = loopback.turn(body, {k.lower(): v for k, v in self.headers.items()})
        try:
            self._say(turn, asked)
        finally:
            loopback.answered()

    def do_GET(self) -> None:
        models = {"object": "list", "data": [{"id": "loopback", "object": "model"}]}
        self._send(Raw(json.dumps(models).encode()))

    def _say(self, turn: Turn, asked: Asked) -> None:
        whole = turn.turn if isinstance(turn, Cut) else turn
        raw = rendered(whole, asked.number, asked.body)
        if raw.wait and self.server.loopback.closing.wait(raw.wait):
            self.close_connection = True
        elif isinstance(turn, Cut):
            self._send(raw, cut=turn)
        else:
            self._send(raw)

    def _send(self, raw: Raw, cut: Cut | None = None) -> None:
        streamed = raw.content_type == "text/event-stream"
        body = raw.body if cut is None else raw.body[: cut.after]
        self.send_response(raw.status)
        for name, value in raw.headers:
            self.send_header(name, value)
        self.send_header("content-type", raw.content_type)
        if streamed:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._chunks(body)
            self.wfile.write(b"" if cut else b"0\r\n\r\n")
        else:
            self.send_header("content-length", str(len(raw.body)))
            self.end_headers()
            self.wfile.write(body)
        self.wfile.flush()
        if cut is not None:
            self.close_connection = True
            if cut.reset:
                self._reset()

    def _reset(self) -> None:
        """The files of a socket hold it open; with them it ends, by RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.rfile.close()
        self.wfile.close()
        self.connection.close()

    def _chunks(self, body: bytes) -> None:
        """Each event as a chunk of its own, as providers send them."""
        for event in re.findall(rb".+?\n\n|.+", body, re.DOTALL):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002
