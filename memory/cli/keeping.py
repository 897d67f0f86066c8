"""`memory stats|prune`: how much there is, and what goes when it is too much."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from agentsys.kernel.errors import NoSuchName
from memory import services
from memory.cli.verbs import Options, Speech, Verbs


def register(verbs: Verbs) -> None:
    verbs.add("stats", "how much there is", do_stats).add_argument("--namespace")
    prune = verbs.add("prune", "forget the weakest rows of a namespace over budget", do_prune)
    prune.add_argument("namespace")
    prune.add_argument("--rows-max", type=int, default=services.ROWS_MAX)
    prune.add_argument("--dry-run", action="store_true")


def do_stats(say: Speech, options: Options) -> None:
    namespace = options["namespace"]
    found = {**services.stats(namespace), **services.figures(namespace)}
    if namespace and not found["by"]:
        known = services.stats()["namespaces"]
        raise NoSuchName(kind="namespace", name=namespace, names=known[:11])
    if say.as_json:
        say.emit(found)
        return
    columns = ("namespace", "layer", "state", "level", "rows", "bytes")
    say.show(columns, ([row[c] for c in columns] for row in found.pop("by")))
    say.show(("figure", "value"), ((name, _plain(value)) for name, value in found.items()))


def do_prune(say: Speech, options: Options) -> None:
    report = services.prune(
        options["namespace"], rows_max=options["rows_max"], dry_run=options["dry_run"]
    )
    verb = "would be forgotten" if report.dry_run else "forgotten"
    text = f"{report.namespace}: {len(report.pruned)} of {report.live} live rows {verb}"
    say.answer(asdict(report), text)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
