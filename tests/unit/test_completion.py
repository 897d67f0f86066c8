"""Completion: a real bash completes commands, verbs, options and ids, and no model's library is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from agentsys import completing
from agentsys.conf import ROOT
from tests import factories as given

ASK = """
eval "$SCRIPT"
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_agentsys
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def agentsys(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env={**os.environ, **env},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def script() -> str:
    return agentsys("completion", "bash").stdout


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Something that is called as `agentsys` is, and says which ids it was asked for."""
    path = tmp_path / "agentsys"
    path.write_text('#!/bin/sh\necho "$3-ids-asked-for"\n')
    path.chmod(0o755)
    return str(path)


def completed(script: str, *words: str) -> set[str]:
    line = " ".join(f"'{word}'" for word in words)
    told = subprocess.run(
        ["bash", "-c", ASK.format(words=line)], env={**os.environ, "SCRIPT": script},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(told.stdout.split())


def test_commands_verbs_and_options_are_completed(script: str, program: str) -> None:
    assert completed(script, program, "go") == {"goals"}
    assert {"submit", "show", "priority"} <= completed(script, program, "goals", "")
    assert completed(script, program, "goals", "wa") == {"watch"}
    assert "--jsonl" in completed(script, program, "goals", "watch", "--js")
    assert "--deep" in completed(script, program, "fsck", "--")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("goals", "show", ""), "goal"),
        (("inbox", "approve", ""), "approval"),
        (("brief", ""), "goal"),
        (("goals", "list", "--project", ""), "project"),
        (("goals", "submit", "--playbook", ""), "playbook"),
    ],
)
def test_ids_are_asked_for_where_one_is_expected(
    script: str, program: str, words: tuple[str, ...], kind: str
) -> None:
    assert f"{kind}-ids-asked-for" in completed(script, program, *words)


def test_no_ids_are_asked_for_where_none_is_expected(script: str, program: str) -> None:
    assert not any("asked" in word for word in completed(script, program, "doctor", ""))


@pytest.mark.django_db(transaction=True)
def test_ids_are_those_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    goal = given.goal()
    asked = given.approval(given.task(goal, "held", state="held"))
    parts = connection.settings_dict
    url = f"postgresql:///{parts['NAME']}?host={parts['HOST']}&user={parts['USER']}"
    monkeypatch.setenv("DATABASE_URL", url)
    assert completing.ids("goal") == [str(goal.pk)]
    assert completing.ids("approval") == [str(asked.pk)]
    assert completing.ids("project") == ["default"]
    assert "ops-checks" in completing.ids("playbook")


def test_without_a_database_nothing_is_offered() -> None:
    told = agentsys("completion", "ids", "goal", DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert told.stdout == ""


@pytest.mark.parametrize("words", ["completion ids playbook", "completion bash"])
def test_no_models_library_is_loaded_for_it(words: str) -> None:
    ask = (
        "import sys; from agentsys import cli; cli.run(['agentsys', *sys.argv[1:]]);"
        " bad = [m for m in sys.modules if m.startswith(('langchain', 'tokenizers', 'wordllama'))];"
        " sys.stderr.write(' '.join(bad[:5]))"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask, *words.split()],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert told.stderr == ""


def test_ids_come_without_djangos_models() -> None:
    ask = "import sys; from agentsys import cli; cli.run(sys.argv); assert 'django.db' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", ask, "completion", "ids", "goal"],
        cwd=ROOT, env={**os.environ, "DATABASE_URL": "postgresql://127.0.0.1:1/x"},
        timeout=120, check=True,
    )  # fmt: skip


def test_zsh_uses_the_same_words() -> None:
    told = agentsys("completion", "zsh").stdout
    assert told.startswith("autoload -U +X bashcompinit && bashcompinit")
    assert "complete -F _agentsys agentsys" in told
