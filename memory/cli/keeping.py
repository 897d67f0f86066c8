"""`memory stats`: how much there is."""

from __future__ import annotations

import json
from typing import Any

from agentsys.kernel.errors import NoSuchName
from memory import services
from memory.cli.verbs import Options, Speech, Verbs


def register(verbs: Verbs) -> None:
    verbs.add("stats", "how much there is", do_stats).add_argument("--namespace")


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


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
