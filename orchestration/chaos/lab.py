"""The lab: servers, a migrated template database and, for each scenario, a process of its own.

Nothing of it touches the database and the broker that the installation works with.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentsys.kernel.errors import AgentsysError, BadInput
from orchestration.chaos import plugin
from orchestration.chaos.report import Outcome
from orchestration.chaos.scenarios.base import Scenario
from orchestration.chaos.servers import ROOT, Servers, migrations_mark
from orchestration.chaos.stage import PROGRESS, Order

DATABASE = "chaos"
SAY_SECONDS = 10.0
LIMIT_SECONDS = 600.0  # on top of the ordered seconds, then a scenario is ended


class ChaosBroke(AgentsysError):
    """A scenario could not be played to its end: that says nothing about the system."""

    code = "chaos-broke"
    template = "scenario {scenario} was not played to its end: {reason}. Read the logs in {logs}"


@dataclass(frozen=True, slots=True)
class Lab:
    """`folder` keeps the servers, and of the last play of each scenario everything."""

    folder: Path
    servers: Servers
    say: Callable[[str], None] = lambda _: None

    def play(self, scenario: Scenario, order: Order) -> Outcome:
        """Play it on a fresh database and an empty broker; ChaosBroke when it does not end."""
        self.servers.start()
        self.servers.redis_flush()
        self.servers.database_from(DATABASE, self._template())
        scene = self.folder / scenario.name
        shutil.rmtree(scene, ignore_errors=True)
        scene.mkdir(parents=True)
        words = [scenario.name, str(scene), order.tasks, order.faults, order.seconds, order.seed]
        argv = [sys.executable, "-m", "orchestration.chaos.play", *map(str, words)]
        env = {**self.env(DATABASE), **scenario.env}
        with (scene / "play.log").open("wb") as log:
            self._run(argv, env, scenario.name, log=log, seconds=order.seconds + LIMIT_SECONDS)
        return Outcome.of(json.loads((scene / "outcome.json").read_text()))

    def env(self, database: str) -> dict[str, str]:
        """The environment of everything that takes part."""
        return {
            **_without_settings(os.environ),
            **self.servers.env(database),
            **plugin.path_env(plugin.install(self.folder / "plugin")),
            "AGENTSYS_HOME": str(self.folder / "home"),
            "CHAOS_SERVERS": str(self.folder / "servers"),
            "REDIS_KEYPREFIX": "chaos:",
        }

    def _template(self) -> str:
        """A migrated database, made once for each set of migrations."""
        name = f"chaos_{migrations_mark()}"
        if not self.servers.database_exists(name):
            self.servers.database_from(f"{name}_new", "template1")
            with (self.folder / "migrate.log").open("wb") as log:
                argv = [sys.executable, "manage.py", "migrate", "--no-input", "-v", "0"]
                self._run(argv, self.env(f"{name}_new"), "migrate", log=log, seconds=300)
            self.servers.database_from(name, f"{name}_new")
        return name

    def _run(
        self, argv: list[str], env: Mapping[str, str], name: str, *, log: object, seconds: float
    ) -> None:
        reason = ""
        process = subprocess.Popen(
            argv, env=dict(env), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log  # type: ignore[call-overload]
        )  # fmt: skip
        try:
            if self._waited(process, name, seconds):
                reason = f"it ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            reason = f"it did not end in {seconds:.0f} s"
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)
        if reason:
            raise ChaosBroke(scenario=name, reason=reason, logs=self.folder / name)

    def _waited(self, process: subprocess.Popen[bytes], name: str, seconds: float) -> int:
        """What the process ended with; says every few seconds how far it is. TimeoutExpired."""
        progress = self.folder / name / PROGRESS
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            try:
                return process.wait(max(0.0, min(left, SAY_SECONDS)))
            except subprocess.TimeoutExpired:
                if left <= SAY_SECONDS:
                    raise
                told = progress.read_text() if progress.exists() else ""
                self.say(f"  {told or 'setting the stage …'}")


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Defaults are what is to be shown; a scenario names its own settings itself."""
    return {k: v for k, v in environ.items() if not k.startswith(("AGENTSYS_", "CHAOS_", "CRASH"))}


@contextmanager
def lab_in(folder: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[Lab]:
    """A lab whose servers run for as long as the context lasts; BadInput when it is in use."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lab.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            problem = f"another one plays in {folder}; wait for it, or give AGENTSYS_HOME another"
            raise BadInput(what="chaos", problems=[problem]) from error
        servers = Servers(folder / "servers")
        servers.start()
        try:
            yield Lab(folder, servers, say)
        finally:
            servers.stop()
