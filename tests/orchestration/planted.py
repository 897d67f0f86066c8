"""Pairs of changes that pass apart and fail together, and an agent that learns from the reasons.

Each pair touches different files, so that git merges it without a word. The last change of a pair is
what its author would have done, had they known of the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from unittest import mock

from tests.orchestration.pump import node
from tests.plugins import Plugged
from tests.workers.given import GivenRepository
from workers import registry as agents
from workers.agents.coder import CoderAgent
from workers.contracts import Brief, Ports, Report

Files = Mapping[str, str]

CONFIG = '[tool.agentsys]\ntest_command = ["python", "check.py"]\n'
RUNNER = """\
import importlib, pathlib, sys, traceback
bad = 0
for path in sorted(pathlib.Path(".").glob("test_*.py")):
    module = importlib.import_module(path.stem)
    for name in [n for n in dir(module) if n.startswith("test_")]:
        try:
            getattr(module, name)()
        except Exception:
            bad += 1
            print(path, name, "FAILED")
            traceback.print_exc()
sys.exit(bool(bad))
"""
ALWAYS = "def test_it_runs():\n    pass\n"


@dataclass(frozen=True, slots=True)
class Pair:
    given: Files
    first: Files
    second: Files
    mended: Files


REGISTRY = "def names():\n    import one, two\n    return one.NAMES + two.NAMES\n"
UNIQUE = (
    "import registry\n\ndef test_each_name_once():\n"
    "    found = registry.names()\n    assert len(found) == len(set(found)), found\n"
)
NUMBERS = (
    "import pathlib\n\ndef test_each_number_once():\n"
    "    found = [p.name[:4] for p in pathlib.Path('migrations').glob('*.sql')]\n"
    "    assert len(found) == len(set(found)), found\n"
)

PAIRS: Mapping[str, Pair] = {
    "renamed function, new caller": Pair(
        given={
            "price.py": "def total(a):\n    return sum(a)\n",
            "test_price.py": "import price\n\ndef test_total():\n    assert price.total([1, 2]) == 3\n",
        },
        first={
            "price.py": "def total_of(a):\n    return sum(a)\n",
            "test_price.py": "import price\n\ndef test_total():\n    assert price.total_of([1, 2]) == 3\n",
        },
        second={
            "report.py": "import price\n\ndef line(a):\n    return f'= {price.total(a)}'\n",
            "test_report.py": "import report\n\ndef test_line():\n    assert report.line([2]) == '= 2'\n",
        },
        mended={
            "report.py": "import price\n\ndef line(a):\n    return f'= {price.total_of(a)}'\n",
            "test_report.py": "import report\n\ndef test_line():\n    assert report.line([2]) == '= 2'\n",
        },
    ),
    "two migrations with one number": Pair(
        given={"migrations/0001_first.sql": "-- 1\n", "test_numbers.py": NUMBERS},
        first={"migrations/0002_names.sql": "-- names\n"},
        second={"migrations/0002_ages.sql": "-- ages\n"},
        mended={"migrations/0003_ages.sql": "-- ages\n"},
    ),
    "changed default": Pair(
        given={
            "fetch.py": "def fetch(retries=3):\n    return retries\n",
            "test_fetch.py": "import fetch\n\ndef test_default():\n    assert fetch.fetch() >= 0\n",
        },
        first={"fetch.py": "def fetch(retries=0):\n    return retries\n"},
        second={
            "robust.py": "import fetch\n\ndef tries():\n    return 1 + fetch.fetch()\n",
            "test_robust.py": "import robust\n\ndef test_tries():\n    assert robust.tries() == 4\n",
        },
        mended={
            "robust.py": "import fetch\n\ndef tries():\n    return 1 + fetch.fetch(retries=3)\n",
            "test_robust.py": "import robust\n\ndef test_tries():\n    assert robust.tries() == 4\n",
        },
    ),
    "removed constant, new use": Pair(
        given={"limits.py": "LOW = 1\nHIGH = 9\n", "test_always.py": ALWAYS},
        first={"limits.py": "LOW = 1\n"},
        second={
            "clamp.py": "from limits import HIGH\n\ndef clamp(x):\n    return min(x, HIGH)\n",
            "test_clamp.py": "import clamp\n\ndef test_clamp():\n    assert clamp.clamp(99) == 9\n",
        },
        mended={
            "clamp.py": "HIGH = 9\n\ndef clamp(x):\n    return min(x, HIGH)\n",
            "test_clamp.py": "import clamp\n\ndef test_clamp():\n    assert clamp.clamp(99) == 9\n",
        },
    ),
    "two registrations of one name": Pair(
        given={
            "registry.py": REGISTRY, "one.py": "NAMES = ['a']\n", "two.py": "NAMES = ['b']\n",
            "test_registry.py": UNIQUE,
        },
        first={"one.py": "NAMES = ['a', 'csv']\n"},
        second={"two.py": "NAMES = ['b', 'csv']\n"},
        mended={"two.py": "NAMES = ['b', 'csv2']\n"},
    ),
    "stricter check, new input": Pair(
        given={
            "user.py": "def user(name):\n    return name\n",
            "test_always.py": ALWAYS,
        },
        first={"user.py": "def user(name):\n    assert name.islower()\n    return name\n"},
        second={"test_names.py": "import user\n\ndef test_ada():\n    assert user.user('Ada')\n"},
        mended={"test_names.py": "import user\n\ndef test_ada():\n    assert user.user('ada')\n"},
    ),
    "one more argument": Pair(
        given={
            "mail.py": "def send(to):\n    return to\n",
            "test_mail.py": "import mail\n\ndef test_send():\n    assert mail.send('x')\n",
        },
        first={
            "mail.py": "def send(to, subject):\n    return to, subject\n",
            "test_mail.py": "import mail\n\ndef test_send():\n    assert mail.send('x', 's')\n",
        },
        second={
            "alarm.py": "import mail\n\ndef alarm():\n    return mail.send('ops')\n",
            "test_alarm.py": "import alarm\n\ndef test_alarm():\n    assert alarm.alarm()\n",
        },
        mended={
            "alarm.py": "import mail\n\ndef alarm():\n    return mail.send('ops', 'alarm')\n",
            "test_alarm.py": "import alarm\n\ndef test_alarm():\n    assert alarm.alarm()\n",
        },
    ),
}  # fmt: skip


class LearningAgent(CoderAgent):
    """Inputs: `tries`, a mapping of files for each attempt; the last one goes on for ever."""

    inputs_schema: ClassVar = {"type": "object", "properties": {"tries": {"type": "array"}}}

    def run(self, brief: Brief, ports: Ports) -> Report:
        tries = brief.inputs["tries"]
        number = min(len(brief.reasons), len(tries) - 1)
        return super().run(replace(brief, inputs=_patch(brief, tries[number])), ports)


def _patch(brief: Brief, files: Files) -> dict[str, Any]:
    """The files as a patch of the base, since that is what a coder takes."""
    from workers.git import Repository
    from workers.workspaces import scratch

    assert brief.repository is not None
    repository, base = Repository.open(brief.repository.path), brief.repository.base
    with scratch("learning") as outer:
        folder = repository.worktree_add(outer / "tree", base)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        commit = repository.commit_all(folder, "as wanted", parent=base)
    patch = repository.diff(base, commit) if commit else ""
    return {"patch": patch, "title": f"Change {', '.join(files)}"}


@contextmanager
def agents_named(*names: str) -> Iterator[None]:
    """Plan with learning agents of these names beside the built-in ones, as plugins."""
    kinds = [type(name.title(), (LearningAgent,), {"name": name}) for name in names]
    plugged = {name: Plugged(kind) for name, kind in zip(names, kinds, strict=True)}
    with mock.patch.object(agents, "_plugins", return_value=plugged):
        for name in names:
            agents._loaded.pop(name, None)
        try:
            yield
        finally:
            for name in names:
                agents._loaded.pop(name, None)


@contextmanager
def learning() -> Iterator[None]:
    with agents_named("learning"):
        yield


def repository_with(given: GivenRepository, files: Files) -> GivenRepository:
    for path, text in {"pyproject.toml": CONFIG, "check.py": RUNNER, **files}.items():
        given.put(path, text)
    given.commit()
    return given


def writes(key: str, *tries: Files, scopes: tuple[str, ...] = (), **rest: Any) -> dict[str, Any]:
    """A task that wants these files to be so, each try's own, and may write all of them."""
    paths = scopes or tuple(sorted({path for files in tries for path in files}))
    return node(
        key,
        agent="learning",
        inputs={"tries": [dict(files) for files in tries]},
        scopes=[{"resource": f"repo:{path}"} for path in paths],
        **{"verify": ["schema", "safety", "execution"], **rest},
    )
