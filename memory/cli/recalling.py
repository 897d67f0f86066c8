"""`memory search|show|history`: what a task would be told for some words, and what a memory has been."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import utc
from memory import services
from memory.cli.verbs import Options, Speech, Verbs, cell, memory_id, short
from memory.domain.dates import EXPECTED, span_problems, when
from memory.models import LAYERS

TIMES = ("since", "until", "as_of")


def register(verbs: Verbs) -> None:
    search = verbs.add("search", "what a task would be told for some words", do_search)
    search.add_argument("query")
    search.add_argument("--namespace", action="append", help="such as project-1; default: all")
    search.add_argument("--layer", action="append", choices=LAYERS)
    search.add_argument("--actor", help="only what this actor said")
    add_times(search)
    search.add_argument("-k", type=int, default=10, help="at most this many; default: 10")
    search.add_argument("--budget", type=int, default=4000, help="tokens at most; default: 4000")
    search.add_argument(
        "--explain", action="store_true", help="each signal's share of the score, and versions"
    )
    show = verbs.add("show", "a memory: all that is known of it", do_show)
    show.add_argument("id", help="31 or memory-31")
    history = verbs.add("history", "what a memory said when, and what befell it", do_history)
    history.add_argument("id", help="31 or memory-31")


def add_times(parser: CommandParser) -> None:
    parser.add_argument("--since", metavar="TIME", help="what happened from then on")
    parser.add_argument("--until", metavar="TIME", help="what happened before then")
    parser.add_argument("--as-of", metavar="TIME", help="what held then, not what holds now")


def times_of(options: Options) -> dict[str, Any]:
    """The options' times, read. BadInput with every one that is none."""
    now = datetime.now(UTC)
    read = {name: when(options[name], now) if options[name] else None for name in TIMES}
    problems = [
        f"--{name.replace('_', '-')} is `{options[name]}`; expected {EXPECTED}"
        for name in TIMES
        if options[name] and read[name] is None
    ]
    problems = problems or span_problems(read["since"], read["until"], read["as_of"], now)
    if problems:
        raise BadInput(what="search", problems=problems)
    return read


def do_search(say: Speech, options: Options) -> None:
    if not options["query"].strip():
        raise BadInput(what="query", problems=["it is empty; give some words to look for"])
    for name, value in (("-k", options["k"]), ("--budget", options["budget"])):
        if value < 1:
            raise BadInput(what="search", problems=[f"{name} is {value}; expected 1 or more"])
    given = [services.namespace_named(name) for name in options["namespace"] or ()]
    namespaces = given or services.stats()["namespaces"]
    actor = options["actor"]
    found = services.recall(
        namespaces,
        options["query"],
        k=options["k"],
        layers=options["layer"],
        budget_tokens=options["budget"],
        actor=services.actor_named(actor, namespaces) if actor else None,
        explain=True,
        **times_of(options),
    )
    if say.as_json:
        say.emit([asdict(hit) for hit in found])
    elif not found:
        say.note("nothing found; `memory stats` shows what there is")
    elif options["explain"]:
        for hit in found:
            say.lines(_explained(hit))
    else:
        _listed(say, found, several=len(set(namespaces)) > 1)


def _listed(say: Speech, found: Sequence[services.Recalled], *, several: bool) -> None:
    """With a column that tells namespaces apart where several were searched, and one that says what is
    out of date or contradicted where something is."""
    place = ("namespace",) if several else ()
    standing = ("standing",) if any(hit.standing for hit in found) else ()
    columns = ("id", "score", *place, "layer", "trust", "text", *standing, "source")
    rows = (
        {
            **asdict(hit),
            "score": f"{hit.score:+.2f}",
            "text": short(hit.text),
            "standing": "; ".join(hit.standing),
        }
        for hit in found
    )
    say.show(columns, ([row[name] for name in columns] for row in rows))


def _explained(hit: services.Recalled) -> Iterator[str]:
    mark = ", pinned" if hit.pinned else ""
    yield f"memory-{hit.id}  {hit.score:+.2f}  {hit.namespace} {hit.layer} {hit.kind}{mark}"
    yield f"  {short(hit.text)}"
    for name, share in sorted(hit.signals.items(), key=lambda pair: -abs(pair[1])):
        yield f"  {share:+7.3f}  {name}"
    yield f"  {hit.trust}, {utc(hit.occurred_at)}, from {hit.source or 'nowhere named'}"
    for standing in hit.standing:
        yield f"  {standing}"
    for text in hit.superseded:
        yield f"  before: {short(text)}"


def do_show(say: Speech, options: Options) -> None:
    wanted = memory_id(options["id"])
    versions = services.history(wanted)
    if say.as_json:
        say.emit(versions)
        return
    row = next(version for version in versions if version["id"] == wanted)
    say.show(("field", "value"), ((name, cell(value)) for name, value in row.items()))
    if len(versions) > 1:
        others = ", ".join(f"memory-{v['id']}" for v in versions if v["id"] != wanted)
        say.note(f"other versions: {others}; `memory history {wanted}` has them")


def do_history(say: Speech, options: Options) -> None:
    wanted = memory_id(options["id"])
    versions = services.history(wanted)
    events = services.events_of(versions)
    if say.as_json:
        say.emit({"id": wanted, "versions": versions, "events": events})
        return
    columns = ("id", "state", "trust", "valid_from", "valid_to", "actor", "text", "provenance")
    say.show(columns, ([_cell(row, c) for c in columns] for row in versions))
    say.note("what befell it:")
    say.show(("at", "memory", "what", "by", "why"), (list(e.values()) for e in events))


def _cell(row: Mapping[str, Any], column: str) -> Any:
    return short(row[column]) if column == "text" else cell(row[column])
