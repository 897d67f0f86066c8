"""Runs the tries of `sandbox_tries` through the sandbox's door and looks whether one got out.

As a script it does so for an ordinary user: the names of tries come on standard input, the outcomes
go to standard output, both as JSON.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.workers.sandbox_tries import BOMBS, PRELUDE, TRIES

CANARY = "canary-of-the-worker-7d21"
SECONDS_MAX = {"daemons": 30.0, "signals ignored": 1.0, "processes stopped": 1.0}


class Stage:
    """The world outside: what must be as it was when a try is over."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.token = secrets.token_hex(8)
        self.place = root / "place"
        self.outside = root / "outside"
        for folder in (self.place, self.outside):
            folder.mkdir()
        self.outside.chmod(0o777)
        self.secret = self.outside / "secret.txt"
        self.secret.write_text(CANARY)
        self.secret.chmod(0o666)
        self.tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("127.0.0.1", 0))
        path, name = str(self.outside / "socket"), f"\0{self.token}"
        self.unix = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2)]
        for listener, address in zip(self.unix, (path, name), strict=True):
            listener.bind(address)
            listener.listen()
        os.chmod(path, 0o777)  # noqa: PTH101
        words = [sys.executable, "-c", "import time; time.sleep(600)", "victim-outside"]
        self.victim = stack.enter_context(subprocess.Popen(words))
        stack.callback(self.victim.kill)
        for listener in (self.tcp, self.udp, *self.unix):
            listener.setblocking(False)
        self.before = self.facts()

    def told(self) -> str:
        from django.conf import settings

        import workers

        home = str(
            Path(settings.AGENTSYS.home) / "git"
        )  # the folder above may hold the stage itself
        code = Path(workers.__file__).parent
        return json.dumps(
            {
                "token": self.token,
                "canary": CANARY,
                "secret": str(self.secret),
                "outside": str(self.outside),
                "private": [str(code), str(code.parent / ".git"), home],
                "tcp": self.tcp.getsockname()[1],
                "udp": self.udp.getsockname()[1],
                "socket": str(self.outside / "socket"),
                "abstract": self.token,
                "pid": self.victim.pid,
                "worker": os.getpid(),
                "victim": "victim-outside"[::-1],  # else the program would find its own words
            }
        )

    def facts(self) -> dict[str, Any]:
        status = self.secret.lstat()
        return {
            "files outside": sorted(path.name for path in self.outside.rglob("*")),
            "the secret": self.secret.read_text(),
            "its owner and mode": (status.st_uid, status.st_gid, status.st_mode, status.st_nlink),
            "the folder's": (self.outside.stat().st_uid, self.outside.stat().st_mode),
            "the victim": self.victim.poll(),
        }

    def changes(self) -> Iterator[str]:
        """What is different outside, what knocked, and what of the run still lives."""
        now = self.facts()
        yield from (f"{what}: {now[what]}" for what in now if now[what] != self.before[what])
        for listener in (self.tcp, *self.unix):
            try:
                listener.accept()[0].close()
                yield f"somebody connected to {listener.getsockname()}"
            except BlockingIOError:
                pass
        with suppress(BlockingIOError):
            yield f"a datagram came: {self.udp.recv(100)!r}"
        yield from (f"process {pid} is still there" for pid in alive(self.token))
        faulty = ["(", "-perm", "/6000", "-o", "!", "-uid", str(os.geteuid()), ")"]
        words = ["find", str(self.place), "!", "-type", "l", *faulty, "-printf", "%f %M %U, "]
        if found := subprocess.run(words, check=False, capture_output=True, text=True).stdout:
            yield f"left behind: {found[:500]}"


def alive(token: str) -> list[int]:
    """Processes of this machine whose command line holds the token."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if token.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


@contextmanager
def _root() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="sandbox-stage-"))
    root.chmod(0o755)
    try:
        yield root
    finally:
        from workers.workspaces import folder_remove

        folder_remove(root)


def attempt(name: str) -> dict[str, Any]:
    """Run one try: `escapes` lists every way in which it got out."""
    from workers import sandbox

    body = textwrap.indent(TRIES[name].strip("\n"), "    ")
    ending = "\nexcept Exception as error: print('held:', repr(error))\nelse: print('held')\n"
    code = f"{PRELUDE}\ntry:\n{body}{ending}"
    limit = SECONDS_MAX.get(name, 60.0)
    with _root() as root, ExitStack() as stack:
        stage = Stage(root, stack)
        started = time.monotonic()
        ended = sandbox.run(
            [sys.executable, "-I", "-c", code, stage.told()],
            cwd=stage.place,
            writable=[stage.place],
            timeout_seconds=limit,
            memory_bytes_max=512 * 2**20,
            disk_bytes_max=128 * 2**20,
        )
        took = time.monotonic() - started
        escapes = list(stage.changes())
        escapes += [line for line in ended.stdout.splitlines() if line.startswith("ESCAPED")]
        over = name in BOMBS and ended.killed
        if not over and "held" not in ended.stdout:
            escapes.append(f"it came to no end: {ended.stdout[-500:]}{ended.stderr[-1500:]}")
        return {
            "escapes": escapes,
            "killed": ended.killed,
            "level": ended.level,
            "late_seconds": took - limit,
        }


def main() -> None:
    import django

    django.setup()
    outcomes = {}
    for name in json.load(sys.stdin):
        try:
            outcomes[name] = attempt(name)
        except Exception as error:
            outcomes[name] = {"escapes": [f"{type(error).__name__}: {error}"], "killed": ""}
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
