"""The processes of a scenario: workers, beats, the witness. Started, hurt and ended by their ids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from agentsys import processes
from agentsys.kernel.errors import ServiceAway
from orchestration.chaos.asking import ask
from orchestration.models import WorkerSession
from orchestration.services.sessions import sessions_alive

UP_SECONDS = 60.0
APP = "orchestration.chaos.app"
Process = subprocess.Popen[bytes]


class Crew:
    """`env` is what all of them get; the main thread must do the starting, since a child is told
    to end when the thread that started it is gone."""

    def __init__(self, logs: Path, env: Mapping[str, str], *, concurrency: int = 4) -> None:
        self.concurrency = concurrency
        self._logs = logs
        self._env = dict(env)
        self._all: list[Process] = []
        self._given: dict[Process, tuple[str, dict[str, str]]] = {}  # pool and environment
        self.workers: list[Process] = []

    def worker(self, *, pool: str = "threads", **env: str) -> Process:
        """Start a worker; it is not up yet (`wait_up`)."""
        number = len(self._all)
        argv = processes.worker_argv(concurrency=self.concurrency, name=f"chaos{number}@%h")
        argv[argv.index("agentsys")] = APP
        argv[argv.index("threads")] = pool
        process = self._start(argv, f"worker-{number}", env)
        self.workers.append(process)
        self._given[process] = pool, env
        return process

    def beat(self, **env: str) -> Process:
        number = len(self._all)
        schedule = self._logs / f"beat-{number}.schedule"
        argv = [sys.executable, "-m", "celery", "-A", APP, "beat", "--loglevel", "WARNING",
                "--pidfile=", "--schedule", str(schedule)]  # fmt: skip
        return self._start(argv, f"beat-{number}", env)

    def web(self, port: int, **env: str) -> Process:
        argv = [sys.executable, "-m", "uvicorn", "agentsys.asgi:application", "--host", "127.0.0.1",
                "--port", str(port), "--log-level", "warning"]  # fmt: skip
        return self._start(argv, f"web-{len(self._all)}", env)

    def command(self, *words: str, **env: str) -> Process:
        """`manage.py WORDS`, as a person or the web would cause it."""
        argv = [sys.executable, "manage.py", *words]
        return self._start(argv, f"command-{len(self._all)}", env)

    def wait_up(self, *some: Process) -> None:
        """ServiceAway unless each of them (all workers by default) has opened its session."""
        deadline = time.monotonic() + UP_SECONDS
        for process in some or tuple(self.workers):
            while not is_up(process):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ServiceAway(
                        service="a worker of chaos",
                        where=f"process {process.pid}",
                        reason=f"it ended with {process.poll()}" if process.poll() else "not up",
                        way_out=f"Read the logs in {self._logs}",
                    )
                time.sleep(0.05)

    def supervise(self) -> int:
        """Start anew, as `stack up` would, each worker that gave up by itself; how many."""
        ended = [process for process in self.workers if (process.poll() or 0) > 0]
        for process in ended:
            self.forget(process)
            pool, env = self._given[process]
            self.worker(pool=pool, **env)
        return len(ended)

    def kill(self, process: Process) -> None:
        """kill -9 of the process and everything it started."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        self.forget(process)

    def forget(self, process: Process) -> None:
        if process in self.workers:
            self.workers.remove(process)

    def freeze(self, process: Process) -> None:
        os.killpg(process.pid, signal.SIGSTOP)

    def thaw(self, process: Process) -> None:
        os.killpg(process.pid, signal.SIGCONT)

    def end(self) -> None:
        """All at once, so that draining overlaps."""
        for process in self._all:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    self.thaw(process)
                process.terminate()
        for process in self._all:
            processes.end(process, told=True, seconds=15)

    def _start(self, argv: list[str], name: str, env: Mapping[str, str]) -> Process:
        process = processes.start(argv, self._logs / f"{name}.log", env={**self._env, **env})
        self._all.append(process)
        return process


class Witness:
    """The witness's process, its address and its file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "witness.jsonl"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.chaos.witness", str(self.path)],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().decode().strip()
        self.url = f"http://127.0.0.1:{port}"

    def end(self) -> None:
        processes.end(self._process)
        assert self._process.stdout is not None
        self._process.stdout.close()


def session_of(process: Process) -> int | None:
    """The newest session that this process has opened."""
    rows = WorkerSession.objects.filter(pid=process.pid).order_by("-pk")
    return ask(lambda: rows.values_list("pk", flat=True).first())


def children_of(process: Process) -> list[int]:
    """Its direct children's ids."""
    try:
        return [
            *map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        ]
    except OSError:
        return []


def is_up(process: Process) -> bool:
    session = session_of(process)
    return session is not None and session in ask(sessions_alive)


def wait_for(what: Callable[[], bool], *, seconds: float, pause: float = 0.05) -> bool:
    """Look until it holds; False when the time is up."""
    deadline = time.monotonic() + seconds
    while not ask(what):
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
