"""`console bench`: how long pages and reads take among many rows, and how soon an event is on screens.
`console screenshots`: pictures of the pages, for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandParser
from django.urls import reverse

from agentsys.kernel.errors import BadInput, ServiceAway
from orchestration.bench import serving
from orchestration.bench.browsing import until_interactive
from orchestration.bench.crowd import Sizes, crowd
from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, positive, table
from orchestration.cli.picturing import pictured

USUAL = Sizes()
TABS = ("tasks", "timeline", "log")  # of the big goal, as a browser opens them
# Milliseconds at the 95th percentile, by what is asked for.
BARS = {"list": 150.0, "goal": 500.0, "page": 500.0, "api": 100.0, "told": 500.0, "browser": 2000.0}


class Command(Base):
    help = "Time the console's pages, the API's reads and its event streams among many rows."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        bench = verbs.add_parser(
            "bench", help="fill an empty database and time what is served from it"
        )
        for name, default, text in (
            ("goals", USUAL.goals, "goals, one of them big"),
            ("tasks", USUAL.tasks, "tasks of all goals together"),
            ("entries", USUAL.entries, "ledger entries of all goals together"),
            ("big", USUAL.big, "tasks of the big goal"),
            ("rounds", 30, "times that each page is asked for"),
            ("loads", 10, "times that each tab of the big goal is opened in a browser"),
            ("watchers", 50, "open pages of the big goal"),
            ("events", 40, "events that they are to show"),
            ("seed", 1, "of what is drawn by chance"),
        ):
            bench.add_argument(
                f"--{name}", type=positive, default=default, help=f"{text} ({default})"
            )
        add_json(bench)
        shots = verbs.add_parser(
            "screenshots", help="pictures of the console's pages, as they are now"
        )
        shots.add_argument("--output", type=Path, default=Path("screenshots"), help="a folder")
        shots.add_argument("--format", choices=("jpeg", "png"), default="jpeg")
        add_json(shots)

    def handle(self, *args: Any, **options: Any) -> None:
        {"bench": self._bench, "screenshots": self._screenshots}[options["verb"]](options)

    def _screenshots(self, options: Mapping[str, Any]) -> None:
        made = [
            str(path) for path in pictured(options["output"], self.note, form=options["format"])
        ]
        self.emit({"files": made}, as_json=options["json"], text="\n".join(made))

    def _opened(self, goal: int, loads: int) -> list[serving.Timed]:
        """Of a cold profile each time. Where there is no browser this is said, and nothing measured."""
        paths = _tabs(goal)
        try:
            taken = until_interactive(list(paths.values()), loads)
        except ServiceAway as away:
            self.note(f"not measured in a browser: {away}")
            return []
        return [
            serving.summed(name, "browser", each) for name, each in zip(paths, taken, strict=True)
        ]

    def _bench(self, options: Mapping[str, Any]) -> None:
        sizes = Sizes(**{name: options[name] for name in ("goals", "tasks", "entries", "big")})
        if sizes.tasks < sizes.big + sizes.goals - 1:
            problem = (
                f"--tasks {sizes.tasks}: at least {sizes.big + sizes.goals - 1} for these goals"
            )
            raise BadInput(what="bench", problems=[problem])
        call_command("migrate", verbosity=0)
        goals = crowd(sizes, self.note)
        timed = serving.timed(goals, options["rounds"], self.note)
        opened = self._opened(goals[0], options["loads"])
        told = serving.told(
            goals[0],
            watchers=options["watchers"],
            events=options["events"],
            seed=options["seed"],
            tell=self.note,
        )
        if options["json"]:
            found = {"sizes": asdict(sizes), "served": [asdict(t) for t in timed],
                     "browser": [asdict(t) for t in opened], "told": told}  # fmt: skip
            self.emit(found, as_json=True)
            return
        self.show(table(("what", "p50 ms", "p95 ms", "at most", "statements"), _rows(timed)))
        if opened:
            self.show(
                table(
                    ("interactive in a browser", "p50 ms", "p95 ms", "at most"),
                    [row[:-1] for row in _rows(opened)],
                )
            )
        self.show(
            f"From an event to {told['watchers']} open pages: p50 {told['p50']} ms, p95 {told['p95']} ms"
            f" (at most {BARS['told']:.0f}), {told['missed']} missed"
        )


def _tabs(goal: int) -> dict[str, str]:
    url = reverse("admin:agentsys_orchestration_goal_change", args=[goal])
    return {f"goal page, {tab}": f"{url}?tab={tab}" for tab in TABS}


def _rows(timed: Sequence[serving.Timed]) -> list[tuple[Any, ...]]:
    return [
        (one.name, one.p50, f"{one.p95}{' !' if one.p95 > BARS[one.group] else ''}",
         f"{BARS[one.group]:.0f}", one.queries)
        for one in timed
    ]  # fmt: skip
