"""Who waits for chaos is told how far it is."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.chaos import lab as labs
from orchestration.chaos.faults import Fault, Faults
from orchestration.chaos.lab import Lab
from orchestration.chaos.stage import PROGRESS, Order, Stage
from orchestration.management.commands.chaos import Command

NONE: Any = None  # servers, crew and witness have no part in it


def test_progress_names_faults_tasks_and_the_time_that_is_left(tmp_path: Path) -> None:
    made = Faults([Fault("kill", NONE)])
    stage = Stage(Order(30, 3, 60.0), tmp_path, NONE, NONE, NONE, print, faults=made)
    assert stage.progress(12, 20.0) == "1 fault of at least 3, 12 tasks done, 40 s left"
    assert stage.progress(1, 61.0).endswith("1 task done, waiting for the end of what is open")


def test_the_lab_says_how_far_a_scenario_is_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labs, "SAY_SECONDS", 0.05)
    scene = tmp_path / "flush"
    scene.mkdir()
    said: list[str] = []
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process.stdin is not None

    def say(text: str) -> None:
        said.append(text)
        (scene / PROGRESS).write_text("2 faults")
        if len(said) == 2 and process.stdin is not None:
            process.stdin.write(b"\n")
            process.stdin.close()

    assert Lab(tmp_path, NONE, say)._waited(process, "flush", 60) == 0
    assert said[:2] == ["  setting the stage …", "  2 faults"]


def test_the_help_says_that_faults_are_a_least_and_which_amounts_are_the_default() -> None:
    out = io.StringIO()
    Command().create_parser("agentsys", "chaos").print_help(out)
    told = " ".join(out.getvalue().split())
    assert "at least so many faults" in told
    assert "only `make chaos` without ARGS is --quick" in told
