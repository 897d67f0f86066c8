"""`chaos SCENARIO|all|list|report`: hurt real processes and compare what they did with the witness."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from agentsys.kernel.errors import BadInput, ExitCode, NotFound
from orchestration.chaos.lab import ChaosBroke, Lab, lab_in
from orchestration.chaos.report import COLUMNS, FIGURES, Outcome, markdown, problems, row
from orchestration.chaos.scenarios import SCENARIOS, Scenario
from orchestration.chaos.stage import Order
from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, table

HELP = f"all, list, report (what was played last), or one of {', '.join(SCENARIOS)}"


class Command(Base):
    help = "Kill, freeze and cut real processes, and report what was lost or doubled."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("scenario", help=HELP)
        parser.add_argument("--quick", action="store_true", help="the small amounts")
        parser.add_argument(
            "--full",
            action="store_true",
            help="the full amounts, minutes for each scenario: the default of this command, and so of"
            ' `make chaos ARGS="…"`; only `make chaos` without ARGS is --quick',
        )
        parser.add_argument("--tasks", type=int, help="at least so many tasks")
        parser.add_argument(
            "--faults",
            type=int,
            help="at least so many faults: they go on until there were so many tasks too, or until"
            " the seconds are over",
        )
        parser.add_argument("--seconds", type=float, help="about how long faults are made at most")
        parser.add_argument("--seed", type=int, help="chooses the moments of the faults")
        parser.add_argument("--report", type=Path, help="write a Markdown section to this file")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["scenario"] == "list":
            return self._list(options)
        folder = settings.AGENTSYS.home / "chaos"
        if options["scenario"] == "report":
            outcomes = _last(folder)
        else:
            orders = [(s, _order(s, options)) for s in _chosen(options["scenario"])]
            with lab_in(folder, self.note) as lab:
                outcomes = [self._play(lab, *each) for each in orders]
        if options["report"]:
            options["report"].write_text(markdown(outcomes, heading="Chaos"))
        self._tell(outcomes, options)
        sys.exit(ExitCode.DONE if all(o.holds for o in outcomes) else ExitCode.ERROR)

    def _list(self, options: dict[str, Any]) -> None:
        if options["json"]:
            found = [{"scenario": s.name, "title": s.title} for s in SCENARIOS.values()]
            return self.emit(found, as_json=True)
        return self.show(
            table(("scenario", "what"), [(s.name, s.title) for s in SCENARIOS.values()])
        )

    def _play(self, lab: Lab, scenario: Scenario, order: Order) -> Outcome:
        if missing := scenario.missing():
            return _unplayed(scenario, order, skipped=missing)
        self.note(f"{scenario.name}: {scenario.title} …")
        try:
            outcome = lab.play(scenario, order)
        except ChaosBroke as broke:
            return _unplayed(scenario, order, wrong=[str(broke)])
        for text in problems(outcome):
            self.note(f"  {text}")
        return outcome

    def _tell(self, outcomes: list[Outcome], options: dict[str, Any]) -> None:
        if options["json"]:
            return self.emit([o.to_json() for o in outcomes], as_json=True)
        return self.show(table(COLUMNS, [row(outcome) for outcome in outcomes]))


def _last(folder: Path) -> list[Outcome]:
    """The last outcome of each scenario that was ever played to its end; NotFound when none was."""
    paths = [folder / name / "outcome.json" for name in SCENARIOS]
    found = [Outcome.of(json.loads(path.read_text())) for path in paths if path.exists()]
    if not found:
        raise NotFound(kind="outcome in", id=folder, listing="agentsys chaos list")
    return found


def _chosen(name: str) -> list[Scenario]:
    if name == "all":
        return list(SCENARIOS.values())
    if name not in SCENARIOS:
        problem = (
            f"there is no scenario {name!r}; there are all, list, report, {', '.join(SCENARIOS)}"
        )
        raise BadInput(what="chaos", problems=[problem])
    return [SCENARIOS[name]]


def _order(scenario: Scenario, options: dict[str, Any]) -> Order:
    order = scenario.quick if options["quick"] else scenario.full
    given = {
        name: options[name]
        for name in ("tasks", "faults", "seconds", "seed")
        if options[name] is not None
    }
    low = [f"--{name} must be more than 0" for name, value in given.items() if value <= 0]
    if low:
        raise BadInput(what="chaos", problems=low)
    return replace(order, **given)


def _unplayed(
    scenario: Scenario, order: Order, *, skipped: str = "", wrong: Sequence[str] = ()
) -> Outcome:
    return Outcome(
        scenario=scenario.name, title=scenario.title, seed=order.seed, seconds=0.0,
        settings=dict(scenario.env), tasks=0, done=0, effects=0, calls=0, faults={},
        counts=dict.fromkeys(FIGURES, 0), examples={}, recovery={}, restart={}, notes={},
        wrong=list(wrong), skipped=skipped,
    )  # fmt: skip
