"""`memory stats|facts`: how much there is, and what is held to be so."""

from __future__ import annotations

from agentsys.kernel.errors import NoSuchName
from memory import services
from memory.cli.verbs import Options, Speech, Verbs, cell


def register(verbs: Verbs) -> None:
    verbs.add("stats", "how much there is", do_stats).add_argument("--namespace")
    facts = verbs.add("facts", "what is held to be so, and since when", do_facts)
    facts.add_argument("--namespace", help="default: all")
    facts.add_argument("--subject", help="only of this subject")
    facts.add_argument("--all", action="store_true", help="also what held once, or was taken back")


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
    say.show(("figure", "value"), ((name, cell(value)) for name, value in found.items()))


def do_facts(say: Speech, options: Options) -> None:
    name = options["namespace"]
    namespace = services.namespace_named(name) if name else None
    found = services.facts_of(namespace, subject=options["subject"], every=options["all"])
    if say.as_json:
        say.emit(found)
        return
    ended = ("valid_to", "retracted_at") if options["all"] else ()
    columns = ("namespace", "subject", "attribute", "value", "valid_from", *ended, "memory")
    say.show(columns, ([cell(row[c]) for c in columns] for row in found))
    if len(found) == services.FACTS_MAX:
        say.note(f"the newest {services.FACTS_MAX}; --namespace and --subject narrow it")
