"""`memory search|show`: what a task would be told for some words, and what a memory has been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from agentsys.kernel.errors import BadInput
from memory import services
from memory.cli.verbs import Options, Speech, Verbs, memory_id, short
from memory.models import LAYERS


def register(verbs: Verbs) -> None:
    search = verbs.add("search", "what a task would be told for some words", do_search)
    search.add_argument("query")
    search.add_argument("--namespace", action="append", help="such as project-1; default: all")
    search.add_argument("--layer", action="append", choices=LAYERS)
    search.add_argument("--actor", help="only what this actor said")
    search.add_argument("-k", type=int, default=10, help="at most this many")
    search.add_argument("--budget", type=int, default=4000, help="tokens at most")
    show = verbs.add("show", "a memory and all its versions", do_show)
    show.add_argument("id", help="31 or memory-31")


def do_search(say: Speech, options: Options) -> None:
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
    if say.as_json:
        say.emit([asdict(hit) for hit in found])
        return
    if not found:
        say.note("nothing found; `memory stats` shows what there is")
        return
    rows = (
        (h.id, f"{h.score:+.2f}", _signals(h.signals), h.layer, h.trust, short(h.text), h.source)
        for h in found
    )
    say.show(("id", "score", "why", "layer", "trust", "text", "source"), rows)


def do_show(say: Speech, options: Options) -> None:
    versions = services.history(memory_id(options["id"]))
    if say.as_json:
        say.emit(versions)
        return
    columns = ("id", "state", "trust", "valid_from", "valid_to", "text", "provenance")
    say.show(columns, ([row[c] for c in columns] for row in versions))


def _signals(signals: Mapping[str, float]) -> str:
    return " ".join(f"{name} {share:+.2f}" for name, share in signals.items())
