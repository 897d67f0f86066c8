"""One supervisor for everything that runs: web, workers, beat and Flower on one machine.

Order of start: embedded servers, migrations, then the processes. What dies is started again with
a growing pause. On SIGTERM or Ctrl-C the workers drain first, then the rest stops; the embedded
servers stop last, by the process that uses them last. If the supervisor itself is killed, its
children are told by the kernel, and the rows keep everything else.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentsys import processes

PAUSE_MAX_SECONDS = 30.0
STEADY_SECONDS = 60.0  # a process that lived this long starts again without a pause


@dataclass(slots=True)
class Service:
    """A process to keep running. `drain_seconds` is how long it may take to stop."""

    name: str
    argv: list[str]
    drain_seconds: float = 10.0
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    next_start: float = 0.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a stack keeps its things."""

    home: Path

    @property
    def state(self) -> Path:
        return self.home / "stack.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def secret(self, name: str) -> str:
        """A password made once, readable by its owner only."""
        path = self.home / name
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(18))
        return path.read_text().strip()


def services(
    layout: Layout, *, port: int, flower_port: int, workers: int, concurrency: int
) -> list[Service]:
    """What a stack runs. Flower listens on loopback only and asks for a password."""
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "agentsys"]
    found = [
        Service(
            "web",
            [python, "-m", "uvicorn", "agentsys.asgi:application", "--host", "127.0.0.1",
             "--port", str(port), "--log-level", "warning", "--timeout-graceful-shutdown", "5"],
        )
    ]  # fmt: skip
    found += [
        Service(
            f"worker-{n}",
            processes.worker_argv(concurrency=concurrency, name=f"agentsys-{n}@%h"),
            drain_seconds=30.0,
        )
        for n in range(1, workers + 1)
    ]
    found += [
        Service("beat", [*celery, "beat", "--loglevel", "WARNING", "--pidfile=",
                         "--schedule", str(layout.home / "beat-schedule")]),
        Service(
            "flower",
            [*celery, "flower", "--address=127.0.0.1", f"--port={flower_port}"],
            env={"FLOWER_BASIC_AUTH": f"admin:{layout.secret('flower_password')}"},
        ),
    ]  # fmt: skip
    return found


class Supervisor:
    """Keeps `services` running until it is told to stop."""

    def __init__(self, layout: Layout, running: list[Service], say: Callable[[str], None]) -> None:
        self._layout = layout
        self._services = running
        self._say = say
        self._stop = threading.Event()

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            while not self._stop.is_set():
                for service in self._services:
                    self._tend(service)
                self._write()
                self._stop.wait(0.5)
        finally:
            self._end()

    def _tend(self, service: Service) -> None:
        now = time.monotonic()
        process = service.process
        if process is not None and process.poll() is None:
            return
        if process is not None:
            service.process = None
            steady = now - service.started > STEADY_SECONDS
            service.failures = 0 if steady else service.failures + 1
            pause = min(2.0 ** (service.failures - 1), PAUSE_MAX_SECONDS) if service.failures else 0
            service.next_start = now + pause
            self._say(f"{service.name} ended with {process.returncode}; again in {pause:.0f} s")
        if now >= service.next_start:
            log = self._layout.logs / f"{service.name}.log"
            service.process = processes.start(service.argv, log, env=service.env)
            service.started = now

    def _end(self) -> None:
        """Workers first, so that they drain while everything they need still runs."""
        self._say("stopping …")
        order = sorted(self._services, key=lambda s: not s.name.startswith("worker"))
        for service in order:
            if service.process is not None and service.process.poll() is None:
                service.process.terminate()
        for service in order:
            if service.process is not None:
                processes.end(service.process, seconds=service.drain_seconds)
        self._layout.state.unlink(missing_ok=True)

    def _write(self) -> None:
        """The state file: whole or not at all, for `stack status` and `stack down`."""
        partial = self._layout.state.with_suffix(".partial")
        partial.write_text(json.dumps(self._status()))
        partial.replace(self._layout.state)

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "services": {
                s.name: {
                    "pid": s.process.pid if s.process else None,
                    "failures": s.failures,
                }
                for s in self._services
            },
        }


def status(layout: Layout) -> dict[str, Any]:
    """What the state file says, with whether each process lives."""
    try:
        found = json.loads(layout.state.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {"up": False, "services": {}}
    found["up"] = alive(found["pid"])
    for service in found["services"].values():
        service["up"] = service["pid"] is not None and alive(service["pid"])
    return dict(found)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def stop(layout: Layout, *, seconds: float = 45.0) -> bool:
    """Tell a detached supervisor to stop and wait for it; False when none is running."""
    found = status(layout)
    if not found["up"]:
        return False
    with suppress(ProcessLookupError):
        os.kill(found["pid"], signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while alive(found["pid"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return True
