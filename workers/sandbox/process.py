"""Starts one process and watches it to its end: time, output and the wish to stop."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from workers.sandbox.memory import resident_bytes

POLL_SECONDS = 0.2
KILL_WAIT_SECONDS = 10.0
FLOOD_BYTES = 64 * 1024 * 1024  # a program that wrote this much is ended
CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. `isolated`: its end is the end of all that it started."""

    argv: list[str]
    cwd: Path
    env: Mapping[str, str]
    level: str
    isolated: bool
    pass_fds: tuple[int, ...] = ()


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


def watch(
    launch: Launch,
    *,
    stdin: bytes,
    timeout_seconds: float,
    output_bytes_max: int,
    memory_bytes_max: int,
    should_stop: Callable[[], bool] | None,
) -> End:
    """Run to the end, or kill at the time limit, on a flood of output, when all processes together
    use too much memory, or when told to stop.

    If `should_stop` raises, the process is killed and the error passed on.
    """
    deadline = time.monotonic() + timeout_seconds
    out, err = Capture(output_bytes_max), Capture(output_bytes_max)
    process = _start(launch, stdin)
    try:
        stops = (should_stop or (lambda: False), memory_bytes_max)
        killed = _drain(process, (out, err), deadline, *stops)
    finally:
        _end(process, launch)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
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
            bufsize=0,
        )
    finally:
        os.close(handle)


def _drain(
    process: subprocess.Popen[bytes],
    captures: tuple[Capture, Capture],
    deadline: float,
    should_stop: Callable[[], bool],
    memory_bytes_max: int,
) -> str:
    """Read until the process has ended; returns why it must be killed, or ""."""
    asked = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for pipe, capture in zip((process.stdout, process.stderr), captures, strict=True):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe.fileno(), selectors.EVENT_READ, capture)
        while selector.get_map() or process.poll() is None:
            _read(selector, process, min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
            if process.poll() is not None:
                _read(selector, process, 0.0)
                return ""
            if sum(capture.total for capture in captures) > FLOOD_BYTES:
                return "output"
            now = time.monotonic()
            if now >= deadline:
                return "timeout"
            if now - asked >= POLL_SECONDS:
                asked = now
                if should_stop():
                    return "stopped"
                if resident_bytes(process.pid, memory_bytes_max) > memory_bytes_max:
                    return "memory"
    return ""


def _read(selector: selectors.BaseSelector, process: subprocess.Popen[bytes], wait: float) -> None:
    """Take what is there. When both pipes are closed, wait for the process instead."""
    if not selector.get_map():
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            return
        return
    ready = selector.select(wait)
    while ready:
        for key, _ in ready:
            chunk = os.read(key.fd, CHUNK)
            if chunk:
                key.data.add(chunk)
            else:
                selector.unregister(key.fd)
        # After the end, take all that is left; before it, one round at a time.
        if process.poll() is None or not selector.get_map():
            return
        ready = selector.select(0)


def _end(process: subprocess.Popen[bytes], launch: Launch) -> None:
    """Make sure that nothing is left: the group, and with it the namespace."""
    if process.poll() is None or not launch.isolated:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait(KILL_WAIT_SECONDS)
