"""Folders of workers that died are taken away; those of workers that live are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.services import leftovers
from orchestration.services.sweep import PARTS
from tests import factories
from workers.workspaces import folder_remove, scratch, scratch_collect

HOLD = """
import sys, time
import django
django.setup()
from workers.workspaces import scratch
with scratch("test") as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def aged(folder: Path) -> Path:
    """As if it had been made a while ago."""
    os.utime(folder, (1, 1))
    return folder


def worker(home: Path) -> subprocess.Popen[str]:
    """A process that has a folder, and waits; the folder's path is its first line."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={
            **os.environ,
            "AGENTSYS_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "agentsys.settings",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_folder_goes_when_its_process_was_killed_and_not_before(settings: Any) -> None:
    with worker(settings.AGENTSYS.home) as process:
        assert process.stdout
        folder = aged(Path(process.stdout.readline().strip()))
        assert scratch_collect() == 0
        assert (folder / "file").exists()
        process.kill()
        process.wait()
        assert scratch_collect() == 1
        assert not folder.exists()


def test_what_was_made_just_now_is_left_alone(settings: Any) -> None:
    with scratch("test") as folder:
        new = folder.parent / "test-other"
        new.mkdir()
        assert scratch_collect() == 0
        aged(new)
        assert scratch_collect() == 1
        assert folder.exists()
    assert not folder.exists()


@pytest.mark.django_db
def test_only_the_folder_of_the_attempt_that_runs_is_kept(settings: Any) -> None:
    goal = factories.goal()
    task = factories.task(goal, "one", state="running", with_attempt=False)
    lost = factories.attempt(task, state="lost", fence=1)
    running = factories.attempt(task, state="running", fence=2)
    root = settings.AGENTSYS.home / "work" / f"goal-{goal.pk}"
    kept = root / f"attempt-{running.pk}-{running.fence}"
    gone = [
        root / f"attempt-{lost.pk}-{lost.fence}",
        root / f"attempt-{running.pk}-{running.fence - 1}",
        root / f"attempt-{running.pk + 1000}-1",
    ]
    others = [root / "notes", settings.AGENTSYS.home / "goals" / str(goal.pk)]
    for folder in (kept, *gone, *others):
        folder.mkdir(parents=True)
        aged(folder)
    assert leftovers.leftovers_remove() == len(gone)
    assert [folder for folder in (kept, *gone, *others) if folder.exists()] == [kept, *others]


@pytest.mark.django_db
def test_a_worker_that_starts_looks_for_what_others_left(settings: Any) -> None:
    """It is a part of the sweep, at once and then once a minute."""
    folder = aged_folder(settings.AGENTSYS.home / "tmp" / "index-1")
    leftovers._last = None
    PARTS["leftovers"]()
    assert not folder.exists()
    aged_folder(folder)
    PARTS["leftovers"]()
    assert folder.exists()


def aged_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return aged(folder)


def test_whatever_a_program_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    (folder / "closed").mkdir(parents=True)
    (folder / "closed" / "out").symlink_to(outside)
    (folder / "closed").chmod(0)
    deep = "import os\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')"
    subprocess.run([sys.executable, "-c", deep], cwd=folder, check=True)
    assert folder_remove(folder)
    (tmp_path / "link").symlink_to(outside)
    assert folder_remove(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["outside"]
    assert (outside / "file").exists()
