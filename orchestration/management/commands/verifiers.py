"""`verifiers measure`: how good the verifiers are, on sets with known answers."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from orchestration.cli.measuring import add_measure, measure
from orchestration.cli.output import Command as Base


class Command(Base):
    help = "Measure the verifiers."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add_measure(verbs.add_parser("measure", help="figures on sets with known answers"))

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "measure":
            sys.exit(measure(self, options))
