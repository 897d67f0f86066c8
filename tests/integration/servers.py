"""Processes that use the embedded servers of a home of their own, held and ended by the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentsys.conf import ROOT

USE = """
import json, os, sys
from agentsys import embedded
embedded.ensure()
print(json.dumps({k: os.environ[k] for k in ("DATABASE_URL", "REDIS_URL")}), flush=True)
sys.stdin.read()
"""


def clean_env(home: Path, **more: str) -> dict[str, str]:
    """An environment that names no servers."""
    drop = ("DATABASE_URL", "REDIS_URL", "TESTING", "REDIS_KEYPREFIX")
    kept = {k: v for k, v in os.environ.items() if k not in drop}
    return {**kept, "AGENTSYS_HOME": str(home), **more}


class User:
    """A process that has called `ensure()` and stays until `leave()` or `kill()`."""

    def __init__(self, home: Path, *, account: Mapping[str, Any] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USE],
            cwd=ROOT,
            env=clean_env(home, **({"HOME": str(home)} if account else {})),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **(account or {}),
        )

    def urls(self) -> dict[str, str]:
        """Waits until the servers have answered."""
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def leave(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def command(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=clean_env(home, **env),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
