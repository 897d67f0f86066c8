"""Which events the code of `orchestration` can write, read from the code itself.

An entry is written by `book.record("a.name", …)`, with the name as it stands, as a constant of a
module, or as `f"goal.{event}"` with an event of a machine; and by two files in SQL. Whatever cannot
be read is a problem: an event whose name nobody can find is one that no catalogue can hold.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from orchestration.domain import lives

ROOT = Path(__file__).resolve().parents[2]
TABLE = "agentsys_orchestration_ledgerentry"
IN_SQL = ("orchestration/services/ledger.py", "orchestration/services/statements.py")
BENCH = "orchestration/bench/crowd.py"  # fills a database of its own, which is only timed
EVENT_ENUMS = {
    enum.__name__: enum
    for enum in (lives.GoalEvent, lives.TaskEvent, lives.AttemptEvent, lives.ProposalEvent)
}


@dataclass(slots=True)
class Written:
    names: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


@cache
def files() -> dict[str, ast.Module]:
    """Path → tree of every file that may write to a ledger; `domain` is pure."""
    found = {}
    for path in sorted((ROOT / "orchestration").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(("orchestration/domain/", "orchestration/migrations/")):
            found[name] = ast.parse(path.read_text())
    return found


def written() -> Written:
    found = Written()
    for path, tree in files().items():
        _recorded(path, tree, found)
        for text in _texts(tree):
            if path in IN_SQL:
                found.names |= set(re.findall(r"'([a-z]+\.[a-z_]+)'", text))
            elif path != BENCH and f"INSERT INTO {TABLE}" in text:
                found.problems.append(f"{path} writes entries in SQL; only {IN_SQL} do")
        makes = re.search(r"LedgerEntry(\.objects\.(bulk_)?create)?\(", ast.unparse(tree))
        if makes and path != "orchestration/models/ledger.py":
            found.problems.append(f"{path} makes entries without a Book")
    return found


def _recorded(path: str, tree: ast.Module, found: Written) -> None:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="record"), args=[name, *_]):
                if names := _names(tree, name):
                    found.names |= names
                else:
                    told = f"{path}:{node.lineno}: cannot tell the event of {ast.unparse(name)}"
                    found.problems.append(told)
            case ast.Call(func=ast.Attribute(attr="record")):
                found.problems.append(f"{path}:{node.lineno}: the event must come first")


def _names(tree: ast.Module, node: ast.expr) -> set[str]:
    match node:
        case ast.Constant(value=str(name)):
            return {name}
        case ast.Name(id=name):
            return _constant(tree, name)
        case ast.JoinedStr(
            values=[ast.Constant(value=str(start)), ast.FormattedValue(value=ast.Name())]
        ):
            enum = f"{start.removesuffix('.').capitalize()}Event"
            return {f"{start}{event}" for event in _moves().get(enum, ())}
    return set()


def _constant(tree: ast.Module, name: str) -> set[str]:
    """The text that a module gives the name, itself or where it has it from."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=given)], value=ast.Constant(value=str(text))) if (
                given == name
            ):
                return {text}
            case ast.ImportFrom(module=str(module), names=names) if name in [
                alias.asname or alias.name for alias in names
            ]:
                there = files().get(f"{module.replace('.', '/')}.py")
                return _constant(there, name) if there else set()
    return set()


@cache
def _moves() -> dict[str, set[str]]:
    """Enum → its events that the code moves something by; what it only compares with is none."""
    found: dict[str, set[str]] = {}
    for tree in files().values():
        compared = {
            part
            for node in ast.walk(tree)
            if isinstance(node, ast.Compare)
            for part in ast.walk(node)
        }
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=enum), attr=name) if node not in compared:
                    if enum in EVENT_ENUMS:
                        found.setdefault(enum, set()).add(str(EVENT_ENUMS[enum][name]))
    return found


def _texts(tree: ast.Module) -> Iterator[str]:
    """Each text of a file, with the parts of one that has values in it together."""
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=values):
                yield "".join(
                    part.value
                    for part in values
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )
            case ast.Constant(value=str(text)):
                yield text
