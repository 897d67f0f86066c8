"""`schedules list|set|on|off|run|remove`: goals that come again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import NoSuchName
from agentsys.kernel.wording import utc
from orchestration.cli.output import Command as Base
from orchestration.cli.output import actor, add_json, first_line, project_known, table
from orchestration.domain.cron import explained
from orchestration.management.commands.goals import params_of
from orchestration.models import Schedule
from orchestration.services import schedules

TEXTS = {
    "cron": 'minute, hour, day, month, weekday: "0 7 * * 1-5"',
    "time-zone": "of these times, such as Europe/Berlin (UTC)",
    "objective": "what the goals are to reach",
    "playbook": "the playbook they follow",
    "repository": "the repository they work on",
}


class Command(Base):
    help = "Goals that come again and again: submitted when they are due, each time once."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listing = verbs.add_parser("list", help="what comes, and when")
        listing.add_argument("--project", help="those of one project")
        change = verbs.add_parser("set", help="make a schedule, or change that of this name")
        for name, text in TEXTS.items():
            change.add_argument(f"--{name}", help=text)
        change.add_argument("--param", action="append", default=[], metavar="NAME=VALUE",
                            help="of the playbook")  # fmt: skip
        change.add_argument("--priority", type=int)
        change.add_argument("--overlap", choices=("yes", "no"),
                            help="begin while the last goal is still under way (no)")  # fmt: skip
        named = {
            "on": "let it come again",
            "off": "nothing more comes of it, until it is on",
            "run": "submit a goal of it now",
            "remove": "forget it; its goals stay",
        }
        for verb, text in named.items():
            verbs.add_parser(verb, help=text)
        for verb, made in verbs.choices.items():
            if verb != "list":
                made.add_argument("name")
                made.add_argument("--project", default="default")
            add_json(made)

    def handle(self, *args: Any, **options: Any) -> None:
        act = getattr(self, f"_{options['verb']}")
        act(options)

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = Schedule.objects.select_related("project", "last_goal").order_by(
            "project__name", "name"
        )
        if options["project"]:
            rows = rows.filter(project=project_known(options["project"]))
        if options["json"]:
            self.emit({"schedules": [schedules.schedule_line(row) for row in rows]}, as_json=True)
            return
        lines = [
            (row.name, row.project.name, explained(row.cron), row.time_zone,
             utc(row.due_at) if row.due_at else "off", row.last_goal or "",
             first_line(row.problem or row.objective))
            for row in rows
        ]  # fmt: skip
        titles = ("name", "project", "when", "zone", "next", "last goal", "what")
        self.show(
            table(titles, lines) if lines else "No schedules; `schedules set NAME …` makes one."
        )

    def _set(self, options: Mapping[str, Any]) -> None:
        given = {
            "cron": options["cron"], "time_zone": options["time_zone"],
            "objective": options["objective"], "playbook": options["playbook"],
            "repository": options["repository"], "priority": options["priority"],
            "overlap": None if options["overlap"] is None else options["overlap"] == "yes",
            "params": params_of(options["param"]) if options["param"] else None,
        }  # fmt: skip
        values = {name: value for name, value in given.items() if value is not None}
        project = project_known(options["project"]).name
        row = schedules.schedule_set(project, options["name"], values, actor=actor())
        self._said(options, row, f"{_next(row)}: {explained(row.cron)}")

    def _on(self, options: Mapping[str, Any]) -> None:
        row = schedules.schedule_change(_found(options).pk, {"enabled": True})
        self._said(options, row, _next(row))

    def _off(self, options: Mapping[str, Any]) -> None:
        row = schedules.schedule_change(_found(options).pk, {"enabled": False})
        self._said(options, row, f"{row.name} is off; `schedules on {row.name}` lets it come again")

    def _run(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        goal = schedules.schedule_run(row.pk, actor=actor())
        self.emit(
            {"id": goal.pk, "state": goal.state},
            as_json=options["json"],
            text=f"{goal} is {goal.state}",
        )

    def _remove(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        schedules.schedule_remove(row.pk)
        self.emit(
            schedules.schedule_line(row),
            as_json=options["json"],
            text=f"{row.name} is gone; its goals stay",
        )

    def _said(self, options: Mapping[str, Any], row: Schedule, text: str) -> None:
        self.emit(schedules.schedule_line(row), as_json=options["json"], text=text)


def _found(options: Mapping[str, Any]) -> Schedule:
    rows = Schedule.objects.filter(project=project_known(options["project"])).order_by("name")
    row = rows.filter(name=options["name"]).select_related("project", "last_goal").first()
    if row is None:
        names = list(rows.values_list("name", flat=True)[:11])
        raise NoSuchName(kind="schedule", name=options["name"], names=names)
    return row


def _next(row: Schedule) -> str:
    return f"{row.name} comes {utc(row.due_at)} next" if row.due_at else f"{row.name} is off"
