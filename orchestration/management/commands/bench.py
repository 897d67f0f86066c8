"""`bench`: the same work on bare Celery and on agentsys in the same run, as ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from agentsys import processes
from agentsys.kernel.errors import BadInput, ServiceAway
from orchestration.bench import measure, tasks
from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, table
from orchestration.services.sessions import sessions_alive

START_SECONDS = 60.0
# Measured by later versions; null until then, so that readers of the document need not change.
NOT_YET = ("ratio_fan", "ratio_hop", "ratio_latency", "swarm_efficiency", "recovery_seconds")


class Command(Base):
    help = "Time verified no-op tasks against bare Celery, alternating, and print the ratios."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tasks", type=int, default=5000, help="tasks of ours in a round")
        parser.add_argument("--chords", type=int, default=300, help="Celery chords in a round")
        parser.add_argument("--noops", type=int, default=3000, help="Celery no-ops in a round")
        parser.add_argument("--rounds", type=int, default=3)
        parser.add_argument("--workers", type=int, default=1, help="worker processes of ours")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        low = [n for n in ("tasks", "chords", "noops", "rounds", "workers") if options[n] < 1]
        if low:
            raise BadInput(what="bench", problems=[f"--{n} must be 1 or more" for n in low])
        if sessions_alive():
            problem = "a worker is running and would take part; stop it first (`make down`)"
            raise BadInput(what="bench", problems=[problem])
        with self._workers(options["workers"]):
            rounds = [self._round(number, options) for number in range(options["rounds"])]
        found = result(rounds, options)
        if options["json"]:
            self.emit(found, as_json=True)
        else:
            self._show(found)

    @contextmanager
    def _workers(self, count: int) -> Iterator[None]:
        self.note("starting workers …")
        logs = settings.AGENTSYS.home / "logs"
        mine = [
            processes.worker_argv(concurrency=4, name=f"bench{number}@%h")
            for number in range(count)
        ]
        started = [processes.start(argv, logs / "bench-ours.log") for argv in mine]
        started.append(processes.start(_peer_argv(), logs / "bench-celery.log"))
        try:
            _until_up(lambda: len(sessions_alive()) >= count, started)
            measure.celery_chord(20, timeout=START_SECONDS)  # both warm before anything is timed
            measure.celery_noop(200)
            measure.ours(200)
            yield
        finally:
            for process in started:
                processes.end(process)
            tasks.clear()

    def _round(self, number: int, options: dict[str, Any]) -> dict[str, float]:
        """Rates in tasks a second. All three in each round, since machines have moods."""
        mine = measure.ours(options["tasks"])
        found = {
            "ours": options["tasks"] / mine["seconds"],
            "ours_submit_seconds": mine["submit_seconds"],
            "celery_chord": options["chords"] / measure.celery_chord(options["chords"]),
            "celery_noop": options["noops"] / measure.celery_noop(options["noops"]),
        }
        rates = ", ".join(f"{k} {v:,.0f}/s" for k, v in found.items() if "seconds" not in k)
        self.note(f"round {number + 1}: {rates}")
        return found

    def _show(self, found: dict[str, Any]) -> None:
        rates = found["tasks_per_second"]
        rows = [
            ("agentsys: durable, verified, in the ledger", f"{rates['ours']:,.0f}", "1"),
            ("Celery: chain(execute, chord([verify ×3], decide))",
             f"{rates['celery_chord']:,.0f}", f"× {found['ratio_chord']}"),
            ("Celery: one no-op message", f"{rates['celery_noop']:,.0f}",
             f"× {found['ratio_noop']}"),
        ]  # fmt: skip
        self.show(table(("what", "tasks/s", "ours is"), rows))


def _peer_argv() -> list[str]:
    """Celery at its best for this: its default pool, a process for each core, no events."""
    return [
        sys.executable, "-m", "celery", "-A", "orchestration.bench.tasks", "worker",
        "-c", str(os.cpu_count() or 1), "-n", "bench-celery@%h", "--loglevel", "WARNING",
        "--without-mingle", "--without-gossip", "--without-heartbeat",
    ]  # fmt: skip


def _until_up(is_up: Callable[[], bool], started: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_up():
        ended = any(process.poll() is not None for process in started)
        if ended or time.monotonic() > deadline:
            raise ServiceAway(
                service="worker",
                where="this machine",
                reason="it ended" if ended else "it did not come up in time",
                way_out=f"Read {settings.AGENTSYS.home / 'logs'}/bench-*.log",
            )
        time.sleep(0.1)


def result(rounds: list[dict[str, float]], options: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds; a ratio is that of one round, whose parts ran side by side."""

    def middle(value: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(value(r) for r in rounds)

    return {
        "ratio_chord": round(middle(lambda r: r["ours"] / r["celery_chord"]), 2),
        "ratio_noop": round(middle(lambda r: r["ours"] / r["celery_noop"]), 2),
        **dict.fromkeys(NOT_YET),
        "tasks_per_second": {
            name: round(middle(lambda r, name=name: r[name]), 1)  # type: ignore[misc]
            for name in ("ours", "celery_chord", "celery_noop")
        },
        "submit_seconds": round(middle(lambda r: r["ours_submit_seconds"]), 3),
        "sizes": {n: options[n] for n in ("tasks", "chords", "noops", "rounds", "workers")},
        "verifiers": len(measure.VERIFY),
        "cores": os.cpu_count(),
        "rounds": [{name: round(value, 2) for name, value in r.items()} for r in rounds],
    }
