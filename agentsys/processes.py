"""Processes of our own: workers, web, beat, Flower. Started in sessions of their own, ended by id."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PDEATHSIG = 1


def worker_argv(
    *, concurrency: int, name: str, queues: str = "control,agents,verify,memory"
) -> list[str]:
    """A Celery worker on a thread pool: agents wait for subprocesses and models, not for CPU."""
    return [
        sys.executable, "-m", "celery", "-A", "agentsys", "worker",
        "-P", "threads", "-c", str(concurrency), "-Q", queues, "-n", name,
        "-E", "--loglevel", "WARNING", "--without-mingle", "--without-gossip",
    ]  # fmt: skip


def start(
    argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start `argv` with its output in `log`; it is killed when this process dies."""
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
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)


def end(process: subprocess.Popen[bytes], *, seconds: float = 10.0) -> int | None:
    """SIGTERM, then SIGKILL to the whole session of `process`."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
    return process.returncode
