"""`verifiers backtest`: the arguments, and what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from rich.table import Table

from agentsys.kernel.wording import counted
from orchestration.cli.output import Command, add_json, positive, project_known, table
from orchestration.cli.revising import json_of
from orchestration.services.backtest import Backtest, policy_backtest

SHOWN = 50


def add_backtest(verbs: Any) -> None:
    parser: CommandParser = verbs.add_parser(
        "backtest", help="what another policy would have decided on what is on record"
    )
    parser.add_argument("policy", help="a file with the policy's document, or -")
    parser.add_argument("--project", help="of this project only")
    parser.add_argument("--limit", type=positive, default=1000, help="the latest so many attempts")
    add_json(parser)


def backtest(command: Command, **options: Any) -> None:
    if options["project"]:
        project_known(options["project"])
    path = options["policy"]
    document = json_of(path if path == "-" else f"@{path}", "policy")
    found = policy_backtest(document, project=options["project"], limit=options["limit"])
    if options["json"]:
        command.emit(found.to_json(), as_json=True)
        return
    command.show(*_tables(found))
    command.note(_summary(found))


def _tables(found: Backtest) -> Iterator[Table]:
    rows = sorted(found.counts.items())
    yield table(("was", "would be", "attempts"), ((was, would, n) for (was, would), n in rows))
    if found.changed:
        cells = (
            (c.goal, c.task, c.attempt, c.was, c.would, c.rule, "; ".join(c.reasons))
            for c in found.changed[:SHOWN]
        )
        yield table(("goal", "task", "attempt", "was", "would be", "rule", "why"), cells)


def _summary(found: Backtest) -> str:
    lines = [f"{counted(found.attempts, 'attempt')}, {len(found.changed)} decided otherwise"]
    if len(found.changed) > SHOWN:
        lines.append(f"the latest {SHOWN} are shown; --json has all")
    if found.unheard:
        asked = ", ".join(f"{name} on {n}" for name, n in sorted(found.unheard.items()))
        lines.append(f"unheard: it would have asked {asked}, which nobody did")
    return "; ".join(lines)
