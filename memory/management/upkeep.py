"""`memory prune|consolidate|audit|simulate` and `forget --subject`: what keeps memory in shape."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import BadInput
from memory import services

Verb = Callable[[str, str], CommandParser]
SHOWN_MAX = 50  # rows of a table; `--json` has all


class Upkeep:
    """Mixed into the command, which shows what these answer."""

    stderr: Any
    emit: Callable[[Any], None]
    answer: Callable[[Any, str, bool], None]
    show: Callable[[Sequence[str], Iterable[Sequence[Any]]], None]

    def do_prune(self, **options: Any) -> None:
        report = services.prune(
            options["namespace"],
            rows_max=options["rows_max"],
            bytes_max=options["bytes_max"],
            dry_run=options["dry_run"],
        )
        if options["json"]:
            self.emit(asdict(report))
            return
        if report.dry_run and report.pruned:
            moves = report.pruned[:SHOWN_MAX]
            self.show(("id", "to", "why"), ((m.id, m.state, m.reason) for m in moves))
        verb = "would move" if report.dry_run else "moved"
        held = f"{report.live} live rows, {report.bytes} bytes"
        self.answer({}, f"{report.namespace}: {len(report.pruned)} {verb} of {held}", False)

    def do_consolidate(self, **options: Any) -> None:
        names = [options["namespace"]] if options["namespace"] else services.stats()["namespaces"]
        until = _moment(options["until"])
        done = [
            services.consolidate(
                name,
                until=until,
                dry_run=options["dry_run"],
                tell=lambda text: self.stderr.write(text),
            )
            for name in names
        ]
        if options["json"]:
            self.emit([asdict(one) for one in done])
            return
        columns = ("id", "level", "period", "parts", "words", "method", "refused")
        rows = [[asdict(d)[c] for c in columns] for one in done for d in one.written]
        self.show(columns, rows[:SHOWN_MAX])
        verb = "would be written" if options["dry_run"] else "written"
        self.stderr.write(f"{len(rows)} digests {verb}")

    def do_audit(self, **options: Any) -> None:
        names = [options["namespace"]] if options["namespace"] else services.stats()["namespaces"]
        found = [services.audit(name) for name in names]
        if options["json"]:
            self.emit([asdict(one) for one in found])
            return
        rows = (
            (one.namespace, finding.what, finding.rows, f"{100 * finding.share:.2f} %", _ids(finding.ids))
            for one in found
            for finding in one.findings
        )  # fmt: skip
        self.show(("namespace", "what", "rows", "of live", "ids"), rows)

    def forget_subject(self, **options: Any) -> None:
        if not options["namespace"]:
            raise BadInput(what="forget", problems=["--subject needs --namespace"])
        proof = services.forget_subject(
            options["namespace"],
            options["subject"],
            by=getpass.getuser(),
            reason=options["reason"],
            dry_run=options["dry_run"],
        )
        if options["json"]:
            self.emit(asdict(proof))
            return
        self.show(
            ("figure", "value"), ((name, _plain(value)) for name, value in asdict(proof).items())
        )

    def do_simulate(self, **options: Any) -> None:
        from memory.simulation.running import Plan, simulate

        plan = Plan(
            days=options["days"],
            events=options["events"],
            seed=options["seed"],
            rows_max=options["rows_max"],
            bytes_max=options["bytes_max"],
            kills=options["kills"],
        )
        found = simulate(plan, tell=lambda text: self.stderr.write(text))
        if options["output"]:
            options["output"].write_text(found.markdown(), encoding="utf-8")
        if options["json"]:
            self.emit(asdict(found))
        else:
            self.show(("figure", "value"), found.figures())
        if found.problems:
            raise BadInput(what="simulation", problems=list(found.problems))


def add_verbs(verb: Verb) -> None:
    prune = verb("prune", "turn what is worth least cold in a namespace that is over budget")
    prune.add_argument("namespace")
    prune.add_argument("--rows-max", type=int, help="default: AGENTSYS_MEMORY_ROWS_MAX")
    prune.add_argument("--bytes-max", type=int, help="default: AGENTSYS_MEMORY_BYTES_MAX")
    prune.add_argument("--dry-run", action="store_true", help="say what would move, and why")
    digests = verb(
        "consolidate", "write the digests of sessions, days, weeks and months that are over"
    )
    digests.add_argument("--namespace", help="default: all")
    digests.add_argument("--until", help="as if it were then, such as 2026-01-31; default: now")
    digests.add_argument("--dry-run", action="store_true")
    audit = verb("audit", "duplicates, recall loops, stale facts, orphans, rows that search lacks")
    audit.add_argument("--namespace", help="default: all")
    simulated = verb("simulate", "weeks of events against a budget, with a stepped clock")
    simulated.add_argument("--days", type=int, default=30)
    simulated.add_argument("--events", type=int, default=20_000, help="a day")
    simulated.add_argument("--seed", type=int, default=1)
    simulated.add_argument("--rows-max", type=int, default=50_000)
    simulated.add_argument("--bytes-max", type=int, default=100_000_000)
    simulated.add_argument("--kills", type=int, default=50, help="kill -9 in mid-consolidation")
    simulated.add_argument("--output", type=Path, help="the figures as a markdown file")


def add_subject(forget: CommandParser) -> None:
    forget.add_argument("id", nargs="?", help="31 or memory-31")
    forget.add_argument("--subject", help="a name: everything about it, with proof")
    forget.add_argument("--namespace", help="of the subject")
    forget.add_argument("--reason", required=True)
    forget.add_argument("--dry-run", action="store_true", help="with --subject: say what would go")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        problem = f"`{text}` is not a date such as 2026-01-31 or 2026-01-31T12:00+00:00"
        raise BadInput(what="--until", problems=[problem]) from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _ids(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids[:10])) + (" …" if len(ids) > 10 else "")


def _plain(value: Any) -> str:
    return _ids(value) if isinstance(value, list | tuple) else str(value)
