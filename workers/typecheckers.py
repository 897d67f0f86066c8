"""Runs the type checker that a repository has configured, in the sandbox, and reads what it says.

Whoever compares two trees has both checked by the configuration of the first, so that a change cannot
choose its own judge: `config` is laid over the tree.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentsys.kernel.errors import NotFound
from workers import sandbox
from workers.beneath import write_below
from workers.git import Repository
from workers.interpreters import Python, python_with

FILES = ("pyproject.toml", "mypy.ini", ".mypy.ini", "setup.cfg", "pyrightconfig.json")
ERRORS_MAX = 20_000
OUTPUT_BYTES_MAX = 8_000_000
TAIL_CHARS = 2_000
_MYPY = ("-m", "mypy", "--no-color-output", "--no-error-summary", "--hide-error-context",
         "--show-error-codes", "--no-pretty", "--cache-dir=/dev/null")  # fmt: skip
_MYPY_LINE = re.compile(r"^(?P<path>[^:\n]+):(?P<line>\d+)(?::\d+)*: error: (?P<text>.*)$")
_TARGETS = ("files", "packages", "modules")


@dataclass(frozen=True, slots=True, order=True)
class TypeFault:
    path: str
    text: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class TypesResult:
    """`ran`: the checker came to its end, so that `faults` are all that it finds."""

    ran: bool
    faults: tuple[TypeFault, ...] = ()
    tail: str = ""
    duration_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Checker:
    """`config`: the files that configure it. `targets`: what is checked, where those do not say."""

    name: str
    config: Mapping[str, bytes]
    targets: tuple[str, ...] = ()


def checkers_of(repository: Repository, commit: str) -> list[Checker]:
    """Those that the commit configures: mypy, pyright, both or none."""
    texts = {name: text for name in FILES if (text := _read(repository, commit, name)) is not None}
    tool = _toml(texts.get("pyproject.toml", b"")).get("tool", {})
    mypy = tool.get("mypy") if isinstance(tool, dict) else None
    for name in ("mypy.ini", ".mypy.ini", "setup.cfg"):  # the order is mypy's own, turned round
        mypy = _ini(texts.get(name, b"")) or mypy
    found = []
    if mypy is not None:
        says = isinstance(mypy, dict) and any(mypy.get(key) for key in _TARGETS)
        found.append(Checker("mypy", texts, () if says else (".",)))
    if "pyrightconfig.json" in texts or (isinstance(tool, dict) and "pyright" in tool):
        found.append(Checker("pyright", texts))
    return found


def types_run(
    repository: Repository, checkout: Path, checker: Checker, *, timeout_seconds: float
) -> TypesResult | None:
    """None where the Python that runs this repository does not have the checker."""
    python = python_with(repository, checkout, checker.name)
    if python is None:
        return None
    for name in FILES:  # one that the change has brought along would go before
        (checkout / name).unlink(missing_ok=True)
    for name, text in checker.config.items():
        write_below(checkout, name, text)
    ended = sandbox.run(
        _words(checker, python),
        cwd=checkout,
        writable=[checkout],
        readable=python.folders,
        env=python.env(checkout),
        timeout_seconds=timeout_seconds,
        output_bytes_max=OUTPUT_BYTES_MAX,
    )
    tail = (ended.stdout + ended.stderr)[-TAIL_CHARS:]
    is_over = not ended.killed and not ended.truncated and ended.exit_code in (0, 1, 2)
    faults = _faults(checker, ended.stdout, checkout) if is_over else None
    # Without an error at any line, it is the checker itself that did not work.
    if faults is None or (ended.exit_code and not faults) or len(faults) > ERRORS_MAX:
        return TypesResult(False, tail=tail, duration_seconds=ended.duration_seconds)
    return TypesResult(True, tuple(sorted(faults)), tail, ended.duration_seconds)


def _words(checker: Checker, python: Python) -> list[str]:
    if checker.name == "mypy":
        return [python.executable, *_MYPY, *checker.targets]
    return [python.executable, "-m", "pyright", "--outputjson"]


def _faults(checker: Checker, text: str, checkout: Path) -> list[TypeFault] | None:
    """None where it cannot be read."""
    if checker.name == "mypy":
        found = filter(None, map(_MYPY_LINE.match, text.splitlines()))
        return [TypeFault(match["path"], match["text"], int(match["line"])) for match in found]
    try:
        rows = json.loads(text)["generalDiagnostics"]
        return [_pyright_fault(row, checkout) for row in rows if row["severity"] == "error"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _pyright_fault(row: Mapping[str, Any], checkout: Path) -> TypeFault:
    path = str(row["file"]).removeprefix(f"{checkout}/")
    rule = f"  [{row['rule']}]" if row.get("rule") else ""
    text = " ".join(str(row["message"]).split())
    return TypeFault(path, f"{text}{rule}", int(row["range"]["start"]["line"]) + 1)


def _read(repository: Repository, commit: str, path: str) -> bytes | None:
    try:
        return repository.read(commit, path)
    except NotFound:
        return None


def _toml(text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8", "replace"))
    except tomllib.TOMLDecodeError:
        return {}


def _ini(text: bytes) -> dict[str, str] | None:
    """The section `mypy`, also an empty one."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text.decode("utf-8", "replace"))
    except configparser.Error:
        return None
    return dict(parser.items("mypy")) or {"": ""} if parser.has_section("mypy") else None


def texts_of(faults: Sequence[TypeFault]) -> list[str]:
    return [f"{fault.path}:{fault.line}: {fault.text}" for fault in faults]
