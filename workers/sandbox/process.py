"""Starts one process and watches it to its end: time, output, memory, disk, and the wish to stop.

Its end is an event, not a guess: the process, and the first process of its namespace, are watched
by handles (pidfd). The kernel reports the latter as ended only when everything in the namespace is
gone, so nothing of a run is left when `watch` returns.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from workers.errors import SandboxUnavailable
from workers.sandbox.launcher import first_to_go, limit
from workers.sandbox.spec import PROCESSES_MAX
from workers.sandbox.usage import Disk, usage

POLL_SECONDS = 0.2
KILL_WAIT_SECONDS = 10.0
FLOOD_BYTES = 256 * 1024 * 1024  # a program that wrote this much is ended
CHUNK = 65_536
PROCESSES_MARGIN = 64  # above the limit of each, which does not hold for root everywhere


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. `isolated`: its end is the end of all that it started."""

    argv: list[str]
    cwd: Path
    env: Mapping[str, str]
    level: str
    isolated: bool
    pass_fds: tuple[int, ...] = ()
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """Bubblewrap tells the id of the first process inside, which then waits to be let in; in
    between it gets its limits, which all that it starts inherit.

    The ends of two pipes: what is told comes from `ear`, and a byte into `bell` lets it in. The
    other ends are bubblewrap's.
    """

    ear: IO[bytes]
    bell: IO[bytes]
    theirs: tuple[IO[bytes], IO[bytes]]
    limits: Mapping[str, int]

    @classmethod
    @contextmanager
    def made(cls, limits: Mapping[str, int]) -> Iterator[Gate]:
        with ExitStack() as stack:
            ends = [
                stack.enter_context(os.fdopen(handle, mode, buffering=0))
                for _ in range(2)
                for handle, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
            ]
            ear, mouth, door, bell = ends
            yield cls(ear, bell, (mouth, door), limits)

    @property
    def options(self) -> list[str]:
        mouth, door = (str(handle) for handle in self.handles)
        return ["--info-fd", mouth, "--block-fd", door]

    @property
    def handles(self) -> tuple[int, ...]:
        return tuple(end.fileno() for end in self.theirs)

    def pass_through(self) -> int | None:
        """Set the limits and let it in; a handle of it, or None when it never came to be.

        It cannot have been replaced by another with the same id: it waits, and bubblewrap, which
        is its parent, with it.
        """
        for end in self.theirs:
            end.close()
        text = b""
        while b"}" not in text:
            if not _readable(self.ear.fileno(), KILL_WAIT_SECONDS):
                said = f"bubblewrap said nothing in {KILL_WAIT_SECONDS:.0f} s"
                raise SandboxUnavailable(reason=said)
            if not (chunk := os.read(self.ear.fileno(), CHUNK)):
                return None  # it failed before; its own words are on its standard error
            text += chunk
        pid = int(json.loads(text)["child-pid"])
        with suppress(ProcessLookupError):  # it failed after
            handle = os.pidfd_open(pid)
            try:
                for name, value in self.limits.items():
                    limit(name, value, pid)
                first_to_go(pid)
                self.bell.write(b"x")
            except ProcessLookupError:
                pass
            except BaseException:
                os.close(handle)
                raise
            return handle
        return None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all processes of a run together may use. `writable` are the folders that count."""

    timeout_seconds: float
    output_bytes_max: int
    memory_bytes_max: int
    disk_bytes_max: int
    writable: tuple[Path, ...] = ()
    should_stop: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class End:
    exit_code: int
    stdout: str
    stderr: str
    truncated: bool
    killed: str


@dataclass
class Capture:
    """The first and the last half of what was written, in bounded memory."""

    limit: int
    total: int = 0
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)

    def add(self, chunk: bytes) -> None:
        self.total += len(chunk)
        room = self.limit // 2 - len(self.head)
        if room > 0:
            self.head += chunk[:room]
            chunk = chunk[room:]
        self.tail += chunk
        keep = self.limit - self.limit // 2
        if len(self.tail) > keep + CHUNK:
            del self.tail[:-keep]

    @property
    def truncated(self) -> bool:
        return self.total > self.limit

    def text(self) -> str:
        if not self.truncated:
            return (self.head + self.tail).decode("utf-8", "replace")
        tail = self.tail[-(self.limit - self.limit // 2) :]
        left_out = self.total - len(self.head) - len(tail)
        note = f"\n[… {left_out} bytes left out …]\n"
        return self.head.decode("utf-8", "replace") + note + tail.decode("utf-8", "replace")


def watch(launch: Launch, bounds: Bounds, *, stdin: bytes = b"") -> End:
    """Run to the end, or kill at the time limit, on a flood of output, when all processes together
    use too much, or when told to stop.

    If `should_stop` raises, the process is killed and the error passed on.
    """
    deadline = time.monotonic() + bounds.timeout_seconds
    out, err = Capture(bounds.output_bytes_max), Capture(bounds.output_bytes_max)
    disk = Disk(bounds.writable, time.time_ns())
    process = _start(launch, stdin)
    with ExitStack() as stack:
        pipes = stack.enter_context(selectors.DefaultSelector())
        for pipe, capture in ((process.stdout, out), (process.stderr, err)):
            assert pipe is not None
            stack.enter_context(pipe)
            os.set_blocking(pipe.fileno(), False)
            pipes.register(pipe.fileno(), selectors.EVENT_READ, capture)
        ends = stack.enter_context(_Ends(process, os.pidfd_open(process.pid), launch.isolated))
        ends.inner = launch.gate.pass_through() if launch.gate else None
        killed = _live(ends, pipes, (out, err), deadline, bounds, disk)
        ends.make_sure()
        _read(pipes, 0.0, rounds=FLOOD_BYTES // CHUNK)
    code = process.returncode
    return End(
        exit_code=128 - code if code < 0 else code,
        stdout=out.text(),
        stderr=err.text(),
        truncated=out.truncated or err.truncated,
        killed=killed,
    )


def _start(launch: Launch, stdin: bytes) -> subprocess.Popen[bytes]:
    # A memory file instead of a pipe: nothing has to be fed while the output is read.
    handle = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(stdin)
        os.lseek(handle, 0, os.SEEK_SET)
        return subprocess.Popen(
            launch.argv,
            stdin=handle,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=launch.cwd,
            env=dict(launch.env),
            pass_fds=launch.pass_fds,
            start_new_session=True,
            umask=0o022,
            bufsize=0,
        )
    finally:
        os.close(handle)


@dataclass(slots=True)
class _Ends:
    """Handles that become readable when a process has ended: that which was started, and the first
    one of its namespace, None when there is none."""

    process: subprocess.Popen[bytes]
    outer: int
    isolated: bool
    inner: int | None = None

    def __enter__(self) -> _Ends:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.make_sure()
        finally:
            for handle in (self.outer, self.inner):
                if handle is not None:
                    os.close(handle)

    def make_sure(self) -> None:
        """Nothing is left after this: neither of the namespace nor of the group. May be repeated."""
        if self.process.returncode is not None:
            return
        if self.inner is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.inner, signal.SIGKILL)
            if not _readable(self.inner, KILL_WAIT_SECONDS):
                said = f"a killed program is still there after {KILL_WAIT_SECONDS:.0f} s"
                raise SandboxUnavailable(reason=said)
        else:  # no namespace, or bubblewrap failed to make it
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(KILL_WAIT_SECONDS)


def _readable(handle: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _live(
    ends: _Ends,
    pipes: selectors.BaseSelector,
    captures: tuple[Capture, Capture],
    deadline: float,
    bounds: Bounds,
    disk: Disk,
) -> str:
    """Read until the process has ended; returns why it must be killed, or ""."""
    asked = time.monotonic()
    pipes.register(ends.outer, selectors.EVENT_READ, None)
    try:
        while not _read(pipes, max(0.0, min(POLL_SECONDS, deadline - time.monotonic()))):
            if sum(capture.total for capture in captures) > FLOOD_BYTES:
                return "output"
            now = time.monotonic()
            if now >= deadline:
                return "timeout"
            if now - asked >= POLL_SECONDS:
                asked = now
                if bounds.should_stop is not None and bounds.should_stop():
                    return "stopped"
                if why := _too_much(ends.process.pid, bounds, disk):
                    return why
        return ""
    finally:
        pipes.unregister(ends.outer)


def _too_much(pid: int, bounds: Bounds, disk: Disk) -> str:
    """What all processes together use too much of, or ""."""
    most = PROCESSES_MAX + PROCESSES_MARGIN
    used = usage(pid, bytes_enough=bounds.memory_bytes_max, threads_enough=most)
    if used.resident_bytes > bounds.memory_bytes_max:
        return "memory"
    if used.threads > most:
        return "processes"
    return "disk" if disk.exceeds(bounds.disk_bytes_max, pid) else ""


def _read(pipes: selectors.BaseSelector, wait: float, rounds: int = 1) -> bool:
    """Take what is there, at most `rounds` times; whether the process has ended."""
    ended = False
    for _ in range(rounds):
        ready = pipes.select(wait) if pipes.get_map() else []
        for key, _events in ready:
            if key.data is None:
                ended = True
            elif chunk := os.read(key.fd, CHUNK):
                key.data.add(chunk)
            else:
                pipes.unregister(key.fd)
        if not ready or ended:
            break
    return ended
