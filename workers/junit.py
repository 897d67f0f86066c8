"""Reads the JUnit report that pytest writes (family xunit1)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

BYTES_MAX = 50_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    passed: int
    failed: int
    errors: int
    skipped: int
    failures: tuple[str, ...]  # node ids, sorted
    passes: tuple[str, ...]


def read(path: Path) -> Counts | None:
    """The counts, or None when there is no report that can be read.

    The file was written by the tests themselves: no links, no entities, no unbounded size.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size > BYTES_MAX:
        return None
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        return None
    try:
        root = ElementTree.fromstring(content)  # noqa: S314  # no entities, as checked above
    except ElementTree.ParseError:
        return None
    states: Counter[str] = Counter()
    failures, passes = set(), set()
    for case in root.iter("testcase"):
        state = _state(case)
        states[state] += 1
        if state in ("failure", "error"):
            failures.add(_node_id(case))
        elif state == "passed":
            passes.add(_node_id(case))
    return Counts(
        passed=states["passed"],
        failed=states["failure"],
        errors=states["error"],
        skipped=states["skipped"],
        failures=tuple(sorted(failures)),
        passes=tuple(sorted(passes - failures)),
    )


def _state(case: ElementTree.Element) -> str:
    """`passed`, or the worst of the case's children."""
    tags = {child.tag for child in case}
    return next((tag for tag in ("failure", "error", "skipped") if tag in tags), "passed")


def _node_id(case: ElementTree.Element) -> str:
    """`tests/test_x.py::TestY::test_z[1]`; a module that cannot be collected has only a name."""
    file, name = case.get("file", ""), case.get("name", "")
    if not file:
        return ".".join(part for part in (case.get("classname", ""), name) if part)
    module = file.removesuffix(".py").replace("/", ".")
    classes = case.get("classname", "").removeprefix(module).strip(".")
    return "::".join(part for part in (file, classes.replace(".", "::"), name) if part)
