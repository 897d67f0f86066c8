"""`memory eval|bench`: how well recall finds what questions need on a public data set, and how fast."""

from __future__ import annotations

from pathlib import Path

from django.core.management import call_command

from agentsys.kernel.errors import BadInput
from memory.bench import Sizes, bench
from memory.cli.verbs import Options, Speech, Verbs, cell
from memory.evaluating.running import HARNESSES, evaluate


def register(verbs: Verbs) -> None:
    text = "how well recall finds what questions need, on a public data set"
    measured = verbs.add("eval", text, do_eval)
    measured.add_argument("--harness", choices=sorted(HARNESSES), required=True)
    measured.add_argument(
        "--data", required=True, type=Path, help="LoCoMo's locomo10.json, or BEAM's chats/100K"
    )
    measured.add_argument("--keep", type=float, help="after pruning to a share, such as 0.5")
    measured.add_argument("--digests", action="store_true", help="with digests written")
    measured.add_argument("--limit", type=int, help="only so many conversations")

    timed = verbs.add(
        "bench", "how fast recall is among many memories; empties its database", do_bench
    )
    for name, default in (("rows", 1_000_000), ("scope", 10_000), ("questions", 200), ("seed", 1)):
        timed.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    timed.add_argument(
        "--keep", action="store_true", help="ask the memories of the last time again"
    )


def do_bench(say: Speech, options: Options) -> None:
    call_command("migrate", verbosity=0)  # it may have a database of its own, just made
    sizes = Sizes(options["rows"], options["scope"], options["questions"])
    found = bench(sizes, seed=options["seed"], keep=options["keep"], tell=say.note)
    if say.as_json:
        say.emit(found)
    else:
        say.show(("figure", "value"), ((name, cell(value)) for name, value in found.items()))


def do_eval(say: Speech, options: Options) -> None:
    if not options["data"].exists():
        problem = f"there is nothing at {options['data']}; docs/memory.md says where the sets are"
        raise BadInput(what="--data", problems=[problem])
    found = evaluate(
        options["harness"],
        options["data"],
        limit=options["limit"],
        keep=options["keep"],
        digests=options["digests"],
        tell=say.note,
    )
    if say.as_json:
        say.emit(found)
        return
    rows = {"overall": found["overall"], **found["categories"]}
    columns = ("questions", "R@5", "R@10", "R@20", "MRR")
    say.show(("", *columns), ((name, *(row[c] for c in columns)) for name, row in rows.items()))
    for part in ("newest_marked_current", "contradictions_flagged"):
        if part in found:
            signs = (f"{name.replace('_', ' ')} {value}" for name, value in found[part].items())
            say.note(f"{part.replace('_', ' ')}: {', '.join(signs)}")
    say.note(f"marked as outdated: {found['hits_marked_outdated']} % of the first ten hits")
    taken = found["milliseconds_a_question"]
    say.note(
        f"{found['memories']} memories, {found['adds_per_second']} a second;"
        f" a question took {taken['p50']} ms (p95 {taken['p95']})"
    )
