"""The command line: which commands get servers, and how what goes wrong ends."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from django.core.management import get_commands
from django.db import connection

from agentsys import cli
from agentsys.commands import OURS
from agentsys.kernel.errors import BadInput, ServiceAway


@pytest.mark.parametrize(
    ("words", "needs"),
    [
        ("goals list", True),
        ("migrate", True),
        ("doctor --json", True),
        ("stack up --detach", True),
        ("check --database default", True),
        ("stack down", False),
        ("stack status --json", False),
        ("stack logs", False),
        ("check --deploy", False),
        ("makemigrations --check", False),
        ("goals submit --help", False),
        ("help goals", False),
        ("--version", False),
        ("", False),
    ],
)
def test_servers_are_started_only_for_commands_that_use_them(words: str, needs: bool) -> None:
    assert cli._needs_servers(["manage.py", *words.split()]) is needs


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (BadInput(what="plan", problems=["it has a cycle"]), 2, "error: plan: it has a cycle"),
        (ServiceAway(service="S", where="w", reason="r", way_out="Do x"), 69, "error: S at w"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (SystemExit("no such thing"), 1, "error: no such thing"),
        (SystemExit(4), 4, ""),
        (SystemExit(None), 0, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_goes_wrong_is_one_line_and_a_code(
    raised: BaseException, code: int, says: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def break_off(_utility: object) -> None:
        raise raised

    monkeypatch.setattr("django.core.management.ManagementUtility.execute", break_off)
    assert cli.run(["manage.py", "help"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(says)
    assert len(said.err.splitlines()) == bool(says)


def test_a_trace_is_shown_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(_utility: object) -> None:
        raise BadInput(what="plan", problems=["it has a cycle"])

    monkeypatch.setattr("django.core.management.ManagementUtility.execute", break_off)
    with pytest.raises(BadInput):
        cli.run(["manage.py", "help", "--traceback"])


@pytest.mark.django_db
def test_tables_of_another_version_are_said_to_be_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(_utility: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT a_column_to_come FROM agentsys_orchestration_goal")

    monkeypatch.setattr("django.core.management.ManagementUtility.execute", read)
    assert cli.run(["manage.py", "help"]) == 69
    said = capsys.readouterr().err
    assert "not that of this version" in said
    assert said.strip().endswith("run `agentsys migrate`")


@pytest.mark.parametrize("word", ["--version", "version"])
def test_the_version_is_ours(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["agentsys", word]) == 0
    assert capsys.readouterr().out.strip() == version("agentsys")


def test_a_bug_is_not_taken_for_a_server_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(_utility: object) -> None:
        raise ValueError("ours")

    monkeypatch.setattr("django.core.management.ManagementUtility.execute", break_off)
    with pytest.raises(ValueError, match="ours"):
        cli.run(["manage.py", "help"])


def test_an_argument_that_is_no_text_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["manage.py", "goals", "show", "1/\udced\udca0"]) == 2
    assert "no UTF-8 text" in capsys.readouterr().err


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("gols list", "no `gols`; did you mean `goals`? `agentsys help`"),
        ("goals pase 7", "no `goals pase`; did you mean `goals pause`? `agentsys goals --help`"),
        ("memory serch x", "no `memory serch`; did you mean `memory search`?"),
        ("help gols", "did you mean `goals`?"),
        ("goals qqqq", "no `goals qqqq`; `agentsys goals --help` shows what there is"),
        ("qqqq", "no `qqqq`; `agentsys help` shows what there is"),
    ],
)
def test_what_was_mistyped_is_told_what_was_meant(
    typed: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["agentsys", *typed.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert len(said.err.splitlines()) == 1


def test_a_command_without_its_verb_is_told_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["agentsys", "inbox"]) == 2
    said = capsys.readouterr().err
    assert "`inbox` needs a verb: " in said and "approve" in said and "inbox --help" in said


@pytest.mark.parametrize("typed", ["", "help"])
def test_what_there_is_names_each_command_of_ours_with_a_line_and_django_s_in_the_last(
    typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["agentsys", *typed.split()]) == 0
    lines = capsys.readouterr().out.rstrip().splitlines()
    told = dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))
    assert set(told) == {name for name, app in get_commands().items() if app in OURS}
    assert told["inbox"] == "See and decide what waits for a person."
    assert all(len(line) <= 110 for line in lines)
    assert [line for line in lines if "migrate" in line] == [lines[-1]]


def test_a_verb_that_there_is_and_help_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for typed in ("help goals", "goals pause --help", "goals --help"):
        assert cli.run(["agentsys", *typed.split()]) == 0
    assert "usage: agentsys goals pause" in capsys.readouterr().out
