"""stdout is data, stderr is everything else. `--json` prints one document."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentsys.kernel.errors import NoSuchName
from agentsys.kernel.wording import counted, dollars, utc
from orchestration.domain.telling import state_read
from orchestration.models import Project
from orchestration.services.goals import project_join

PIPE_WIDTH = 400
WHY_MAX = 240  # characters of a reason in a table; `why` has all of it
STATE_STYLE = {
    "done": "green", "succeeded": "green", "accepted": "green", "applied": "green",
    "running": "cyan", "verifying": "blue", "ready": "cyan", "held": "yellow",
    "paused": "yellow", "waiting": "yellow",
    "failed": "red", "rejected": "red", "cancelled": "dim", "blocked": "dim",
}  # fmt: skip
STATE_MARK = {
    "done": "✓", "running": "▶", "verifying": "?", "held": "‖", "failed": "✗", "ready": "·",
    "blocked": "…", "cancelled": "–", "paused": "‖", "waiting": "‖",
}  # fmt: skip


class Command(BaseCommand):
    """A command with verbs: `NAME VERB …`, each a method of the same name."""

    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def emit(self, data: Any, *, as_json: bool, text: str | None = None) -> None:
        if as_json or text is None:
            self.stdout.write(json.dumps(data, indent=2, default=str, ensure_ascii=False))
        elif text and self.stdout.isatty():
            self.show(text)  # folds between words
        elif text:
            self.stdout.write(safe(text).plain)

    def note(self, text: str) -> None:
        self.stderr.write(safe(text).plain)

    def show(self, *renderables: Any) -> None:
        """Rich renderables on stdout; where that is no terminal, plain and without folding."""
        width = None if self.stdout.isatty() else PIPE_WIDTH
        console = Console(file=self.stdout, width=width)  # type: ignore[arg-type]
        for renderable in renderables:
            console.print(safe(renderable) if isinstance(renderable, str) else renderable)


def add_json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_jsonl(parser: CommandParser, text: str) -> None:
    parser.add_argument("--jsonl", action="store_true", help=text)


def add_wait(parser: CommandParser) -> None:
    parser.add_argument("--wait", action="store_true", help="follow it to its end")
    parser.add_argument("--timeout", type=float, help="seconds to wait at most")


def positive(text: str) -> int:
    """A number of rows, for argparse."""
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"`{text}`: expected a whole number from 1 up")


def actor() -> str:
    """Who acts on this command line: the operating system's user."""
    return getpass.getuser()


def person(name: str | None) -> User:
    """The person who decides: `--user`; else the account named after the operating system's user;
    else the first administrator; else, where nobody has an account yet, an approver of the default
    project is made for the operating system's user. NoSuchName for an unknown `--user`."""
    if name:
        named = User.objects.filter(username=name).first()
        if named is None:
            names = User.objects.filter(is_active=True).order_by("username")
            known = list(names.values_list("username", flat=True)[:11])
            raise NoSuchName(kind="user", name=name, names=known)
        return named
    own = User.objects.filter(username=actor(), is_active=True).first()
    first = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return own or first or _newcomer()


def project_known(name: str) -> Project:
    """The project; NoSuchName says which there are, as the command line sees everything."""
    found = Project.objects.filter(name=name).first()
    if found is None:
        names = Project.objects.order_by("name").values_list("name", flat=True)
        raise NoSuchName(kind="project", name=name, names=list(names[:11]))
    return found


def _newcomer() -> User:
    made: User = User.objects.create_user(username=actor(), is_staff=True)
    project_join("default", user=made, role="approver")
    return made


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> Table:
    out = Table(title=title or None, box=None, pad_edge=False, header_style="bold")
    for column in columns:
        out.add_column(column, overflow="fold")
    for row in rows:
        out.add_row(*(cell if isinstance(cell, Text) else safe(cell) for cell in row))
    return out


def safe(value: Any) -> Text:
    """Text that came from anywhere: shown as it is, without markup or control characters, so
    that what an agent wrote cannot speak to the terminal."""
    text = "" if value is None else str(value)
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
    return Text(text)


def first_line(text: str) -> str:
    """What of a long text stands in a table; `show` has all of it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = (lines or [""])[0]
    return f"{shown[:WHY_MAX]} …" if len(lines) > 1 or len(shown) > WHY_MAX else shown


def state(name: str) -> Text:
    return Text(f"{STATE_MARK.get(name, ' ')} {name}", style=STATE_STYLE.get(name, ""))


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spent(cost: Mapping[str, Any]) -> str:
    """`1,234 tokens, $0.50`, of what has `tokens` and `cost_usd`."""
    return f"{counted(cost['tokens'], 'token')}, {dollars(cost['cost_usd'])}"


def goal_table(goals: Sequence[Mapping[str, Any]]) -> Table:
    return table(
        ("id", "state", "objective", "project", "created", "asks"),
        (
            (
                g["id"],
                _goal_state(g),
                g["objective"][:80],
                g["project"],
                utc(g["created_at"]),
                f"`inbox list`: {g['asks']}" if g["asks"] else "",
            )
            for g in goals
        ),
    )


def _goal_state(g: Mapping[str, Any]) -> Text:
    over = g["finished_at"] is not None
    return state(state_read(g["state"], over=over, paused=g["paused"], waits=g["waits"]))


def _swarm(t: Mapping[str, Any]) -> str:
    """How far a task's swarm is, while it is under way; and what of it nobody looked at."""
    from orchestration.services.swarm_views import swarm_sentence

    seen = t.get("swarm")
    if not seen or (seen["state"] != "mapping" and not seen["unsampled"]):
        return ""
    return swarm_sentence(seen)


def task_table(tasks: Sequence[Mapping[str, Any]], goal: int) -> Table:
    paused = {t["key"] for t in tasks if t["paused"]}
    return table(
        ("task", "state", "agent", "attempts", "needs", "verdicts", "why"),
        (
            (
                t["key"],
                state("paused" if t["paused"] else t["state"]),
                t["agent"],
                t["attempts"],
                ", ".join(t["depends_on"][:3]) + (" …" if len(t["depends_on"]) > 3 else ""),
                " ".join(map(verdict_word, t["verdicts"])),
                _why(t, paused, goal),
            )
            for t in tasks
        ),
    )


def verdict_word(v: Mapping[str, Any]) -> str:
    """`semantic:fail`; overruled `semantic:fail→pass (ann)`, and where it comes to the same
    `semantic:fail (ann)`."""
    said = f"{v['verifier']}:{v['outcome'] or '…'}"
    if not v["overridden_by"]:
        return said
    otherwise = "" if v["override_outcome"] == v["outcome"] else f"→{v['override_outcome']}"
    return f"{said}{otherwise} ({v['overridden_by']})"


def _why(t: Mapping[str, Any], paused: Set[str], goal: int) -> str:
    """Why the task is not done yet, or not at all; nothing of one that is over without failing, but
    that verifiers saw a sample only."""
    if t["state"] in ("done", "cancelled"):
        return _swarm(t) if t["state"] == "done" else ""
    text = t["reason"] or ("" if t["state"] == "failed" else t["note"] or _swarm(t))
    if t["paused"]:
        first = [key for key in t["depends_on"] if key in paused]
        way = f"with {first[0]}" if first else f"`goals resume --task {goal}/{t['key']}` goes on"
        text = f"{t['state']}, {way}" + (f"; {text}" if text else "")
    return text if len(text) <= WHY_MAX else text[: WHY_MAX - 2] + " …"
