"""`doctor [--json]`: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from agentsys.doctor import Check, examine
from agentsys.kernel.errors import ExitCode


class Command(BaseCommand):
    help = "Check Python, git, sandbox, servers, migrations and settings; each with its fix."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = list(examine())
        if options["json"]:
            self.stdout.write(json.dumps([asdict(c) for c in checks], indent=2))
        else:
            for check in checks:
                self._tell(check)
        if any(c.away for c in checks):
            sys.exit(ExitCode.UNAVAILABLE)
        if any(c.fix and not c.advice for c in checks):
            sys.exit(ExitCode.ERROR)

    def _tell(self, check: Check) -> None:
        mark = "✓" if not check.fix else "·" if check.advice else "✗"
        self.stdout.write(f"{mark} {check.name:15} {check.found}")
        if check.fix:
            self.stdout.write(f"  {'':15} → {check.fix}")
