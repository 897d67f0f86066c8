"""`memory search|add|show|stats|prune|consolidate|audit|pin|unpin|forget|playbooks|eval|simulate`.

stdout is data, stderr is everything else; `--json` prints one document.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentsys.kernel.errors import BadInput
from agentsys.kernel.ids import parse_ref
from memory import services
from memory.evaluating.running import HARNESSES, evaluate
from memory.management.upkeep import Upkeep, add_subject, add_verbs
from memory.models import LAYERS, TRUST

DEFAULT_NAMESPACE = "project-1"
CHARS_SHOWN = 160


class Command(Upkeep, BaseCommand):
    help = "Search what was remembered, add to it, and see what is kept."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

        def verb(name: str, text: str) -> CommandParser:
            one: CommandParser = verbs.add_parser(name, help=text)
            one.add_argument("--json", action="store_true", help="print one JSON document")
            return one

        _search(verb("search", "what a task would be told for some words"))
        _add(verb("add", "remember a text"))
        verb("show", "a memory and all its versions").add_argument("id", help="31 or memory-31")
        verb("stats", "how much there is").add_argument("--namespace")
        add_verbs(verb)
        for name, text in (("pin", "never prune it"), ("unpin", "treat it like others")):
            verb(name, text).add_argument("id")
        add_subject(verb("forget", "remove a memory's text, or all about a subject, for good"))
        measured = verb("eval", "how well recall finds what questions need, on a public data set")
        measured.add_argument("--harness", choices=sorted(HARNESSES), required=True)
        measured.add_argument(
            "--data", required=True, type=Path, help="LoCoMo's locomo10.json, or BEAM's chats/100K"
        )
        measured.add_argument("--keep", type=float, help="after pruning to a share, such as 0.5")
        measured.add_argument("--digests", action="store_true", help="with digests written")
        measured.add_argument("--limit", type=int, help="only so many conversations")
        verb("playbooks", "procedures and how they did").add_argument("--namespace", default="")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        act: Callable[..., None] = getattr(self, f"do_{verb}")
        act(**options)

    def do_search(self, **options: Any) -> None:
        if not options["query"].strip():
            raise BadInput(what="query", problems=["it is empty; give some words to look for"])
        found = services.recall(
            options["namespace"] or services.stats()["namespaces"],
            options["query"],
            k=options["k"],
            layers=options["layer"],
            budget_tokens=options["budget"],
            actor=options["actor"],
            explain=True,
        )
        if options["json"]:
            self.emit([asdict(hit) for hit in found])
            return
        if not found:
            self.stderr.write("nothing found; `memory stats` shows what there is")
            return
        rows = (
            (h.id, f"{h.score:+.2f}", _signals(h.signals), h.layer, h.trust, _short(h.text),
             h.source)
            for h in found
        )  # fmt: skip
        self.show(("id", "score", "why", "layer", "trust", "text", "source"), rows)

    def do_eval(self, **options: Any) -> None:
        if not options["data"].exists():
            problem = (
                f"there is nothing at {options['data']}; docs/memory.md says where the sets are"
            )
            raise BadInput(what="--data", problems=[problem])
        found = evaluate(
            options["harness"],
            options["data"],
            limit=options["limit"],
            keep=options["keep"],
            digests=options["digests"],
            tell=lambda text: self.stderr.write(text),
        )
        if options["json"]:
            self.emit(found)
            return
        rows = {"overall": found["overall"], **found["categories"]}
        columns = ("questions", "R@5", "R@10", "R@20", "MRR")
        self.show(
            ("", *columns), ((name, *(row[c] for c in columns)) for name, row in rows.items())
        )
        taken = found["milliseconds_a_question"]
        self.stderr.write(
            f"{found['memories']} memories, {found['adds_per_second']} a second;"
            f" a question took {taken['p50']} ms (p95 {taken['p95']})"
        )

    def do_add(self, **options: Any) -> None:
        row_id = services.remember(
            options["namespace"],
            options["layer"],
            options["text"],
            kind=options["kind"],
            actor=getpass.getuser(),
            trust=options["trust"],
            provenance={"source": "command line"},
            pinned=options["pin"],
        )
        if not row_id:
            raise BadInput(
                what="text", problems=[f"`{options['text']}` says nothing worth a row; say more"]
            )
        self.answer({"id": row_id}, f"memory-{row_id}", options["json"])

    def do_show(self, **options: Any) -> None:
        versions = services.history(_id(options["id"]))
        if options["json"]:
            self.emit(versions)
            return
        columns = ("id", "state", "trust", "valid_from", "valid_to", "text", "provenance")
        self.show(columns, ([row[c] for c in columns] for row in versions))

    def do_stats(self, **options: Any) -> None:
        figures = services.stats(options["namespace"])
        if options["json"]:
            self.emit(figures)
            return
        self.show(("figure", "value"), ((name, _plain(value)) for name, value in figures.items()))

    def do_pin(self, **options: Any) -> None:
        self._pinned(services.pin, True, **options)

    def do_unpin(self, **options: Any) -> None:
        self._pinned(services.unpin, False, **options)

    def _pinned(self, act: Callable[[int], None], pinned: bool, **options: Any) -> None:
        row_id = _id(options["id"])
        act(row_id)
        text = f"memory-{row_id} {'pinned' if pinned else 'unpinned'}"
        self.answer({"id": row_id, "pinned": pinned}, text, options["json"])

    def do_forget(self, **options: Any) -> None:
        if (options["id"] is None) == (options["subject"] is None):
            raise BadInput(what="forget", problems=["give either a memory's id or --subject NAME"])
        if options["subject"] is not None:
            self.forget_subject(**options)
            return
        row_id = _id(options["id"])
        services.forget(row_id, getpass.getuser(), options["reason"])
        self.answer({"id": row_id, "state": "gone"}, f"memory-{row_id} forgotten", options["json"])

    def do_playbooks(self, **options: Any) -> None:
        views = services.playbooks(options["namespace"])
        if options["json"]:
            self.emit([asdict(view) for view in views])
            return
        columns = ("id", "name", "version", "origin", "state", "successes", "failures", "wilson")
        rows = ([asdict(v)[c] for c in columns[:-1]] + [f"{v.wilson:.2f}"] for v in views)
        self.show(columns, rows)

    def emit(self, data: Any) -> None:
        self.stdout.write(json.dumps(data, indent=2, default=str, ensure_ascii=False))

    def answer(self, data: Any, text: str, as_json: bool) -> None:
        self.emit(data) if as_json else self.stdout.write(text)

    def show(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table; where stdout is no terminal it is as wide as its content, for grep."""
        out = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            out.add_row(*(_safe(cell) for cell in row))
        wide = not self.stdout.isatty()
        console = Console(file=self.stdout, width=2000 if wide else None)  # type: ignore[arg-type]
        console.print(out, crop=False)


