"""The command line: `agentsys …` and `python manage.py …`.

Starts or adopts the embedded servers for commands that need them, and turns what goes wrong into
one line on stderr and the exit code that the README's table documents.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from agentsys.kernel.errors import AgentsysError, ExitCode

WITHOUT_SERVERS = {
    "help", "version", "--help", "--version", "-h", "makemigrations", "check", "startapp",
    "compilemessages", "makemessages", "collectstatic", "spectacular", "diffsettings",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    words = list(sys.argv if argv is None else argv)
    sys.exit(run(words))


def run(words: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
    trace = "--traceback" in words
    try:
        if _needs_servers(words):
            _servers()
        from django.core.management import execute_from_command_line

        execute_from_command_line(words)
    except KeyboardInterrupt:
        return _say("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.DONE
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else ExitCode.ERROR if stop.code else 0
    except AgentsysError as error:
        if trace:
            raise
        return _say(str(error), error.exit_code)
    except Exception as error:
        if trace or not _is_database_error(error):
            raise
        return _say(_database_away(error), ExitCode.UNAVAILABLE)
    return ExitCode.DONE


def _needs_servers(words: list[str]) -> bool:
    command = next((w for w in words[1:] if not w.startswith("-")), "help")
    wants_help = bool({"--help", "-h"} & set(words))
    stack_only = command == "stack" and bool({"down", "status", "logs"} & set(words))
    return not wants_help and command not in WITHOUT_SERVERS and not stack_only


def _servers() -> None:
    from agentsys import embedded

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        embedded.ensure()
    embedded.check_database(os.environ["DATABASE_URL"])


def _is_database_error(error: Exception) -> bool:
    from django.db import InterfaceError, OperationalError

    return isinstance(error, OperationalError | InterfaceError)


def _database_away(error: Exception) -> str:
    reason = " ".join(str(error).split())[:300]
    return f"PostgreSQL cannot be used: {reason}. Check DATABASE_URL, or unset it"


def _say(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    return code
