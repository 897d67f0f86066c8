"""`ledger show|verify|rebuild`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import ExitCode
from agentsys.kernel.wording import counted
from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, positive, table
from orchestration.management.commands.goals import goal_id
from orchestration.models import Goal
from orchestration.services import reads
from orchestration.services.ledger import ledger_verify
from orchestration.services.rebuild import rebuild_check


class Command(Base):
    help = "What happened, in order; whether anybody changed it, and whether the tables agree."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        show = verbs.add_parser("show", help="entries of a goal's ledger")
        show.add_argument("goal")
        show.add_argument("--after", type=int, default=0, help="entries beyond this seq")
        show.add_argument("--limit", type=positive, default=200)
        add_json(show)
        verify = verbs.add_parser("verify", help="find edits, deletions, insertions, truncation")
        verify.add_argument("goal", nargs="?", help="default: every goal")
        add_json(verify)
        rebuild = verbs.add_parser("rebuild", help="fold the entries and compare with the tables")
        rebuild.add_argument(
            "--check", action="store_true", required=True, help="compare only; nothing is written"
        )
        rebuild.add_argument("goal", nargs="?", help="default: every goal")
        add_json(rebuild)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"do_{verb}")(**options)

    def do_show(self, **options: Any) -> None:
        rows = reads.ledger_view(goal_id(options["goal"]), options["after"], options["limit"])
        if options["json"]:
            self.emit(rows, as_json=True)
            return
        columns = ("seq", "at", "event", "actor", "task", "payload")
        cells = (
            (r["seq"], r["at"][:19], r["event"], r["actor"], r["task_key"], _payload(r["payload"]))
            for r in rows
        )
        self.show(table(columns, cells))

    def do_verify(self, **options: Any) -> None:
        self._each(ledger_verify, "intact: {}", options)

    def do_rebuild(self, **options: Any) -> None:
        self._each(rebuild_check, "the tables are what folding gives: {}", options)

    def _each(
        self, check: Callable[[int], list[str]], fine: str, options: Mapping[str, Any]
    ) -> None:
        """`check` one goal or all; exit 1 when there is anything to say."""
        ids = (
            [goal_id(options["goal"])]
            if options["goal"]
            else list(Goal.objects.order_by("pk").values_list("pk", flat=True))
        )
        problems = {pk: found for pk in ids if (found := check(pk))}
        text = "\n".join(f"goal-{pk}: {p}" for pk, ps in problems.items() for p in ps)
        self.emit(
            {"goals": len(ids), "problems": problems},
            as_json=options["json"],
            text=text or fine.format(counted(len(ids), "ledger")),
        )
        if problems:
            sys.exit(ExitCode.ERROR)


def _payload(payload: Mapping[str, Any]) -> str:
    """JSON on one line; nothing where there is nothing."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False) if payload else ""
