"""The first program inside where the system's own cannot do it: gives up the user id, sets limits,
becomes the command.

Runs as a script by path with `python -I -S` (isolated, no site-packages), and each run waits for
it, so it imports next to nothing, `json` included.
Usage: launcher.py UID|- NAME=VALUE,…|- scoped|- CWD ARGV…
"""

from __future__ import annotations

import os
import resource
import sys


def limit(name: str, value: int, pid: int = 0) -> None:
    kind = getattr(resource, f"RLIMIT_{name}")
    _, hard = resource.prlimit(pid, kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.prlimit(pid, kind, (value, value))


def first_to_go(pid: int | str = "self") -> None:
    """When the machine runs out of memory, the kernel ends these before the worker's own."""
    try:
        handle = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY)
    except OSError:
        return  # a kernel without it
    try:
        os.write(handle, b"1000")
    finally:
        os.close(handle)


def scope() -> None:
    """No abstract sockets of others, where the network, and with it their namespace, is shared.

    Landlock, ABI 6 (Linux 6.12): struct landlock_ruleset_attr with only `scoped` set, the system
    calls landlock_create_ruleset and landlock_restrict_self. Older kernels have no such thing.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    abstract_sockets_and_signals = 0b11
    rules = (ctypes.c_uint64 * 3)(0, 0, abstract_sockets_and_signals)
    handle = libc.syscall(444, ctypes.byref(rules), ctypes.sizeof(rules), 0)
    if handle >= 0:
        libc.prctl(38, 1, 0, 0, 0)  # no new privileges
        libc.syscall(446, handle, 0)
        os.close(handle)


def main() -> None:
    uid, limits, scoped, cwd, *command = sys.argv[1:]
    if uid != "-":
        number = int(uid)
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)  # drops every capability with it
    if scoped != "-":
        scope()
    for pair in limits.split(",") if limits != "-" else ():
        name, value = pair.split("=")
        limit(name, int(value))
    try:
        os.chdir(cwd)  # only now: a folder may be closed to anyone but this id
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        found = 127 if isinstance(error, FileNotFoundError) else 126
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())
        os._exit(found)


if __name__ == "__main__":
    main()
