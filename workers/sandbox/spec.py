"""What one sandboxed run may see, write and use, checked before anything is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentsys.kernel.errors import BadInput

MEMORY_BYTES_MAX = 4 * 1024**3  # address space of one process
PROCESSES_MAX = 512
FILE_BYTES_MAX = 1024**3
OPEN_FILES_MAX = 1024
TMP_BYTES_MAX = 1024**3
DISK_BYTES_MAX = 4 * 1024**3  # written into all writable folders together

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "mime.types")
ETC_NETWORK = ("resolv.conf", "hosts", "nsswitch.conf", "ssl", "ca-certificates", "pki")
# Folders that are never lent whole: with one of them a program would have the machine.
NEVER = ("/", "/etc", "/run", "/var", "/home", "/root", "/boot", "/usr", "/tmp", "/opt", "/srv")  # noqa: S108
# Nor anything below these, and nothing below those to write to.
NEVER_BELOW = ("/proc", "/sys", "/dev")
_PROGRAMS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")
NEVER_WRITTEN = ("/etc", "/boot", *_PROGRAMS, *(f"/usr{path}" for path in _PROGRAMS))


@dataclass(frozen=True, slots=True)
class Spec:
    argv: tuple[str, ...]
    cwd: Path
    writable: tuple[Path, ...]
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...]  # empty inside, but for folders below them that are lent themselves
    env: Mapping[str, str]
    network: bool
    limits: Mapping[str, int]

    @classmethod
    def of(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        writable: Sequence[Path],
        readable: Sequence[Path],
        env: Mapping[str, str],
        network: bool,
        memory_bytes_max: int,
        cpu_seconds_max: int,
    ) -> Spec:
        if not argv or any("\0" in word for word in argv):
            raise BadInput(what="command", problems=["argv is empty or holds a NUL character"])
        cwd = _folder(cwd)
        writes = tuple(_lendable(_folder(path), to_write=True) for path in writable)
        reads = tuple(_lendable(Path(path).resolve()) for path in readable if Path(path).exists())
        if not any(cwd.is_relative_to(path) for path in (*writes, *reads)):
            reads = (*reads, _lendable(cwd))
        return cls(
            argv=tuple(argv),
            cwd=cwd,
            writable=writes,
            readable=reads,
            hidden=tuple(_own_places((*writes, *reads))),
            env={**default_env(), **env},
            network=network,
            limits={
                "AS": memory_bytes_max,
                "NPROC": PROCESSES_MAX,
                "FSIZE": FILE_BYTES_MAX,
                "NOFILE": OPEN_FILES_MAX,
                "CPU": cpu_seconds_max,
                "CORE": 0,
            },
        )


def default_env() -> dict[str, str]:
    folders = (f"{sys.prefix}/bin", "/usr/local/bin", "/usr/bin", "/bin")
    return {
        "PATH": os.pathsep.join(folders),
        "HOME": "/tmp",  # noqa: S108  # private inside
        "TMPDIR": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def interpreter_folders() -> list[Path]:
    """Where this Python lives, unless /usr, which is visible anyway."""
    executable = Path(sys.executable)
    candidates = {
        Path(sys.prefix).resolve(),
        Path(sys.base_prefix).resolve(),
        executable.resolve().parent.parent,
    }
    return sorted(path for path in candidates if not path.is_relative_to("/usr"))


def _own_places(lent: Sequence[Path]) -> Iterator[Path]:
    """Where this installation keeps its keys, passwords and servers, when it lies in what is lent,
    as it does where agentsys works on its own checkout."""
    from django.conf import settings

    home = Path(settings.AGENTSYS.home).resolve()
    if home.is_dir() and any(home.is_relative_to(path) for path in lent):
        yield home


def _folder(path: Path) -> Path:
    try:
        resolved = Path(path).resolve()
        is_folder = resolved.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # NUL, a circle of links, over-long
        raise BadInput(what="sandbox", problems=[f"{str(path)[:200]!r}: {error}"]) from error
    if not is_folder:
        raise BadInput(what="sandbox", problems=[f"{path} is not a folder"])
    return resolved


def _lendable(path: Path, *, to_write: bool = False) -> Path:
    below = NEVER_BELOW + (NEVER_WRITTEN if to_write else ())
    if str(path) in NEVER or any(path.is_relative_to(name) for name in below):
        raise BadInput(what="sandbox", problems=[f"{path} is never lent to a program; name less"])
    return path
