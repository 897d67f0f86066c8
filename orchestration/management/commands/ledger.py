"""`ledger show|verify|rebuild`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import ExitCode
from agentsys.kernel.wording import counted, utc
from orchestration.cli import watch
from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, add_jsonl, positive, safe, table
from orchestration.management.commands.goals import goal_id
from orchestration.models import Goal
from orchestration.services import reads
from orchestration.services.ledger import ledger_verify
from orchestration.services.rebuild import rebuild_check

STREAM_ROWS = 500


class Command(Base):
    help = "What happened, in order; whether anybody changed it, and whether the tables agree."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        show = verbs.add_parser("show", help="entries of a goal's ledger")
        show.add_argument("goal")
        show.add_argument("--after", type=int, default=0, help="entries beyond this seq")
        show.add_argument("--limit", type=positive, default=200)
        show.add_argument(
            "--follow", action="store_true", help="go on as it grows, until the goal is over"
        )
        add_json(show)
        add_jsonl(show, "a line of JSON for each entry")
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
        if options["jsonl"] or options["follow"]:
            self._stream(goal_id(options["goal"]), options)
            return
        rows = reads.ledger_view(goal_id(options["goal"]), options["after"], options["limit"])
        if options["json"]:
            self.emit(rows, as_json=True)
            return
        columns = ("seq", "at", "event", "actor", "task", "payload")
        cells = (
            (r["seq"], _at(r), r["event"], r["actor"], r["task_key"], _payload(r["payload"]))
            for r in rows
        )
        self.show(table(columns, cells))

    def _stream(self, goal: int, options: dict[str, Any]) -> None:
        """Entry by entry; Ctrl-C detaches."""
        write = _line if options["jsonl"] or options["json"] else _told
        after, left = options["after"], options["limit"]
        while True:
            # The state is read first: entries that end a goal are then certain to be seen below.
            over = Goal.objects.filter(pk=goal, finished_at__isnull=False).exists()
            rows = reads.ledger_view(goal, after, STREAM_ROWS if options["follow"] else left)
            for row in rows:
                self.stdout.write(write(row))
            self.stdout.flush()
            after = rows[-1]["seq"] if rows else after
            if not options["follow"] or (over and len(rows) < STREAM_ROWS):
                return
            if not rows:
                time.sleep(watch.POLL_SECONDS)

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


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _told(row: Mapping[str, Any]) -> str:
    parts = (row["seq"], _at(row), row["event"], row["actor"], row["task_key"])
    text = "  ".join(str(part) for part in parts if part is not None)
    return safe(f"{text}  {_payload(row['payload'])}".rstrip()).plain


def _at(row: Mapping[str, Any]) -> str:
    return utc(row["at"], seconds=True)


def _payload(payload: Mapping[str, Any]) -> str:
    """JSON on one line; nothing where there is nothing."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False) if payload else ""
