"""Documents given on the command line, and what a change of plan does, for people."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import BadInput
from orchestration.services.overrides import Override
from orchestration.services.replan import Revision

SHOWN_MAX = 10


def _no_number(name: str) -> Any:
    """NaN and infinities are JSON to Python and to nobody else."""
    raise ValueError(f"{name} has no JSON form")


def json_of(given: str, what: str) -> Any:
    """JSON as it stands, from a file (`@PATH`) or from standard input (`-`); BadInput says where it
    is none."""
    try:
        if given == "-":
            text = sys.stdin.read()
        else:
            text = Path(given[1:]).read_text() if given.startswith("@") else given
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(what=what, problems=[f"cannot be read: {error}"]) from error
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise BadInput(what=what, problems=[f"not JSON: {error.msg} at {where}"]) from error
    except ValueError as error:  # such a constant, or a number of more digits than Python reads
        raise BadInput(what=what, problems=[f"not to be read: {error}"]) from error
    except RecursionError as error:
        raise BadInput(what=what, problems=["it is nested too deeply"]) from error


def object_of(given: str, what: str) -> dict[str, Any]:
    """`json_of` what must be an object."""
    value = json_of(given, what)
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise BadInput(what=what, problems=[f"expected an object of fields and values, not {kind}"])
    return value


def revision_text(revision: Revision) -> str:
    """A line for each thing that happens, or would."""
    goal, version = revision.goal, revision.version
    if not revision.changes:
        return f"nothing changes: the plan of goal-{goal} stays at version {version}"
    first = tuple(key for key in revision.again if key not in revision.begun)
    told = (
        ("runs again", revision.begun),
        ("runs, for the first time", first),
        ("is new", revision.new),
        ("is dropped", revision.dropped),
        ("is under way and stops", revision.stopped),
        ("stays, made from what is replaced", revision.stale),
        ("is kept", revision.kept),
    )
    would = "would be" if revision.preview else "is"
    head = [f"plan of goal-{goal} {would} at version {version}"]
    if revision.revives:
        goes_on = "would go on" if revision.preview else "goes on"
        head.append(f"goal-{goal} had failed and {goes_on}")
    if revision.tokens or revision.cost_usd:
        spent = f"{revision.tokens:,} tokens, ${revision.cost_usd:.4f}"
        head.append(f"spent on what does not count any more: {spent}")
    return "\n".join([*head, *(f"{what}: {_keys(keys)}" for what, keys in told if keys)])


def override_text(told: Override) -> str:
    """What an override does, or would do, in a sentence or a few."""
    what = f"{told.goal}/{told.task}"
    head = (
        f"your output would count for {what}"
        if told.preview
        else f"attempt-{told.attempt} counts for {what}"
    )
    parts = [head]
    if told.stale and not told.rerun:
        parts.append(f"{_keys(told.stale)} ran on the old output; --rerun lets them run again")
    if told.again:
        would = "would run again" if told.preview else "run again"
        parts.append(f"{_keys(told.again)} {would}")
    if told.withdrawn:
        would = "would be withdrawn" if told.preview else "withdrawn"
        parts.append(f"{_keys(tuple(f'approval-{pk}' for pk in told.withdrawn))} {would}")
    if told.revives:
        goes_on = "would go on" if told.preview else "goes on"
        parts.append(f"goal-{told.goal} had failed and {goes_on}")
    return "; ".join(parts)


def _keys(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - SHOWN_MAX} more" if len(keys) > SHOWN_MAX else ""
    return ", ".join(keys[:SHOWN_MAX]) + more


def add_dry_run(parser: CommandParser) -> None:
    parser.add_argument(
        "--dry-run", "--preview", dest="preview", action="store_true",
        help="only say what would happen to which task; writes nothing",
    )  # fmt: skip
