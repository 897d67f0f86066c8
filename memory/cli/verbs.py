"""How a verb of `memory` is declared, and how it speaks: stdout is data, `--json` one document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentsys.kernel.errors import BadInput
from agentsys.kernel.ids import parse_ref

CHARS_SHOWN = 160
PIPE_WIDTH = 2_000

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Speech:
    """What a verb says, to whom: `emit`, `answer` and `show` are data, `note` is not."""

    command: BaseCommand
    as_json: bool

    def emit(self, data: Any) -> None:
        self.command.stdout.write(json.dumps(data, indent=2, default=_plain, ensure_ascii=False))

    def answer(self, data: Any, text: str) -> None:
        """The document, or a line for a person."""
        self.emit(data) if self.as_json else self.command.stdout.write(safe(text).plain)

    def note(self, text: str) -> None:
        self.command.stderr.write(safe(text).plain)

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.command.stdout.write(safe(line).plain)

    def show(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table; where stdout is no terminal it is as wide as its content, for grep."""
        out = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            out.add_row(*(safe(cell) for cell in row))
        width = None if self.command.stdout.isatty() else PIPE_WIDTH
        console = Console(file=self.command.stdout, width=width)  # type: ignore[arg-type]
        console.print(out, crop=False)


Act = Callable[[Speech, Options], None]


@dataclass(frozen=True, slots=True)
class Verbs:
    """Where a group puts its verbs: `verbs.add("stats", "how much there is", act)`."""

    subparsers: Any  # argparse's, which have no public type

    def add(self, name: str, text: str, act: Act) -> CommandParser:
        parser: CommandParser = self.subparsers.add_parser(name, help=text)
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.set_defaults(act=act)
        return parser


def _plain(value: Any) -> str:
    """What JSON has no form for; times as ISO 8601."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def cell(value: Any) -> str:
    """A value of a row as a line of text: `p50 9.5, p95 11.6`, or `semantic live 2; episodic live 9`."""
    if isinstance(value, dict):
        parts = [f"{name} {cell(one)}" for name, one in value.items()]
        return ("; " if any(isinstance(one, dict) for one in value.values()) else ", ").join(parts)
    if isinstance(value, list):
        return (
            json.dumps(value, default=_plain, ensure_ascii=False)
            if _deep(value)
            else ", ".join(map(str, value))
        )
    return "" if value is None else str(value)


def _deep(values: Iterable[Any]) -> bool:
    return any(isinstance(one, list | dict) for one in values)


def memory_id(text: str) -> int:
    """31 or memory-31; BadInput for anything else."""
    ref = parse_ref(text, default="memory")
    if ref.kind != "memory":
        raise BadInput(what="id", problems=[f"`{text}` is not a memory; expected memory-31 or 31"])
    return ref.id


def short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CHARS_SHOWN else line[: CHARS_SHOWN - 1] + "…"


def safe(value: Any) -> Text:
    """Text from anywhere, shown as it is: no markup, no control characters."""
    text = "" if value is None else str(value)
    return Text("".join(c if c.isprintable() else " " for c in text))
