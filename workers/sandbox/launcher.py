"""The first program inside: sets limits, gives up the user id, becomes the command.

Runs as a script by path with `python -I -S` (isolated, no site-packages), so it imports nothing
but the standard library. Usage: launcher.py '{"uid": ID | null, "cwd": …, "limits": {…}}' ARGV…
"""

from __future__ import annotations

import json
import os
import resource
import sys


def limit(name: str, value: int) -> None:
    kind = getattr(resource, f"RLIMIT_{name}")
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def main() -> None:
    given = json.loads(sys.argv[1])
    command = sys.argv[2:]
    uid = given["uid"]
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)  # drops every capability with it
    for name, value in given["limits"].items():
        limit(name, value)
    os.umask(0o022)
    try:
        os.chdir(given["cwd"])  # only now: a folder may be closed to anyone but this id
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        found = 127 if isinstance(error, FileNotFoundError) else 126
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())
        os._exit(found)


if __name__ == "__main__":
    main()
