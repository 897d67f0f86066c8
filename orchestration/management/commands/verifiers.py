"""`verifiers backtest`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestration.cli.backtest import add_backtest, backtest
from orchestration.cli.output import Command as Base


class Command(Base):
    help = "What verifiers decided, and what they would have decided."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add_backtest(verbs)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        {"backtest": backtest}[verb](self, **options)
