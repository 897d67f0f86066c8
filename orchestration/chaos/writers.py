"""The agent of overlapping wishes: it reads its base and writes what goes with that, and only that.

Whatever another task merges meanwhile it cannot know. Two that count migrations up from one base
choose one number; one that takes a name away and one that begins to use it pass apart and fail
together. `CHECK` is the repository's own test of all that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from workers.agents.coder import CoderAgent, Work
from workers.contracts import Brief, Ports, Report

NAMES, SHARED, USES, MIGRATIONS = "names.txt", "shared", "uses", "migrations"
CONFIG = '[tool.agentsys]\ntest_command = ["python", "check.py"]\n'
CHECK = """\
import pathlib, sys
names = pathlib.Path("names.txt").read_text().split()
wrong = []
for path in pathlib.Path("uses").glob("*.txt"):
    if path.read_text().strip() not in names:
        wrong.append(f"{path} uses a name that there is not")
numbers = [path.name[:4] for path in pathlib.Path("migrations").glob("*.txt")]
if len(numbers) != len(set(numbers)):
    wrong.append(f"a number twice: {sorted(numbers)}")
for path in pathlib.Path("shared").glob("*.txt"):
    lines = path.read_text().split()
    if len(lines) != len(set(lines)):
        wrong.append(f"{path} has a line twice")
print("\\n".join(wrong))
sys.exit(bool(wrong))
"""


class Base:
    """The files of the commit that the task began from."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.paths = work.repository.files(work.base)

    def read(self, path: str) -> str:
        return self._work.repository.read(self._work.base, path).decode()

    def below(self, folder: str) -> list[str]:
        return [path for path in self.paths if path.startswith(f"{folder}/")]


def _append(base: Base, key: str, path: str) -> dict[str, str]:
    return {path: f"{base.read(path)}{key}\n"}


def _number(base: Base, key: str, _path: str) -> dict[str, str]:
    taken = [int(found.split("/")[1][:4]) for found in base.below(MIGRATIONS)]
    return {f"{MIGRATIONS}/{max(taken) + 1:04}_{key}.txt": f"{key}\n"}


def _use(base: Base, key: str, _path: str) -> dict[str, str]:
    return {f"{USES}/{key}.txt": base.read(NAMES).split()[0] + "\n"}


def _rename(base: Base, key: str, _path: str) -> dict[str, str]:
    names = base.read(NAMES).split()
    used = {base.read(found).strip() for found in base.below(USES)}
    free = [name for name in names if name not in used and name != names[-1]]
    kept = [name for name in names if name not in free[:1]]
    return {NAMES: "\n".join([*kept, f"name-{key}"]) + "\n"}


def _spoil(_base: Base, key: str, _path: str) -> dict[str, str]:
    """No base goes with this."""
    return {f"{USES}/{key}.txt": "no-such-name\n"}


WISHES: Mapping[str, Callable[[Base, str, str], dict[str, str]]] = {
    "append": _append,
    "number": _number,
    "use": _use,
    "rename": _rename,
    "spoil": _spoil,
}


class WriterAgent(CoderAgent):
    name = "chaos-writer"
    description = "Writes what goes with its base. For chaos only."
    inputs_schema: ClassVar = {
        "type": "object",
        "properties": {"wish": {"enum": sorted(WISHES)}, "path": {"type": "string"}},
        "required": ["wish"],
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        work = Work.of(brief, ports)
        wish = WISHES[brief.inputs["wish"]]
        files = wish(Base(work), brief.key, str(brief.inputs.get("path", "")))
        work.repository.worktree_remove(work.tree)
        work.repository.worktree_add(work.tree, work.base)
        for path, text in files.items():
            (work.tree / path).parent.mkdir(parents=True, exist_ok=True)
            (work.tree / path).write_text(text)
        work.changed = sorted(files)
        ports.guard()
        return work.report(work.commit())
