"""Django's commands, and what was meant where a command or its verb was mistyped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.core.management import ManagementUtility, get_commands
from django.core.management.base import BaseCommand

from agentsys.completing import verbs_of
from agentsys.kernel.errors import AgentsysError, ExitCode
from agentsys.kernel.wording import closest


class NoSuchCommand(AgentsysError):
    """No such command, or no such verb of one. `hint` asks for the nearest that there is."""

    code = "no-such-command"
    template = "there is no `{name}`{hint} `{listing}` shows what there is"
    exit_code = ExitCode.USAGE


def execute(words: Sequence[str]) -> None:
    """Run a command line, the program's name first. NoSuchCommand, and whatever the command raises."""
    _Commands(list(words)).execute()


class _Commands(ManagementUtility):
    def fetch_command(self, subcommand: str) -> BaseCommand:
        _ = settings.INSTALLED_APPS  # without settings most commands are missing: this says why
        _look_for(subcommand, get_commands(), listing="agentsys help")
        command = super().fetch_command(subcommand)
        if self.argv[1] == subcommand:  # not `help COMMAND`
            self._look_for_verb(subcommand, command)
        return command

    def _look_for_verb(self, name: str, command: BaseCommand) -> None:
        verbs = verbs_of(command.create_parser("agentsys", name))
        given = self.argv[2] if len(self.argv) > 2 else ""
        if verbs and given and not given.startswith("-"):
            _look_for(given, verbs, listing=f"agentsys {name} --help", of=f"{name} ")


def _look_for(given: str, known: Iterable[str], *, listing: str, of: str = "") -> None:
    known = list(known)
    if given not in known:
        meant = closest(given, known)
        hint = f"; did you mean `{of}{meant}`?" if meant else ";"
        raise NoSuchCommand(name=of + given, hint=hint, listing=listing)
