"""`fsck [--repair] [--deep]`: prove the invariants by SQL."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import ExitCode
from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json
from orchestration.management.commands.goals import goal_id
from orchestration.services.fsck import INVARIANTS, Finding, fsck


class Command(Base):
    help = "Check every invariant; --repair mends what has one safe repair."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("goal", nargs="?", help="default: every goal")
        parser.add_argument("--repair", action="store_true")
        parser.add_argument(
            "--deep", action="store_true", help="fold every ledger and compare with the tables"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        pk = goal_id(options["goal"]) if options["goal"] else None
        findings = fsck(pk, repair=options["repair"], deep=options["deep"])
        lines = [_line(f) for f in findings]
        self.emit(
            [asdict(f) for f in findings],
            as_json=options["json"],
            text="\n".join(lines)
            or f"clean: {len(INVARIANTS) + 1 + options['deep']} invariants hold",
        )
        if any(not f.repaired for f in findings):
            sys.exit(ExitCode.ERROR)


def _line(found: Finding) -> str:
    goal = f"goal-{found.goal_id}"
    place = goal if found.ref == goal else f"{goal} {found.ref}"
    return f"{'repaired: ' if found.repaired else ''}{found.invariant}: {place} {found.problem}"
