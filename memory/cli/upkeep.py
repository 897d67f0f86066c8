"""`memory maintain|prune|consolidate|audit|simulate`: what keeps memory in shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from agentsys.kernel.errors import AgentsysError, BadInput
from memory import services
from memory.cli.verbs import Options, Speech, Verbs
from memory.domain.dates import EXPECTED, when
from memory.simulation.running import BoundsNotKept, Plan, simulate

SHOWN_MAX = 50  # rows of a table; `--json` has all


class NotKeptUp(AgentsysError):
    code = "not-kept-up"
    template = (
        "{failed} namespaces could not be kept up; the log says why, and the next time tries again"
    )


def register(verbs: Verbs) -> None:
    verbs.add("maintain", "all that is done every hour, now", do_maintain)
    prune = verbs.add("prune", "turn what is worth least cold in a namespace over budget", do_prune)
    prune.add_argument("namespace")
    prune.add_argument("--rows-max", type=int, help="default: AGENTSYS_MEMORY_ROWS_MAX")
    prune.add_argument("--bytes-max", type=int, help="default: AGENTSYS_MEMORY_BYTES_MAX")
    prune.add_argument("--dry-run", action="store_true", help="say what would move, and why")
    text = "write the digests of sessions, days, weeks and months that are over"
    digests = verbs.add("consolidate", text, do_consolidate)
    digests.add_argument("--namespace", help="default: all")
    digests.add_argument("--until", help="as if it were then, such as 2026-01-31; default: now")
    digests.add_argument("--dry-run", action="store_true")
    text = "duplicates, recall loops, stale facts, orphans, rows that search lacks"
    verbs.add("audit", text, do_audit).add_argument("--namespace", help="default: all")
    simulated = verbs.add(
        "simulate", "weeks of events against a budget, with a stepped clock", do_simulate
    )
    simulated.add_argument("--days", type=int, default=30)
    simulated.add_argument("--events", type=int, default=20_000, help="a day")
    simulated.add_argument("--seed", type=int, default=1)
    simulated.add_argument("--rows-max", type=int, default=50_000)
    simulated.add_argument("--bytes-max", type=int, default=100_000_000)
    simulated.add_argument("--kills", type=int, default=50, help="kill -9 in mid-consolidation")
    simulated.add_argument("--output", type=Path, help="the figures as a markdown file")


def do_maintain(say: Speech, _options: Options) -> None:
    done = services.maintain(tell=say.note)
    if say.as_json:
        say.emit(done)
    else:
        say.show(("figure", "value"), done.items())
    if done["failed"]:
        raise NotKeptUp(failed=done["failed"])


def do_prune(say: Speech, options: Options) -> None:
    report = services.prune(
        services.namespace_named(options["namespace"]),
        rows_max=options["rows_max"],
        bytes_max=options["bytes_max"],
        dry_run=options["dry_run"],
    )
    if report.dry_run and report.pruned and not say.as_json:
        moves = report.pruned[:SHOWN_MAX]
        say.show(("id", "to", "why"), ((move.id, move.state, move.reason) for move in moves))
    verb = "would move" if report.dry_run else "moved"
    held = f"{report.live} live rows, {report.bytes} bytes"
    say.answer(asdict(report), f"{report.namespace}: {len(report.pruned)} {verb} of {held}")
    if report.spared and not say.as_json:
        say.note(
            "nothing more may move: what is left is pinned, a procedure, a digest in use or not a day old"
        )


def do_consolidate(say: Speech, options: Options) -> None:
    until, dry_run = _moment(options["until"]), options["dry_run"]
    done = [
        services.consolidate(name, until=until, dry_run=dry_run, tell=say.note)
        for name in _namespaces(options)
    ]
    if say.as_json:
        say.emit([asdict(one) for one in done])
        return
    columns = ("id", "level", "period", "parts", "words", "method", "refused")
    rows = [[asdict(d)[c] for c in columns] for one in done for d in one.written]
    say.show(columns, rows[:SHOWN_MAX])
    say.note(f"{len(rows)} digests {'would be written' if dry_run else 'written'}")


def do_audit(say: Speech, options: Options) -> None:
    found = [services.audit(name) for name in _namespaces(options)]
    if say.as_json:
        say.emit([asdict(one) for one in found])
        return
    rows = (
        (one.namespace, f.what, f.rows, f"{100 * f.share:.2f} %", _ids(f.ids))
        for one in found
        for f in one.findings
    )
    say.show(("namespace", "what", "rows", "of live", "ids"), rows)


def do_simulate(say: Speech, options: Options) -> None:
    names = ("days", "events", "seed", "rows_max", "bytes_max", "kills")
    plan = Plan(**{name: options[name] for name in names})
    low = [f"{n} is {options[n]}; expected 1 or more" for n in names[:2] if options[n] < 1]
    if low:
        raise BadInput(what="simulate", problems=low)
    found = simulate(plan, tell=say.note)
    if options["output"]:
        options["output"].write_text(found.markdown(), encoding="utf-8")
    if say.as_json:
        say.emit(asdict(found))
    else:
        say.show(("figure", "value"), found.figures())
    if found.problems:
        raise BoundsNotKept(problems="; ".join(found.problems))


def _namespaces(options: Options) -> Sequence[str]:
    name = options["namespace"]
    return [services.namespace_named(name)] if name else services.stats()["namespaces"]


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    given = when(text, datetime.now(UTC))
    if given is None:
        raise BadInput(what="--until", problems=[f"it is `{text}`; expected {EXPECTED}"])
    return given


def _ids(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids[:10])) + (" …" if len(ids) > 10 else "")
