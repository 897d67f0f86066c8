"""One supervisor for everything that runs: web, workers, beat and Flower on one machine.

Order of start: embedded servers, migrations, then the processes. What dies is started again with
a growing pause, and so are embedded servers. On SIGTERM or Ctrl-C the workers drain first, then
the rest stops; the embedded servers stop last, by the process that uses them last. If the
supervisor itself is killed, its children are told by the kernel, and the rows keep everything else.

Whether a stack is up is told by a lock on `stack.lock`, held by the supervisor for as long as it
lives, never by a process number alone: after a restart of the machine that may be anybody's.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentsys import processes
from agentsys.kernel.errors import AgentsysError, ExitCode
from agentsys.ports import taken

TURN_SECONDS = 0.5
HEAL_SECONDS = 5.0
PAUSE_MAX_SECONDS = 30.0
STEADY_SECONDS = 60.0  # a process that lived this long starts again without a pause
LOG_BYTES_MAX = 20_000_000
NEWS_BYTES_MAX = 1_000_000


@dataclass(slots=True)
class Service:
    """A process to keep running. `drain_seconds` is how long it may take to stop."""

    name: str
    argv: list[str]
    drain_seconds: float = 10.0
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int | None = None  # it listens there, on this machine only
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
    def lock(self) -> Path:
        return self.home / "stack.lock"

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


class AlreadyUp(AgentsysError):
    code = "already-up"
    template = (
        "a stack is running already (pid {pid}); `stack status` shows it, `stack down` ends it"
    )
    exit_code = ExitCode.CONFLICT


class StillUp(AgentsysError):
    code = "still-up"
    template = (
        "the supervisor (pid {pid}) has not ended within {seconds} s; `kill -9 {pid}` ends it"
    )


@contextmanager
def only_one(layout: Layout) -> Iterator[None]:
    """Hold the place of this home's supervisor; AlreadyUp when somebody has it."""
    layout.home.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyUp(pid=_state(layout).get("pid", "unknown")) from error
        layout.state.unlink(missing_ok=True)
        yield


def is_up(layout: Layout) -> bool:
    if not layout.lock.exists():
        return False
    with layout.lock.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def services(
    layout: Layout, *, port: int, flower_port: int, workers: int, concurrency: int
) -> list[Service]:
    """What a stack runs. Flower listens on loopback only and asks for a password."""
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "agentsys", "--quiet"]
    found = [
        Service(
            "web",
            processes.web_argv(port),
            port=port,
            env={
                "AGENTSYS_FLOWER_URL": os.environ.get("AGENTSYS_FLOWER_URL")
                or f"http://127.0.0.1:{flower_port}/"
            },
        )
    ]
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
            port=flower_port,
        ),
    ]  # fmt: skip
    return found


