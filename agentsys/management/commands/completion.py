"""`completion bash|zsh|ids`: commands, verbs, options and live ids by the Tab key."""

from __future__ import annotations

from typing import Any

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandParser

from agentsys import completing
from agentsys.commands import DJANGOS, OURS


class Command(BaseCommand):
    help = 'Print a script for your shell: eval "$(agentsys completion bash)" in ~/.bashrc.'
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for shell in completing.SHELLS:
            verbs.add_parser(shell, help=f"a script for {shell}")
        ids = verbs.add_parser("ids", help="what the script asks for while you type")
        ids.add_argument("kind", choices=completing.KINDS)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "ids":
            self.stdout.write("\n".join(completing.ids(options["kind"])))
            return
        there = get_commands()
        chosen = {n: app for n, app in there.items() if app in OURS or n in DJANGOS}
        parsers = completing.parsers_of(load_command_class, chosen)
        common = frozenset(
            name for action in self.create_parser("", "")._actions for name in action.option_strings
        )
        self.stdout.write(completing.script(verb, parsers, common))
