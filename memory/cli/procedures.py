"""`memory playbooks`: procedures, and how each has done."""

from __future__ import annotations

from dataclasses import asdict

from memory import services
from memory.cli.verbs import Options, Speech, Verbs


def register(verbs: Verbs) -> None:
    listed = verbs.add("playbooks", "procedures and how they did", do_playbooks)
    listed.add_argument("--namespace", default="")


def do_playbooks(say: Speech, options: Options) -> None:
    views = services.playbooks(options["namespace"])
    if say.as_json:
        say.emit([asdict(view) for view in views])
        return
    columns = ("id", "name", "version", "origin", "state", "successes", "failures", "wilson")
    rows = ([asdict(v)[c] for c in columns[:-1]] + [f"{v.wilson:.2f}"] for v in views)
    say.show(columns, rows)