class Supervisor:
    """Keeps `services` running until it is told to stop.

    `say` is given lines for the person who watches: the supervisor's own and the processes'.
    `heal` is called every few seconds; it brings back what the processes need. Without `follow`
    the processes' lines are in their logs only.
    """

    def __init__(
        self,
        layout: Layout,
        running: list[Service],
        say: Callable[[str], None],
        *,
        heal: Callable[[], None] = lambda: None,
        follow: bool = True,
    ) -> None:
        self._layout = layout
        self._services = running
        self._say = say
        self._heal = heal
        self._shown = follow
        self._healed = 0.0
        self._unwritten = False
        self._logs = {s.name: LogFile(layout.logs / f"{s.name}.log") for s in running}
        self._stop = threading.Event()

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            while not self._stop.is_set():
                self._turn()
                self._stop.wait(TURN_SECONDS)
        finally:
            self._end()

    def _turn(self) -> None:
        for service in self._services:
            self._tend(service)
        self._write()
        self._follow()
        if time.monotonic() - self._healed > HEAL_SECONDS:
            try:
                self._heal()
            except AgentsysError as error:
                self._say(f"{error}")
            self._healed = time.monotonic()

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
        if now >= service.next_start and self._may_listen(service, now):
            log = self._logs[service.name].path
            service.process = processes.start(service.argv, log, env=service.env)
            service.started = now

    def _may_listen(self, service: Service, now: float) -> bool:
        """A service whose port somebody else has taken meanwhile waits for it, and says so in one
        line, where starting it would only fill its log."""
        if service.port is None or not taken(service.port):
            return True
        service.failures += 1
        pause = min(2.0 ** (service.failures - 1), PAUSE_MAX_SECONDS)
        service.next_start = now + pause
        self._say(
            f"{service.name} is down: port {service.port} is taken by another process;"
            f" looked at again in {pause:.0f} s"
        )
        return False

    def _follow(self) -> None:
        """Show what the processes have written to their logs. They write there themselves, so that
        they do not depend on this process to go on."""
        for name, log in self._logs.items():
            for line in log.news():
                if self._shown:
                    self._say(f"{name:10} {line}")

    def _end(self) -> None:
        """Workers first, so that they drain while everything they need still runs."""
        self._say("stopping …")
        workers = [s for s in self._services if s.name.startswith("worker")]
        _end_all(workers)
        _end_all([s for s in self._services if s not in workers])
        self._follow()
        self._layout.state.unlink(missing_ok=True)

    def _write(self) -> None:
        """The state file: whole or not at all, for `stack status` and `stack down`."""
        partial = self._layout.state.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(self._status()))
            partial.replace(self._layout.state)
        except OSError as error:  # a full disk: what runs need not end for it
            if not self._unwritten:
                self._say(f"{self._layout.state} cannot be written: {error}")
            self._unwritten = True
        else:
            self._unwritten = False

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "services": {
                s.name: {
                    "pid": s.process.pid if s.process else None,
                    "failures": s.failures,
                    "port": s.port,
                }
                for s in self._services
            },
        }


def _end_all(services: list[Service]) -> None:
    """Tell all of them, then wait for each."""
    running = [(s.process, s.drain_seconds) for s in services if s.process is not None]
    for process, _ in running:
        if process.poll() is None:
            process.terminate()
    for process, seconds in running:
        processes.end(process, seconds=seconds, told=True)


class LogFile:
    """A log that grows to LOG_BYTES_MAX, then is put aside as `.1`; and what is new in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = path.stat().st_size if path.exists() else 0

    def news(self) -> list[str]:
        """The whole lines since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._seen)
            new = file.read(NEWS_BYTES_MAX)
        whole = new[: new.rfind(b"\n") + 1] if len(new) < NEWS_BYTES_MAX else new
        self._seen += len(whole)
        if self._seen > LOG_BYTES_MAX:
            self._put_aside()
        return whole.decode(errors="replace").splitlines()

    def _put_aside(self) -> None:
        """The writer has the file open for appending: it goes on at the new end."""
        shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
        os.truncate(self.path, 0)
        self._seen = 0


def status(layout: Layout) -> dict[str, Any]:
    """What the state file says, with whether each process lives, and listens where it should."""
    found = _state(layout) if is_up(layout) else {}
    services = found.get("services", {})
    for service in services.values():
        lives = service["pid"] is not None and alive(service["pid"])
        service["up"] = lives and (service.get("port") is None or taken(service["port"]))
    return {"up": bool(found), "pid": found.get("pid"), "services": services}


def down_of(found: dict[str, Any]) -> list[str]:
    """Names of the services of a stack that is up which are not."""
    return [name for name, service in found["services"].items() if not service["up"]]


def _state(layout: Layout) -> dict[str, Any]:
    try:
        return dict(json.loads(layout.state.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def stop(layout: Layout, *, seconds: float = 60.0) -> bool:
    """Tell the supervisor to stop and wait for it; False when none is running, StillUp when it
    does not end in time."""
    found = status(layout)
    if not found["up"]:
        return False
    with suppress(ProcessLookupError):
        os.kill(found["pid"], signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while is_up(layout) or alive(found["pid"]):
        if time.monotonic() > deadline:
            raise StillUp(pid=found["pid"], seconds=round(seconds))
        time.sleep(0.1)
    return True
