"""`bench`: the same work on bare Celery and on agentsys in the same run, as ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandParser

from agentsys import processes
from agentsys.kernel.errors import BadInput, ServiceAway
from orchestration.bench import cpu, measure, plans, swarm, tasks
from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, table
from orchestration.models import Goal
from orchestration.services.sessions import sessions_alive

START_SECONDS = 60.0
SMALL = 100  # tasks of the small plan that the big one is compared with
RICH = "x" * 2000
SIZES: Mapping[str, tuple[int, str]] = {
    "tasks": (10_000, "independent tasks of ours in a round"),
    "singles": (2000, "tasks of ours that are served one by one, in a round"),
    "goals": (10, "goals that those are in; all in one goal are timed, too"),
    "chords": (200, "Celery chords in a round"),
    "noops": (2000, "Celery no-ops in a round"),
    "width": (500, "items of each fan-out"),
    "phases": (3, "fan-outs, each after the one before"),
    "hops": (200, "tasks in a line"),
    "dag": (10_000, "tasks of the big plan; 0 leaves it out"),
    "rounds": (3, "rounds; what is reported is the middle one"),
    "workers": (2, "worker processes of ours"),
}
SWARM: Mapping[str, tuple[float, str]] = {  # with --swarm only that is measured
    "swarm": (0, "items of a swarm, with workers killed on the way; 0: everything else instead"),
    "concurrency": (1000, "items of the swarm at once, in all workers together"),
    "call-seconds": (1.0, "what the call for an item takes"),
    "kills": (2, "workers killed while the swarm runs"),
}
Round = dict[str, float]


class Command(Base):
    help = "Time verified no-op tasks against bare Celery, alternating, and print the ratios."

    def add_arguments(self, parser: CommandParser) -> None:
        for name, (default, text) in SIZES.items():
            help_text = f"{text} (default {default})"
            parser.add_argument(f"--{name}", type=int, default=default, help=help_text)
        for name, (given, text) in SWARM.items():
            help_text = f"{text} (default {given})"
            parser.add_argument(f"--{name}", type=type(given), default=given, help=help_text)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        low = [n for n in SIZES if options[n] < (0 if n == "dag" else 1)]
        if low:
            raise BadInput(what="bench", problems=[f"--{n} must be 1 or more" for n in low])
        call_command("migrate", verbosity=0)
        if sessions_alive():
            problem = "a worker is running and would take part; stop it first (`make down`)"
            raise BadInput(what="bench", problems=[problem])
        waiting = Goal.objects.filter(finished_at=None).exclude(project__name=measure.PROJECT)
        if waiting.exists():
            problem = "goals wait here, and would be worked on; give a database of its own"
            raise BadInput(what="bench", problems=[problem])
        if options["swarm"]:
            self._swarm(options)
            return
        sizes = {name: options[name] for name in SIZES}
        with self._peer():
            with self._workers(sizes["workers"]) as pids:
                rounds = [self._round(n, sizes, pids) for n in range(sizes["rounds"])]
                scale = self._scale(sizes["dag"], pids)
            with self._workers(sizes["workers"], AGENTSYS_BATCH_MAX="1") as pids:
                singles = [self._singles(n, sizes, pids) for n in range(sizes["rounds"])]
        sent = measure.statements(plans.flat(sizes["tasks"]))
        found = {**result(rounds, singles, scale, sizes), "statements_per_task": round(sent, 3)}
        if options["json"]:
            self.emit(found, as_json=True)
        else:
            self._show(found)

    def _swarm(self, options: Mapping[str, Any]) -> None:
        items, at_once = options["swarm"], options["concurrency"]
        log = settings.AGENTSYS.home / "logs" / "bench-ours.log"
        names = iter(range(1000))

        def start() -> subprocess.Popen[bytes]:
            name = f"bench{next(names)}@%h"
            return processes.start(processes.worker_argv(concurrency=2, name=name), log)

        started = [start() for _ in range(options["workers"])]
        try:
            _until_up(lambda: len(sessions_alive()) >= options["workers"], started)
            found = swarm.swarm(
                items,
                concurrency=at_once,
                call_seconds=options["call_seconds"],
                kills=options["kills"],
                workers=started,
                restart=start,
                timeout=60 + 5 * items * options["call_seconds"] / at_once + items / 100,
            ).to_json()
        finally:
            for process in started:
                processes.end(process)
        if options["json"]:
            self.emit(found, as_json=True)
        else:
            self.show(
                table(("what", "figure"), [(k.replace("_", " "), v) for k, v in found.items()])
            )

    @contextmanager
    def _peer(self) -> Iterator[None]:
        log = settings.AGENTSYS.home / "logs" / "bench-celery.log"
        process = processes.start(_peer_argv(), log)
        try:
            measure.celery_chord(20, timeout=START_SECONDS)  # warm before anything is timed
            measure.celery_noop(200)
            yield
        finally:
            processes.end(process)
            tasks.clear()

    @contextmanager
    def _workers(self, count: int, **env: str) -> Iterator[list[int]]:
        self.note("starting workers …")
        log = settings.AGENTSYS.home / "logs" / "bench-ours.log"
        started = [
            processes.start(
                processes.worker_argv(concurrency=1, name=f"bench{number}@%h"), log, env=env
            )
            for number in range(count)
        ]
        try:
            _until_up(lambda: len(sessions_alive()) >= count, started)
            measure.ours([plans.flat(500)])
            yield [process.pid for process in started]
        finally:
            for process in started:
                processes.end(process)

    def _round(self, number: int, sizes: Mapping[str, int], pids: list[int]) -> Round:
        """Everything in each round, ours beside theirs, since machines have moods."""
        flat = measure.ours([plans.flat(sizes["tasks"])], processes=pids)
        found = {
            "ours": flat.rate,
            "submit_seconds": flat.submit_seconds,
            "cpu_s_per_1000": flat.cpu_per_1000,
            "commits": flat.commits / flat.tasks,
            "wal_bytes": flat.wal_bytes / flat.tasks,
            "celery_chord": measure.celery_chord(sizes["chords"]),
            "rich": measure.ours([plans.flat(sizes["tasks"] // 2, payload=RICH)]).rate,
        }
        used = cpu.spent([os.getpid()])  # the peer's worker is a child; ours have nothing to do
        found["celery_noop"] = measure.celery_noop(sizes["noops"])
        found["celery_noop_cpu"] = (cpu.spent([os.getpid()]) - used) / sizes["noops"] * 1000
        self._tell(number, found, ("ours", "rich", "celery_chord", "celery_noop"))
        fan = measure.ours([plans.fan(sizes["width"], sizes["phases"])])
        line = measure.ours([plans.line(sizes["hops"])])
        found |= {
            "fan": fan.rate,
            "celery_fan": measure.celery_fan(sizes["width"], sizes["phases"]),
            "hop_ms": line.span_seconds / (line.tasks - 1) * 1000,
            "celery_hop_ms": measure.celery_hop(sizes["hops"]) * 1000,
        }
        self._tell(number, found, ("fan", "celery_fan"))
        self.note(f"  hop {found['hop_ms']:.2f} ms, celery {found['celery_hop_ms']:.2f} ms")
        return found

    def _singles(self, number: int, sizes: Mapping[str, int], pids: list[int]) -> Round:
        """One by one: what is done is settled before the next is begun. Within a goal settling waits
        for the goal's lock, so that goals side by side say more about many agents."""
        each = max(1, sizes["singles"] // sizes["goals"])
        several = measure.ours([plans.flat(each)] * sizes["goals"], processes=pids)
        found = {
            "singles": several.rate,
            "celery_chord": measure.celery_chord(sizes["chords"]),
            "singles_in_one": measure.ours([plans.flat(sizes["singles"])]).rate,
            "cpu": several.cpu_per_1000,
        }
        self._tell(number, found, ("singles", "singles_in_one", "celery_chord"))
        return found

    def _scale(self, big: int, pids: list[int]) -> Round:
        """CPU seconds per 1,000 tasks in one big plan and in many small ones of the same shape."""
        if not big:
            return {}
        small = [plans.layers(SMALL) for _ in range(max(1, big // 4 // SMALL))]
        found = {
            "small": measure.ours(small, processes=pids).cpu_per_1000,
            **_big(measure.ours([plans.layers(big)], processes=pids)),
        }
        self.note(
            f"CPU s per 1,000: {found['small']:.2f} in plans of {SMALL}, {found['big']:.2f} in one"
            f" of {big:,}, which was accepted in {found['accepted_seconds']:.1f} s"
        )
        return found

    def _tell(self, number: int, found: Round, names: tuple[str, ...]) -> None:
        rates = ", ".join(f"{name} {found[name]:,.0f}/s" for name in names)
        self.note(f"round {number + 1}: {rates}")

    def _show(self, found: dict[str, Any]) -> None:
        rate, more = found["tasks_per_second"], found["middle"]
        rows = [
            ("tasks a second: durable, verified, in the ledger", rate["ours"], "", ""),
            ("  as Celery's chain(execute, chord([verify ×3], decide))",
             rate["ours"], rate["celery_chord"], found["ratio_chord"]),
            ("  as one Celery no-op", rate["ours"], rate["celery_noop"], found["ratio_noop"]),
            ("  with 2 kB outputs, as that chain", rate["rich"], rate["celery_chord"],
             found["ratio_rich"]),
            ("  one by one, as that chain", rate["singles"], rate["celery_chord"],
             found["ratio_one_by_one"]),
            ("  one by one in a single goal, as that chain", rate["singles_in_one"],
             rate["celery_chord"], found["ratio_one_by_one_in_one_goal"]),
            ("  fan-outs, as nested chords", rate["fan"], rate["celery_fan"], found["ratio_fan"]),
            ("milliseconds a hop, as a plain chain's", more["hop_ms"], more["celery_hop_ms"],
             found["ratio_hop"]),
            ("statements a task", found["statements_per_task"], "", ""),
            ("commits a task", more["commits"], "", ""),
            ("CPU seconds per 1,000 tasks, as 1,000 Celery no-ops", found["cpu_s_per_1000"],
             more["celery_noop_cpu"], found["ratio_cpu"]),
            ("cost of a task in the big plan, as in a small one", "", "", found["dag_cost_ratio"]),
        ]  # fmt: skip
        self.show(table(("what", "ours", "Celery", "ratio"), rows))


def _big(timed: measure.Timed) -> Round:
    return {"big": timed.cpu_per_1000, "accepted_seconds": timed.submit_seconds}


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


def result(
    rounds: list[Round], singles: list[Round], scale: Round, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Medians over the rounds; a ratio is that of one round, whose parts ran side by side."""

    def middle(value: Callable[[Round], float], of: list[Round] = rounds) -> float:
        return round(statistics.median(value(r) for r in of), 3)

    def ratio(ours: str, theirs: str, of: list[Round] = rounds) -> float:
        return middle(lambda r: r[ours] / r[theirs], of)

    names = ("ours", "rich", "celery_chord", "celery_noop", "fan", "celery_fan")
    return {
        "ratio_chord": ratio("ours", "celery_chord"),
        "ratio_noop": ratio("ours", "celery_noop"),
        "ratio_rich": ratio("rich", "celery_chord"),
        "ratio_one_by_one": ratio("singles", "celery_chord", singles),
        "ratio_one_by_one_in_one_goal": ratio("singles_in_one", "celery_chord", singles),
        "ratio_fan": ratio("fan", "celery_fan"),
        "ratio_hop": ratio("hop_ms", "celery_hop_ms"),
        "dag_cost_ratio": round(scale["big"] / scale["small"], 3) if scale else None,
        "ratio_cpu": ratio("cpu_s_per_1000", "celery_noop_cpu"),
        "cpu_s_per_1000": middle(lambda r: r["cpu_s_per_1000"]),
        "tasks_per_second": {name: middle(lambda r, name=name: r[name]) for name in names}  # type: ignore[misc]
        | {
            name: middle(lambda r, name=name: r[name], singles)  # type: ignore[misc]
            for name in ("singles", "singles_in_one")
        },
        "middle": {
            name: middle(lambda r, name=name: r[name])  # type: ignore[misc]
            for name in (
                "hop_ms",
                "celery_hop_ms",
                "submit_seconds",
                "commits",
                "wal_bytes",
                "celery_noop_cpu",
            )
        },
        "plan_accepted_seconds": round(scale["accepted_seconds"], 3) if scale else None,
        "sizes": dict(sizes),
        "verifiers": len(plans.VERIFY),
        "cores": os.cpu_count(),
        "rounds": [{k: round(v, 3) for k, v in r.items()} for r in rounds],
        "single_rounds": [{k: round(v, 3) for k, v in r.items()} for r in singles],
        "scale": {k: round(v, 3) for k, v in scale.items()},
    }
