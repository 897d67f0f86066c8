"""`memory VERB`: what is remembered. The verbs are in `memory.cli`, a module for each group."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from memory.cli import (
    keeping,
    measuring,
    procedures,
    recalling,
    safety,
    transferring,
    upkeep,
    writing,
)
from memory.cli.verbs import Act, Speech, Verbs

GROUPS = (
    recalling,
    writing,
    keeping,
    upkeep,
    procedures,
    safety,
    transferring,
    measuring,
)


class Command(BaseCommand):
    help = "Search what was remembered, add to it, and see what is kept."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = Verbs(parser.add_subparsers(dest="verb", required=True, metavar="VERB"))
        for group in GROUPS:
            group.register(verbs)

    def handle(self, *args: Any, act: Act, json: bool, **options: Any) -> None:
        act(Speech(self, as_json=json), options)
