"""`memory stats|prune`: how much there is, and what goes when it is too much."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from memory import services
from memory.cli.verbs import Options, Speech, Verbs


def register(verbs: Verbs) -> None:
    verbs.add("stats", "how much there is", do_stats).add_argument("--namespace")
    prune = verbs.add("prune", "forget the weakest rows of a namespace over budget", do_prune)
    prune.add_argument("namespace")
    prune.add_argument("--rows-max", type=int, default=services.ROWS_MAX)
    prune.add_argument("--dry-run", action="store_true")


def do_stats(say: Speech, options: Options) -> None:
    figures = services.stats(options["namespace"])
    if say.as_json:
        say.emit(figures)
        return
    say.show(("figure", "value"), ((name, _plain(value)) for name, value in figures.items()))


def do_prune(say: Speech, options: Options) -> None:
    report = services.prune(
        options["namespace"], rows_max=options["rows_max"], dry_run=options["dry_run"]
    )
    verb = "would be forgotten" if report.dry_run else "forgotten"
    text = f"{report.namespace}: {len(report.pruned)} of {report.live} live rows {verb}"
    say.answer(asdict(report), text)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
