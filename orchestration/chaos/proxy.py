"""A proxy before PostgreSQL that fails the way networks do, on a socket of its own.

It reads the frontend's messages just far enough to see a COMMIT go by. `cut(n)` lets the next n
COMMITs reach the server and breaks the connection before the answer reaches the client: half of
them once the server has answered, half at the very moment that COMMIT is sent. `delay` makes each
transfer late. `hole` swallows everything in both directions, `deaf` only what the server says:
connections stay open and nothing comes, as behind a dead switch.

It lives in a thread with an event loop of its own; its controls are plain attributes.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

READ_BYTES = 65_536
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Frames:
    """Finds COMMIT in what a client sends: a startup message, then type, length and body."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False

    def has_commit(self, data: bytes) -> bool:
        """Is a simple query COMMIT among the messages that are whole now?"""
        self._rest += data
        found = False
        while (end := self._end()) is not None:
            message, self._rest = self._rest[:end], self._rest[end:]
            found = found or (self._started and message[:1] == b"Q" and _commits(message[5:]))
            self._started = True
        return found

    def _end(self) -> int | None:
        """Where the first message ends; None when it is not whole."""
        head = 1 if self._started else 0
        if len(self._rest) < head + 4:
            return None
        end = head + int(struct.unpack("!I", self._rest[head : head + 4])[0])
        return end if len(self._rest) >= end else None


def _commits(query: bytes) -> bool:
    return query.lstrip()[:6].upper() == b"COMMIT"


class Proxy:
    """Listens in `folder`, as a PostgreSQL would; `start` and `stop` it."""

    def __init__(self, folder: Path, upstream: Path) -> None:
        self.folder = folder
        self.delay = 0.0  # seconds, in each direction
        self.hole = False
        self.deaf = False
        self.cuts = 0  # how many were made
        self._wanted = 0
        self._links: set[asyncio.Task[None]] = set()
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._live, name="chaos-proxy", daemon=True)

    def start(self) -> Proxy:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thread.start()
        self._up.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self, count: int) -> None:
        """Break the connections of the next `count` COMMITs."""
        self._wanted += count

    def reset(self) -> None:
        """Break every connection: what was swallowed will not come any more."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._links])

    def url(self, database: str) -> str:
        return f"postgresql:///{database}?host={self.folder}&user=postgres"

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()

    async def _listen(self) -> None:
        path = self.folder / self._upstream.name
        path.unlink(missing_ok=True)
        await asyncio.start_unix_server(self._serve, path)
        self._up.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            server = await asyncio.open_unix_connection(self._upstream)
            await Link(self, (reader, writer)).carry(server)
        except (OSError, asyncio.CancelledError):
            pass  # the server is down, or `reset`: the client finds out by the end of its connection
        finally:
            self._links.discard(task)
            writer.close()

    def take_cut(self) -> bool:
        """May this COMMIT be cut? Each that was asked for is given once."""
        if self._wanted == 0:
            return False
        self._wanted -= 1
        self.cuts += 1
        return True


class Link:
    """One client's connection through the proxy."""

    def __init__(self, proxy: Proxy, client: Streams) -> None:
        self._proxy = proxy
        self._client = client
        self._frames = Frames()
        self._muted = False  # a cut is under way: the client hears nothing any more

    async def carry(self, server: Streams) -> None:
        """Both directions, until either ends or the connection is cut."""
        ways = [
            asyncio.ensure_future(self._pump(self._client[0], server[1], self._forward)),
            asyncio.ensure_future(self._pump(server[0], self._client[1], self._backward)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            server[1].close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        carry: Callable[[bytes, asyncio.StreamWriter], Awaitable[bool]],
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(READ_BYTES):
                if self._proxy.delay:
                    await asyncio.sleep(self._proxy.delay)
                if not await carry(data, sink):
                    return

    async def _forward(self, data: bytes, server: asyncio.StreamWriter) -> bool:
        if self._proxy.hole:
            return True
        commits = self._frames.has_commit(data) and self._proxy.take_cut()
        self._muted = self._muted or commits
        server.write(data)
        await server.drain()
        return not (commits and self._proxy.cuts % 2)

    async def _backward(self, data: bytes, client: asyncio.StreamWriter) -> bool:
        """False, which ends the connection, when the answer to a cut COMMIT has come."""
        if self._muted:
            return False
        if not (self._proxy.hole or self._proxy.deaf):
            client.write(data)
            await client.drain()
        return True
