"""Every exit code that the README documents, reached through the command line itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agentsys import cli
from agentsys.conf import ROOT
from agentsys.kernel.errors import ExitCode
from orchestration.cli import watch
from orchestration.models import Goal
from tests import factories as given
from tests.integration.servers import command

pytestmark = pytest.mark.django_db


def running() -> Goal:
    goal = given.goal()
    given.task(goal, "busy", state="running")
    return goal


def waiting() -> Goal:
    goal = given.goal()
    given.approval(given.task(goal, "held", state="held"))
    return goal


def out_of_budget() -> Goal:
    goal = given.goal()
    given.approval(given.task(goal, "held", state="held"), kind="budget")
    return goal


def failed() -> Goal:
    return given.goal(state="failed")


def succeeded() -> Goal:
    return given.goal(state="succeeded")


def broken() -> Goal:
    """A goal whose count of unmet needs is wrong."""
    goal = given.goal()
    given.task(goal, "first", state="blocked", unmet=3)
    return goal


CASES: list[tuple[int, str, Callable[[], Goal]]] = [
    (ExitCode.DONE, "goals watch {}", succeeded),
    (ExitCode.DONE, "goals list", running),
    (ExitCode.ERROR, "fsck", broken),
    (ExitCode.USAGE, "goals show task-{}-x", running),
    (ExitCode.USAGE, "goals list --state nonsense", running),
    (ExitCode.USAGE, "goals nonsense", running),
    (ExitCode.GOAL_FAILED, "goals watch {}", failed),
    (ExitCode.WAITING, "goals watch {}", waiting),
    (ExitCode.BUDGET, "goals watch {} --jsonl", out_of_budget),
    (ExitCode.NOT_FOUND, "goals show 999999999", running),
    (ExitCode.NOT_FOUND, "inbox show 999999999", running),
    (ExitCode.CONFLICT, "goals cancel {}", succeeded),
    (ExitCode.CONFLICT, "goals cancel {} --dry-run", succeeded),
    (ExitCode.TIMED_OUT, "goals watch {} --timeout 0", running),
]


@pytest.mark.parametrize(
    ("code", "words", "make"), CASES, ids=[f"{code} {words}" for code, words, _ in CASES]
)
def test_a_command_ends_with_the_code_that_says_what_happened(
    code: int, words: str, make: Callable[[], Goal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.0)
    goal = make()
    assert cli.run(["agentsys", *words.format(goal.pk).split()]) == code


def test_a_server_that_is_away_is_69(tmp_path: Path) -> None:
    ended = command(tmp_path, "goals", "list", DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert ended.returncode == ExitCode.UNAVAILABLE
    assert ended.stdout == ""


def test_an_interruption_is_130_and_one_line(tmp_path: Path) -> None:
    """SIGINT to a command that reads."""
    ask = subprocess.Popen(
        [sys.executable, "manage.py", "plans", "validate", "-"],
        cwd=ROOT, env={**os.environ, "AGENTSYS_HOME": str(tmp_path)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # As in a terminal: who runs tests in the background may have it ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert ask.stdin is not None
    ask.stdin.write("{")
    ask.stdin.flush()
    reading(ask.pid)
    ask.send_signal(signal.SIGINT)
    out, err = ask.communicate(timeout=60)
    assert ask.returncode == ExitCode.INTERRUPTED
    assert (out, err.strip().splitlines()[-1]) == ("", "error: interrupted")


def reading(pid: int) -> None:
    """Wait until the process sleeps in a read of its standard input."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = Path(f"/proc/{pid}/syscall").read_text().split()
        if told[0] == "0" and told[1] == "0x0":  # read(0, …)
            return
        time.sleep(0.05)
    raise AssertionError("it does not read")
