"""Which commands there are, ours before Django's, and what was meant where one or its verb was mistyped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from django.conf import settings
from django.core.management import ManagementUtility, get_commands, load_command_class
from django.core.management.base import BaseCommand

from agentsys.completing import verbs_of
from agentsys.kernel.errors import AgentsysError, ExitCode
from agentsys.kernel.wording import closest

OURS = ("agentsys", "orchestration", "memory", "workers", "verification")
DJANGOS = ("migrate", "createsuperuser", "changepassword", "check")  # those that people need here
GROUPS = {
    "Goals and people": ("goals", "inbox", "why", "brief", "plans", "schedules"),
    "What is kept": ("ledger", "memory", "verifiers"),
    "Running it": ("stack", "doctor", "fsck", "token", "completion"),
    "Trying and measuring it": ("demo", "bench", "chaos", "console"),
}


class NoSuchCommand(AgentsysError):
    """No such command, or no such verb of one. `hint` asks for the nearest that there is."""

    code = "no-such-command"
    template = "there is no `{name}`{hint} `{listing}` shows what there is"
    exit_code = ExitCode.USAGE


class NoVerb(AgentsysError):
    """A command that needs a verb was given none."""

    code = "no-verb"
    template = "`{name}` needs a verb: {verbs}; `{listing}` says what each does"
    exit_code = ExitCode.USAGE


def execute(words: Sequence[str]) -> None:
    """Run a command line, the program's name first. NoSuchCommand, and whatever the command raises."""
    _Commands(list(words)).execute()


class _Commands(ManagementUtility):
    def main_help_text(self, commands_only: bool = False) -> str:
        if commands_only or self.settings_exception is not None:
            return super().main_help_text(commands_only)
        return "\n".join(_listing(self.prog_name))

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
        listing = f"agentsys {name} --help"
        if verbs and not given:
            raise NoVerb(name=name, verbs=", ".join(verbs), listing=listing)
        if verbs and not given.startswith("-"):
            _look_for(given, verbs, listing=listing, of=f"{name} ")


def _listing(program: str) -> Iterator[str]:
    """Ours by what they are for, each with its own line; Django's by name, in the last one."""
    apps = get_commands()
    for title, names in GROUPS.items():
        yield f"{title}:"
        for name in names:
            yield f"  {name:10}  {load_command_class(apps[name], name).help}"
    yield ""
    yield f"`{program} help NAME` says what one takes, `{program} NAME VERB --help` what a verb does."
    yield f"Django's: {', '.join(DJANGOS)}; `{program} help --commands` names the others, too."


def _look_for(given: str, known: Iterable[str], *, listing: str, of: str = "") -> None:
    known = list(known)
    if given not in known:
        meant = closest(given, known)
        hint = f"; did you mean `{of}{meant}`?" if meant else ";"
        raise NoSuchCommand(name=of + given, hint=hint, listing=listing)
