"""The command line of bubblewrap for a spec, and lending folders to another user id."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from workers.sandbox import seccomp
from workers.sandbox.spec import (
    ETC,
    ETC_NETWORK,
    SYSTEM,
    TMP_BYTES_MAX,
    Spec,
    interpreter_folders,
)

LAUNCHER = Path("/run/agentsys/launcher.py")  # where it stands inside
MAPPED_UID = 65534
SWITCHES = ("sys", "sysrq-trigger", "irq", "bus")  # of /proc


def options(spec: Spec, *, uid: int | None, launcher: Path) -> tuple[list[str], list[int]]:
    """Bubblewrap's options, and the open file handles that they name (the caller closes them).

    With `uid` (as root) there is no user namespace and the launcher changes to that id; without,
    the caller's id is mapped to nobody's and user namespaces are closed behind it.
    """
    handles: list[int] = []
    words = ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    words += [] if spec.network else ["--unshare-net"]
    words += ["--die-with-parent", "--new-session", "--hostname", "sandbox"]
    if uid is None:
        inside = MAPPED_UID
        words += ["--unshare-user", "--disable-userns"]
        words += ["--uid", str(inside), "--gid", str(inside), "--cap-drop", "ALL"]
    else:
        inside = uid
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    if (filter_program := seccomp.program()) is not None:
        handles.append(_memory_file(filter_program))
        words += ["--seccomp", str(handles[-1])]
    words += _system(spec, mapped=uid is None)
    words += _accounts(inside, handles)
    words += _folders(spec, launcher)
    for place in ("/dev", "/"):  # each a tmpfs without a limit of its own
        words += ["--remount-ro", place]
    words += ["--clearenv"]
    for name, value in spec.env.items():
        words += ["--setenv", name, value]
    return [*words, "--chdir", "/"], handles


def _system(spec: Spec, *, mapped: bool) -> list[str]:
    words = ["--proc", "/proc", *_proc(mapped=mapped), "--dev", "/dev"]
    for place in ("/tmp", "/dev/shm"):  # noqa: S108
        words += ["--perms", "1777", "--size", str(TMP_BYTES_MAX), "--tmpfs", place]
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    words += ["--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/run"]
    for name in (*ETC, *(ETC_NETWORK if spec.network else ())):
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return words


def _proc(*, mapped: bool) -> list[str]:
    """The kernel's switches, read-only. Bubblewrap covers them itself where `access` says that
    their folder can be written, which newer kernels never say of /proc/sys.

    Root mapped to somebody else owns, without any capability, all of /proc that is root's: then
    everything is covered that it could write, or could read and others cannot.
    """
    words = []
    for entry in sorted(os.scandir("/proc"), key=lambda entry: entry.name):
        if entry.name.isdigit() or entry.is_symlink():
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        is_folder, all_of_it = stat.S_ISDIR(mode), mapped and os.geteuid() == 0
        if all_of_it and not is_folder and not mode & 0o004:
            words += ["--ro-bind-try", "/dev/null", entry.path]
        elif entry.name in SWITCHES or (all_of_it and (is_folder or mode & 0o222)):
            words += ["--ro-bind-try", entry.path, entry.path]
    return words


def _accounts(uid: int, handles: list[int]) -> list[str]:
    """A passwd and a group file that know root and this one user."""
    words = []
    for name, text in (
        ("passwd", f"root:x:0:0::/:/bin/false\nsandbox:x:{uid}:{uid}::/tmp:/bin/sh\n"),
        ("group", f"root:x:0:\nsandbox:x:{uid}:\n"),
    ):
        handles.append(_memory_file(text.encode()))
        words += ["--perms", "0444", "--ro-bind-data", str(handles[-1]), f"/etc/{name}"]
    return words


def _folders(spec: Spec, launcher: Path) -> list[str]:
    """Binds, outer folders first, so that an inner one lies on top of its outer one.

    This Python comes last among equals: a writable folder never makes it writable.
    """
    binds = [(path, "--ro-bind", path) for path in spec.readable]
    binds += [(path, "--bind", path) for path in spec.writable]
    binds += [(path, "--ro-bind", path) for path in interpreter_folders()]
    binds += [(LAUNCHER, "--ro-bind", launcher)]
    binds += [(path, "--tmpfs", path) for path in spec.hidden]
    binds.sort(key=lambda bind: len(bind[0].parts))  # stable: keeps the order of equals
    words, made = [], {Path("/"), Path("/tmp"), Path("/etc"), Path("/run")}  # noqa: S108
    lent = {Path("/usr"): "--ro-bind"}
    for inside, kind, outside in binds:
        for parent in reversed(inside.parents):
            on_top = [lent[path] for path in lent if parent.is_relative_to(path)][-1:]
            if parent not in made and on_top in ([], ["--tmpfs"]):
                made.add(parent)
                words += ["--perms", "0755", "--dir", str(parent)]
        words += [kind, str(inside)] if kind == "--tmpfs" else [kind, str(outside), str(inside)]
        lent[inside] = kind
    words += _called(lent)
    for path in spec.hidden:  # only now: what is lent from below it has its place there
        words += ["--remount-ro", str(path)]
    return words


def _called(lent: Iterable[Path]) -> list[str]:
    """This Python by the name that it goes by, where that is a link, as `current` is to a release."""
    name, meant = Path(sys.prefix), Path(sys.prefix).resolve()
    if name == meant or any(name.is_relative_to(path) for path in lent):
        return []
    return ["--symlink", str(meant), str(name)]


def _memory_file(content: bytes) -> int:
    handle = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(handle), "wb") as file:
        file.write(content)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


@contextmanager
def lent(folder: Path, uid: int) -> Iterator[None]:
    """`folder` and all in it belong to `uid` inside the block, and to their first owners after.

    What was made meanwhile goes to the folder's owner. A folder of somebody else's is lent to one at a
    time, in all processes, and the next one waits; those below AGENTSYS_HOME are one attempt's anyway,
    and locked by who made them (`workspaces.scratch`).
    """
    from django.conf import settings

    with ExitStack() as stack:
        if not folder.resolve().is_relative_to(settings.AGENTSYS.home.resolve()):
            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        stack.enter_context(_owned(folder, uid))
        yield


@contextmanager
def _owned(folder: Path, uid: int) -> Iterator[None]:
    top = folder.stat()
    owner = (top.st_uid, top.st_gid)
    others = {
        path: pair for path, pair in _each(folder, (uid, uid)) if pair not in (owner, (uid, uid))
    }
    try:
        yield
    finally:
        _give_back(folder, owner)
        for path, pair in others.items():
            with suppress(OSError):
                os.chown(path, *pair, follow_symlinks=False)


def _give_back(folder: Path, owner: tuple[int, int]) -> None:
    """The program may have nested folders deeper than Python or the open files allow for; then
    coreutils' `chown`, which holds neither, does the rest."""
    try:
        for _ in _each(folder, owner):
            pass
    except FileNotFoundError:
        pass  # that of an attempt that was taken back is gone
    except (RecursionError, OSError):
        words = ["chown", "--no-dereference", "--recursive", f"{owner[0]}:{owner[1]}", "--"]
        subprocess.run([*words, str(folder)], check=False, capture_output=True)


def _each(folder: Path, owner: tuple[int, int]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Give everything under `folder` to `owner`, by handles, so that no link can lead outside;
    yields each path with its owner before."""
    for parent, folders, files, handle in os.fwalk(folder, follow_symlinks=False):
        before = os.fstat(handle)
        os.fchown(handle, *owner)
        yield parent, (before.st_uid, before.st_gid)
        for name in (*files, *folders):
            found = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                os.chown(name, *owner, dir_fd=handle, follow_symlinks=False)
                yield f"{parent}/{name}", (found.st_uid, found.st_gid)
