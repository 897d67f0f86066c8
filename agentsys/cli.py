"""The command line: `agentsys …` and `python manage.py …`.

Starts or adopts the embedded servers for commands that need them, and turns what goes wrong into
one line on stderr and the exit code that the README's table documents.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version

from agentsys.kernel.errors import AgentsysError, ExitCode, ServiceAway

WITHOUT_SERVERS = {
    "help", "version", "--help", "--version", "-h", "makemigrations", "check", "startapp",
    "compilemessages", "makemessages", "collectstatic", "spectacular", "diffsettings", "completion",
}  # fmt: skip
UNWRITABLE = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    words = list(sys.argv if argv is None else argv)
    sys.exit(run(words))


def run(words: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
    trace = "--traceback" in words
    if words[1:] in (["--version"], ["version"]):
        print(version("agentsys"))  # noqa: T201
        return ExitCode.DONE
    if words[1:3] == ["completion", "ids"]:
        return _ids(words[3:])
    if broken := next((word for word in words[1:] if not _is_text(word)), None):
        return _say(f"{broken!a} is no UTF-8 text", ExitCode.USAGE)
    try:
        if _needs_servers(words):
            _servers(_command(words))
        from agentsys import commands

        commands.execute(words)
    except KeyboardInterrupt:
        return _say("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.DONE
    except SystemExit as stop:
        return _exit_code(stop)
    except Exception as error:
        told, code = ("", 0) if trace else _trouble(error)
        if not told:
            raise
        return _say(told, code)
    return ExitCode.DONE


def _ids(words: list[str]) -> int:
    """What a shell asks for while somebody types: at once, so without Django."""
    from agentsys import completing

    if len(words) != 1 or words[0] not in completing.KINDS:
        told = f"completion ids: expected one of {', '.join(completing.KINDS)}"
        return _say(told, ExitCode.USAGE)
    for one in completing.ids(words[0]):
        print(one)  # noqa: T201
    return ExitCode.DONE


def _is_text(word: str) -> bool:
    """Bytes that are no UTF-8 come in as halves of surrogate pairs."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _exit_code(stop: SystemExit) -> int:
    """As Python itself would have it: a text is shown and means 1."""
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or ExitCode.DONE
    return _say(str(stop.code), ExitCode.ERROR)


def _command(words: list[str]) -> str:
    return next((w for w in words[1:] if not w.startswith("-")), "help")


def _needs_servers(words: list[str]) -> bool:
    command = _command(words)
    if {"--help", "-h"} & set(words):
        return False
    if command == "stack":
        return not {"down", "status", "logs"} & set(words)
    if command == "verifiers":
        return "measure" not in words
    if command == "check":
        return any(word.startswith("--database") for word in words)
    return command not in WITHOUT_SERVERS


def _servers(command: str) -> None:
    """Servers to work with. The doctor examines them itself and reports what it finds."""
    from agentsys import embedded

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            embedded.ensure()
        embedded.check_database(os.environ["DATABASE_URL"])
    except ServiceAway:
        if command != "doctor":
            raise


def _trouble(error: Exception) -> tuple[str, int]:
    """In words, and with its exit code, what a person can do something about; empty for what is a
    fault of ours."""
    import psycopg
    from django.db import InterfaceError, OperationalError

    if isinstance(error, AgentsysError):
        return str(error), error.exit_code
    reason = " ".join(str(error).split())[:300].rstrip(".")
    if isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError):
        told = f"PostgreSQL cannot be used: {reason}. Check DATABASE_URL, or unset it"
        return told, ExitCode.UNAVAILABLE
    if isinstance(error.__cause__, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        about = reason.partition(" LINE ")[0]
        told = f"the database is not that of this version ({about}): run `agentsys migrate`"
        return told, ExitCode.UNAVAILABLE
    if isinstance(error.__cause__, psycopg.errors.NumericValueOutOfRange):
        return "there is nothing with so large a number", ExitCode.NOT_FOUND
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        told = f"{reason}: AGENTSYS_HOME must be a folder that can be written, with room in it"
        return told, ExitCode.UNAVAILABLE
    return "", 0


def _say(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    return code
