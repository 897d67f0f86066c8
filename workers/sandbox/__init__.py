"""Runs other people's programs so that they can hurt nothing but the folders they were given.

What is guaranteed at the levels `bwrap+uid` and `bwrap+userns`:

- no network, loopback included, unless asked for; own process, IPC, mount and host namespaces;
- the file system is /usr, a handful of files of /etc, this Python and what the call names; /tmp is
  private; only `writable` can be written; home folders and server sockets do not exist inside;
- the environment is empty but for a few fixed values and what the call names;
- no capability, no way to gain one (no-new-privileges), no new user namespace, and a system-call
  filter against the kernel's less travelled doors;
- limits on address space, processes, file size, open files and processor time;
- at the time limit, or when this process dies, everything inside is killed: it is the end of a
  process-id namespace, so double forks and new sessions do not help, and `run` returns only when
  the kernel has said that nothing of it is left;
- all processes together are held to the memory limit of one, to a number of processes and to what
  they may write into the folders they were given, looked at five times a second;
- output is read for ever but kept in bounded memory; a flood ends the program.

As root the program runs under an unused user id of its own (`bwrap+uid`), since the kernel does not
limit root's processes; writable folders belong to that id while it runs and are given back after.
Where that cannot be, and for a normal user, the ids are mapped (`bwrap+userns`).

When nothing isolates, `run` refuses. AGENTSYS_SANDBOX=none runs without isolation, with limits,
and says so in every result's `level`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox.levels import SandboxLevel, chosen
from workers.sandbox.process import Bounds, watch
from workers.sandbox.spec import DISK_BYTES_MAX, MEMORY_BYTES_MAX, Spec

__all__ = ["DISK_BYTES_MAX", "MEMORY_BYTES_MAX", "SandboxLevel", "SandboxResult", "level", "run"]


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How a program ended. Texts are UTF-8, undecodable bytes replaced, the middle left out when
    they were too long (`truncated`). `exit_code` is 128 + N after signal N.

    `killed` says why it was ended from outside: "" | "timeout" | "output" | "memory" | "processes" |
    "disk" | "stopped".
    """

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool
    truncated: bool
    duration_seconds: float
    level: str
    killed: str = ""


def level() -> SandboxLevel:
    """The isolation that `run` reaches here; SandboxUnavailable when it would refuse."""
    return chosen().level


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    timeout_seconds: float,
    writable: Sequence[Path] = (),
    readable: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    output_bytes_max: int = 256_000,
    network: bool = False,
    stdin: bytes = b"",
    memory_bytes_max: int = MEMORY_BYTES_MAX,
    disk_bytes_max: int = DISK_BYTES_MAX,
    should_stop: Callable[[], bool] | None = None,
) -> SandboxResult:
    """Run `argv` in `cwd`, which is readable even when no list names it.

    One run at a time may have a given writable folder. `should_stop` is asked about five times a
    second. A program that cannot be started ends with exit code 126 or 127, as in a shell. Raises
    SandboxUnavailable, and BadInput for folders that do not exist or may not be given.
    """
    spec = Spec.of(
        argv,
        cwd=cwd,
        writable=writable,
        readable=readable,
        env=env or {},
        network=network,
        memory_bytes_max=memory_bytes_max,
        cpu_seconds_max=int(timeout_seconds) + 5,
    )
    started = time.monotonic()
    with chosen(spec).prepared(spec) as launch:
        end = watch(
            launch,
            Bounds(
                timeout_seconds=timeout_seconds,
                output_bytes_max=output_bytes_max,
                memory_bytes_max=memory_bytes_max,
                disk_bytes_max=disk_bytes_max,
                writable=spec.writable,
                should_stop=should_stop,
            ),
            stdin=stdin,
        )
    return SandboxResult(
        exit_code=end.exit_code,
        stdout=end.stdout,
        stderr=end.stderr,
        timed_out=end.killed == "timeout",
        truncated=end.truncated,
        duration_seconds=round(time.monotonic() - started, 3),
        level=launch.level,
        killed=end.killed,
    )
