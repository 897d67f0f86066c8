"""`why ID`: why a thing is not running, in a sentence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json
from orchestration.services.why import why


class Command(Base):
    help = "Say in one sentence why a goal, task, attempt, proposal or approval is not running."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="7, 7/TASK-KEY, task-31, attempt-9, proposal-2, approval-3")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        found = why(options["id"])
        self.emit(asdict(found), as_json=options["json"], text=found.sentence)
