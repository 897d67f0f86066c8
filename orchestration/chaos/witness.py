"""The witness: the outside world, as a process of its own with a file of its own.

`python -m orchestration.chaos.witness FILE` listens on a loopback port, which it prints. It takes
effects (`POST /effects`) and scripted model calls (`POST /calls`), appends each as a JSON line and
answers only after an fsync, so what it knows no rollback and no kill can hide. It refuses nothing:
an effect that comes twice is written twice, which is what is looked for. `GET /effects/KEY` says
how often a key has come, as the receiver of a real effect could be asked.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

BODY_BYTES_MAX = 65_536


class Memory:
    """The file, and how often each key is in it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._counts = Counter(r["key"] for r in records(path) if r["kind"] == "effect")
        self._file: BinaryIO = path.open("ab", buffering=0)

    def write(self, record: dict[str, Any]) -> int:
        """How often the record's key has come, this time included."""
        line = json.dumps({**record, "time": time.time()}, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(line.encode())
            os.fsync(self._file.fileno())
            if record["kind"] == "effect":
                self._counts[record["key"]] += 1
            return self._counts[record["key"]] if record["kind"] == "effect" else 1

    def count(self, key: str) -> int:
        with self._lock:
            return self._counts[key]


def records(path: Path) -> Iterator[dict[str, Any]]:
    """What is on record; a last line that was cut off is not."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._parent = os.getppid()
        super().__init__(("127.0.0.1", 0), Handler)

    def service_actions(self) -> None:
        """Called twice a second: nobody is left to bear witness for when the parent is gone."""
        if os.getppid() != self._parent:
            os._exit(0)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > BODY_BYTES_MAX:
            return self._answer(413, {"problem": "too large"})
        kind = {"/effects": "effect", "/calls": "call"}.get(self.path)
        if kind is None:
            return self._answer(404, {"problem": "no such door"})
        record = {**json.loads(self.rfile.read(size)), "kind": kind}
        return self._answer(200, {"count": self.server.memory.write(record)})

    def do_GET(self) -> None:
        key = unquote(self.path.removeprefix("/effects/"))
        self._answer(200, {"count": self.server.memory.count(key)})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Silence: the file is the record."""


def main(path: Path) -> None:
    server = Server(Memory(path))
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
