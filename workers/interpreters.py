"""Which Python runs a repository's code in the sandbox, and in what environment: the repository's own
`.venv` where it works there, else the one that runs this."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentsys.kernel.errors import BadInput
from workers import sandbox
from workers.git import Repository

TRIAL_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Python:
    """`folders` must be readable inside for it to run."""

    executable: str = sys.executable
    folders: tuple[Path, ...] = ()

    @property
    def bin(self) -> Path:
        return Path(self.executable).parent

    def env(self, checkout: Path, first: Sequence[Path] = ()) -> dict[str, str]:
        """`src` comes first, since an editable install points at the user's tree, not at this one."""
        folders = [*first, checkout / "src", checkout]
        return {
            "PYTHONPATH": ":".join(str(path) for path in folders if path.is_dir()),
            "PATH": f"{self.bin}:{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
            "CI": "1",
        }


def python_for(repository: Repository, checkout: Path, module: str) -> Python:
    """The repository's own where it has this module, else ours, whether that has it or not."""
    own = _own(repository)
    return own if own and has(own, checkout, module) else Python()


def python_with(repository: Repository | None, checkout: Path, module: str) -> Python | None:
    """The Python that can import what the repository needs, or None where that one lacks `module`.
    A repository with a `.venv` that works is never run by ours, which has other packages."""
    own = _own(repository) if repository else None
    python = own if own and has(own, checkout, "sys") else Python()
    return python if has(python, checkout, module) else None


def has(python: Python, checkout: Path, module: str) -> bool:
    try:
        trial = sandbox.run(
            [python.executable, "-c", f"import {module}"],
            cwd=checkout,
            readable=python.folders,
            timeout_seconds=TRIAL_SECONDS_MAX,
        )
    except BadInput:  # its folders are none that may be lent
        return False
    return trial.exit_code == 0


def _own(repository: Repository) -> Python | None:
    venv = repository.path / ".venv"
    config = venv / "pyvenv.cfg"
    if repository.bare or not config.is_file() or venv.resolve() == Path(sys.prefix).resolve():
        return None
    homes = [
        line.partition("=")[2].strip()
        for line in config.read_text("utf-8", "replace").splitlines()
        if line.partition("=")[0].strip() == "home"
    ]
    base = [Path(home).resolve().parent for home in homes]
    folders = tuple(path for path in (venv, *base) if not path.is_relative_to("/usr"))
    return Python(str(venv / "bin" / "python"), folders)
