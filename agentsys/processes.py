"""Processes of our own: workers, web, beat, Flower. Started in sessions of their own, ended by id."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

_PDEATHSIG = 1


def worker_argv(
    *, concurrency: int, name: str, queues: str = "control,agents,verify,memory"
) -> list[str]:
    """A Celery worker on a thread pool: agents wait for subprocesses and models, not for CPU."""
    return [
        sys.executable, "-m", "celery", "-A", "agentsys", "--quiet", "worker",
        "-P", "threads", "-c", str(concurrency), "-Q", queues, "-n", name,
        "-E", "--loglevel", "WARNING", "--without-mingle", "--without-gossip",
    ]  # fmt: skip


def web_argv(port: int) -> list[str]:
    """A web server for this machine alone."""
    return [
        sys.executable, "-m", "uvicorn", "agentsys.asgi:application", "--host", "127.0.0.1",
        "--port", str(port), "--log-level", "warning", "--timeout-graceful-shutdown", "5",
    ]  # fmt: skip


def start(
    argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start `argv` with its output in `log`; it is told to end when this process dies."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            cwd=cwd or Path(__file__).resolve().parent.parent,
            start_new_session=True,
            preexec_fn=partial(_die_with, os.getpid()) if sys.platform == "linux" else None,
        )


def _die_with(parent: int) -> None:
    """Ask the kernel for a SIGTERM when `parent` is gone, which it may be already."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def end(
    process: subprocess.Popen[bytes], *, seconds: float = 10.0, told: bool = False
) -> int | None:
    """SIGTERM (unless it was `told` already: a second one may mean haste), then, after `seconds`,
    SIGKILL to the whole session of `process`."""
    if process.poll() is None:
        if not told:
            process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
    return process.returncode
