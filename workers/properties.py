"""Runs property checks on a tree, in the sandbox: the worker's side of `inside/properties.py`, which alone
evaluates anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers import sandbox
from workers.git import Repository
from workers.interpreters import python_with

PROGRAM = Path(__file__).with_name("inside") / "properties.py"
RESULTS_BYTES_MAX = 2_000_000
TAIL_CHARS = 2_000
STATUSES = ("held", "falsified", "missing", "broken", "unsteady")


@dataclass(frozen=True, slots=True)
class PropertyResult:
    """status: held | falsified | missing (no such target) | broken (it cannot be imported) | unsteady
    (other results for the same arguments) | timeout | ended (the interpreter was) | not_run.
    `falsified_by`: the smallest example, as texts: `arguments`, and `result` or `raised`."""

    status: str
    examples: int = 0
    why: str = ""
    falsified_by: Mapping[str, Any] = field(default_factory=dict)


def properties_run(
    repository: Repository | None,
    checkout: Path,
    properties: Sequence[Mapping[str, Any]],
    *,
    timeout_seconds: float,
    workspace: Path,
) -> dict[str, PropertyResult] | None:
    """By name; None where the Python that runs this code has no Hypothesis."""
    python = python_with(repository, checkout, "hypothesis")
    if python is None:
        return None
    program, results = workspace / "program", workspace / "results"
    for folder in (program, results):
        folder.mkdir(parents=True, exist_ok=True)
    script = program / "agentsys_properties.py"
    script.write_text(PROGRAM.read_text("utf-8"), "utf-8")
    (program / "properties.json").write_text(json.dumps(list(properties)), "utf-8")
    lines = results / "properties.jsonl"
    lines.unlink(missing_ok=True)
    folders = [str(path) for path in (checkout / "src", checkout) if path.is_dir()]
    ended = sandbox.run(
        [python.executable, str(script), str(lines), *folders],
        cwd=checkout,
        writable=[checkout, results],
        readable=[program, *python.folders],
        env={"PATH": python.env(checkout)["PATH"], "CI": "1", "PYTHONHASHSEED": "0"},
        timeout_seconds=timeout_seconds,
    )
    tail = (ended.stdout + ended.stderr)[-TAIL_CHARS:]
    status = "timeout" if ended.timed_out else "ended"
    return _all(properties, _read(lines), PropertyResult(status, why=tail))


def _all(
    properties: Sequence[Mapping[str, Any]],
    found: Mapping[str, PropertyResult],
    end: PropertyResult,
) -> dict[str, PropertyResult]:
    """What is missing was stopped by how the program ended (the first) or never begun (the others)."""
    every: dict[str, PropertyResult] = {}
    for wanted in properties:
        name = str(wanted["name"])
        every[name] = found.get(name) or end
        end = PropertyResult("not_run") if name not in found else end
    return every


def _read(lines: Path) -> dict[str, PropertyResult]:
    """The file was written beside the code that is looked at: no links, no unbounded size, any form."""
    if lines.is_symlink() or not lines.is_file() or lines.stat().st_size > RESULTS_BYTES_MAX:
        return {}
    found = {}
    for line in lines.read_text("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and row.get("status") in STATUSES:
            found[str(row.get("name"))] = _result(row)
    return found


def _result(row: Mapping[str, Any]) -> PropertyResult:
    examples, by = row.get("examples"), row.get("falsified_by")
    return PropertyResult(
        status=str(row["status"]),
        examples=examples if isinstance(examples, int) else 0,
        why=str(row.get("why") or "")[:TAIL_CHARS],
        falsified_by=_texts(by) if isinstance(by, dict) else {},
    )


def _texts(by: Mapping[str, Any]) -> dict[str, Any]:
    arguments = by.get("arguments")
    rest = {name: str(by[name])[:TAIL_CHARS] for name in ("result", "raised") if name in by}
    named = arguments.items() if isinstance(arguments, dict) else ()
    return {"arguments": {str(k)[:100]: str(v)[:TAIL_CHARS] for k, v in list(named)[:20]}, **rest}
