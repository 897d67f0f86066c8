"""`memory history|quarantine|rollback`: what happened to memories, what waits, and taking a batch back."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import BadInput
from agentsys.kernel.ids import parse_ref
from memory import services

Verb = Callable[[str, str], CommandParser]


def safety_arguments(verb: Verb) -> None:
    verb("history", "what happened to a memory, oldest first").add_argument("id")
    waiting = verb("quarantine", "what waits for a person: list, release or reject it")
    waiting.add_argument("action", choices=("list", "release", "reject"))
    waiting.add_argument(
        "ids", nargs="*", metavar="ID", help="31 or memory-31, to release or reject"
    )
    waiting.add_argument("--namespace", help="of a list; default: all")
    waiting.add_argument("--reason", default="", help="needed to release and to reject")
    back = verb("rollback", "take back all that a batch, a goal or an actor wrote")
    back.add_argument("--namespace", required=True, help="such as project-1")
    back.add_argument("--batch", help="such as attempt-12 or import-3")
    back.add_argument("--goal", help="goal-3 or 3")
    back.add_argument("--actor")
    back.add_argument(
        "--since", help="only what was written since then: 2026-05-01, or with a time"
    )
    back.add_argument("--reason", required=True)
    back.add_argument("--dry-run", action="store_true")


class SafetyVerbs:
    """Mixed into the command, which shows and emits."""

    emit: Callable[[Any], None]
    answer: Callable[[Any, str, bool], None]
    show: Callable[[Sequence[str], Iterable[Sequence[Any]]], None]

    def do_history(self, **options: Any) -> None:
        lines = _history(services.history(memory_id(options["id"])))
        if options["json"]:
            self.emit(lines)
            return
        columns = ("at", "memory", "event", "actor", "reason", "other")
        self.show(columns, ([line[c] for c in columns] for line in lines))

    def do_quarantine(self, **options: Any) -> None:
        if options["action"] == "list":
            self._waiting(options["namespace"], options["json"])
            return
        if not options["ids"]:
            raise BadInput(what="ids", problems=[f"say what to {options['action']}: memory-31"])
        act = _release if options["action"] == "release" else _reject
        done = [act(memory_id(one), options["reason"]) for one in options["ids"]]
        verb = "released" if options["action"] == "release" else "rejected"
        text = "\n".join(f"memory-{one} {verb}" for one in done)
        self.answer({verb: done}, text, options["json"])

    def _waiting(self, namespace: str | None, as_json: bool) -> None:
        rows = services.quarantine_list(namespace)
        if as_json:
            self.emit(rows)
            return
        columns = ("id", "namespace", "actor", "trust", "batch", "why", "text")
        self.show(columns, ([row[c] for c in columns] for row in rows))

    def do_rollback(self, **options: Any) -> None:
        goal = parse_ref(options["goal"], default="goal").id if options["goal"] else None
        batch = services.Batch(
            options["namespace"],
            batch=options["batch"],
            goal=goal,
            actor=options["actor"],
            since=_moment(options["since"]),
        )
        report = services.rollback(
            batch, by=getpass.getuser(), reason=options["reason"], dry_run=options["dry_run"]
        )
        verb = "would be taken back" if report.dry_run else "taken back"
        text = (
            f"{report.namespace}: {len(report.taken)} memories {verb}, with {len(report.digests)} digests"
            f" made from them; {len(report.reopened)} hold again\ncontent {report.hash_before[:12]} → "
            f"{report.hash_after[:12]}"
        )
        self.answer(asdict(report), text, options["json"])


def memory_id(text: str) -> int:
    ref = parse_ref(text, default="memory")
    if ref.kind != "memory":
        raise BadInput(what="id", problems=[f"`{text}` is not a memory; expected memory-31 or 31"])
    return ref.id


def _release(one: int, reason: str) -> int:
    return services.quarantine_release(one, by=getpass.getuser(), reason=reason)


def _reject(one: int, reason: str) -> int:
    services.quarantine_reject(one, by=getpass.getuser(), reason=reason)
    return one


def _history(versions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All versions' events in one list; that a version was written is its row."""
    lines = [
        {
            "at": row["recorded_at"],
            "memory": row["id"],
            "event": "added",
            "actor": row["actor"],
            "reason": "",
            "other": row["supersedes_id"],
        }
        for row in versions
    ]
    lines += [
        {
            "at": event["at"],
            "memory": row["id"],
            "event": event["event"],
            "actor": event["actor"],
            "reason": event["reason"],
            "other": event["other_id"],
        }
        for row in versions
        for event in row["events"]
    ]
    return sorted(lines, key=lambda line: (line["at"], line["memory"]))


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        problem = f"`{text}` is no time; expected 2026-05-01 or 2026-05-01T12:00"
        raise BadInput(what="--since", problems=[problem]) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
