"""This machine: programs, folders, files with secrets, and the environment."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from agentsys import conf, embedded
from agentsys.doctor.check import Check, all_of
from agentsys.kernel.wording import closest

GIT_MIN = (2, 38)  # merge-tree --write-tree
FREE_MB_MIN = 500
GIT_FIX = "install git 2.38 or newer"
SECRETS = ("secret_key", "admin_password", "flower_password")
VANISHING = ("tmpfs", "ramfs", "overlay")  # what is there is gone after a restart


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", version, "" if sys.version_info >= (3, 11) else "install Python 3.11")


def _git() -> Check:
    path = shutil.which("git")
    if path is None:
        return Check("git", "not found", GIT_FIX)
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(n) for n in text.split()[2].split(".")[:2])
    return Check("git", text.strip(), "" if version >= GIT_MIN else GIT_FIX)


def _sandbox() -> Check:
    from workers import sandbox

    level = sandbox.level()
    fix = "" if level.name != "none" else "unset AGENTSYS_SANDBOX: nothing isolates agents now"
    return Check("sandbox", f"{level.name} ({level.detail})", fix)


def _home() -> Check:
    home: Path = settings.AGENTSYS.home
    way = "give AGENTSYS_HOME a folder that you may write to"
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / f".doctor-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return Check("home", f"{home}: {error.strerror or error}", way)
    kind = _filesystem(home)
    if kind in VANISHING and settings.REDIS_URL.startswith("unix:") and not settings.TESTING:
        told = f"{home} is on {kind}"
        return Check("home", told, "a restart empties it: " + way + " on a disk", advice=True)
    return Check("home", str(home))


def _filesystem(path: Path) -> str:
    """The kind of file system that `path` is on; "" where the system does not say."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    mounts = [(Path(words[1]), words[2]) for words in (line.split() for line in lines)]
    above = [(len(place.parts), kind) for place, kind in mounts if path.is_relative_to(place)]
    return max(above, default=(0, ""))[1]


def _disk() -> Check:
    home = next(p for p in (settings.AGENTSYS.home, *settings.AGENTSYS.home.parents) if p.is_dir())
    free = shutil.disk_usage(home).free // 1_000_000
    fix = "" if free >= FREE_MB_MIN else f"free at least {FREE_MB_MIN} MB below {home}"
    return Check("disk", f"{free} MB free", fix)


def _secrets() -> Check:
    """Files with secrets, and whether others may read them."""
    home = Path(settings.AGENTSYS.home)
    files = [*(home / name for name in SECRETS), Path(settings.BASE_DIR) / ".env"]
    there = [path for path in files if path.is_file()]
    open_ones = [path for path in there if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    found = f"{len(open_ones)} of {len(there)} files with secrets can be read by others"
    fix = f"chmod 600 {' '.join(map(str, open_ones))}" if open_ones else ""
    return Check("secrets", found if open_ones else f"{len(there)} files, their owner's only", fix)


def _environment() -> Check:
    """Variables that look like a setting of ours and are none. An AGENTSYS_ name that is unknown is
    refused by every command."""
    wrong = list(_misspelt(os.environ))
    found = ", ".join(name for name, _ in wrong)
    fix = all_of(*(f"rename {name} to {meant}" for name, meant in wrong))
    return Check("environment", found or "no misspelt setting", fix)


def _misspelt(environ: os._Environ[str]) -> Iterator[tuple[str, str]]:
    for name in environ:
        known = name in conf.PLAIN_NAMES or name.startswith("AGENTSYS_")
        meant = "" if known else closest(name, conf.PLAIN_NAMES, cutoff=0.85)
        if meant and not environ.get(meant):
            yield name, meant


def _servers() -> Check:
    database, redis = embedded.embedded_urls()
    found = {
        "PostgreSQL": os.environ.get("DATABASE_URL") == database,
        "Redis": os.environ.get("REDIS_URL") == redis,
    }
    return Check(
        "servers", ", ".join(f"{n} {'embedded' if ours else 'given'}" for n, ours in found.items())
    )


CHECKS = (_python, _git, _sandbox, _home, _disk, _secrets, _environment, _servers)