def _search(parser: CommandParser) -> None:
    parser.add_argument("query")
    parser.add_argument("--namespace", action="append", help="such as project-1; default: all")
    parser.add_argument("--layer", action="append", choices=LAYERS)
    parser.add_argument("--actor", help="only what this actor said")
    parser.add_argument("-k", type=int, default=10, help="at most this many")
    parser.add_argument("--budget", type=int, default=4000, help="tokens at most")


def _add(parser: CommandParser) -> None:
    parser.add_argument("text")
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE)
    parser.add_argument("--layer", choices=LAYERS, default="semantic")
    parser.add_argument("--kind", default="note", help="such as fact, preference or decision")
    parser.add_argument("--trust", choices=TRUST, default="unverified")
    parser.add_argument("--pin", action="store_true")


def _id(text: str) -> int:
    ref = parse_ref(text, default="memory")
    if ref.kind != "memory":
        raise BadInput(what="id", problems=[f"`{text}` is not a memory; expected memory-31 or 31"])
    return ref.id


def _signals(signals: Any) -> str:
    return " ".join(f"{name} {share:+.2f}" for name, share in signals.items())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CHARS_SHOWN else line[: CHARS_SHOWN - 1] + "…"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _safe(value: Any) -> Text:
    """Text from anywhere, shown as it is: no markup, no control characters."""
    text = "" if value is None else str(value)
    return Text("".join(c if c.isprintable() else " " for c in text))
