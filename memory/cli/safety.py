"""`memory quarantine|rollback|judge`: what waits for a person, taking a batch back, a model's opinion."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from datetime import UTC, datetime

from agentsys.kernel.errors import BadInput
from agentsys.kernel.ids import parse_ref
from memory import services
from memory.cli.verbs import Options, Speech, Verbs, memory_id, short
from memory.domain.dates import EXPECTED, when


def register(verbs: Verbs) -> None:
    waiting = verbs.add("quarantine", "what waits: list, release or reject it", do_quarantine)
    waiting.add_argument("action", choices=("list", "release", "reject"))
    waiting.add_argument("ids", nargs="*", metavar="ID", help="31 or memory-31, not for a list")
    waiting.add_argument("--namespace", help="of a list; default: all")
    waiting.add_argument("--reason", default="", help="needed to release and to reject")
    back = verbs.add(
        "rollback", "take back all that a batch, a goal or an actor wrote", do_rollback
    )
    back.add_argument("--namespace", required=True, help="such as project-1")
    back.add_argument("--batch", help="such as attempt-12 or import-3")
    back.add_argument("--goal", help="goal-3 or 3")
    back.add_argument("--actor")
    back.add_argument("--since", metavar="TIME", help="only what was written since then")
    back.add_argument("--reason", required=True)
    back.add_argument("--dry-run", action="store_true")
    judge = verbs.add("judge", "ask the model what a memory refines or contradicts", do_judge)
    judge.add_argument("id", help="31 or memory-31")


def do_quarantine(say: Speech, options: Options) -> None:
    if options["action"] == "list":
        _waiting(say, options["namespace"])
        return
    if not options["ids"]:
        raise BadInput(what="ids", problems=[f"say what to {options['action']}: memory-31"])
    ids = [memory_id(one) for one in options["ids"]]
    by, reason = getpass.getuser(), options["reason"]
    if options["action"] == "release":
        verb, done = "released", services.quarantine_release_all(ids, by=by, reason=reason)
    else:
        services.quarantine_reject_all(ids, by=by, reason=reason)
        verb, done = "rejected", list(dict.fromkeys(ids))
    if say.as_json:
        say.emit({verb: done})
    else:
        say.lines(f"memory-{one} {verb}" for one in done)


def _waiting(say: Speech, namespace: str | None) -> None:
    rows = services.quarantine_list(services.namespace_named(namespace) if namespace else None)
    if say.as_json:
        say.emit(rows)
        return
    if not rows:
        say.note("nothing waits")
        return
    columns = ("id", "namespace", "actor", "trust", "batch", "why")
    say.show((*columns, "text"), ([*(row[c] for c in columns), short(row["text"])] for row in rows))


def do_rollback(say: Speech, options: Options) -> None:
    goal = parse_ref(options["goal"], default="goal").id if options["goal"] else None
    batch = services.Batch(
        options["namespace"],
        batch=options["batch"],
        goal=goal,
        actor=options["actor"],
        since=_moment(options["since"]),
    )
    report = services.rollback(
        services.batch_named(batch),
        by=getpass.getuser(),
        reason=options["reason"],
        dry_run=options["dry_run"],
    )
    if say.as_json:
        say.emit(asdict(report))
        return
    verb = "would be taken back" if report.dry_run else "taken back"
    say.lines(
        (
            f"{report.namespace}: {len(report.taken)} memories {verb}, with {len(report.digests)}"
            f" digests made from them; {len(report.reopened)} hold again",
            f"what holds: {report.hash_before[:12]} → {report.hash_after[:12]}",
        )
    )
    if report.pinned:
        named = ", ".join(f"memory-{one}" for one in report.pinned)
        say.note(f"pinned, and pinned again once it is released: {named}")


def _moment(text: str | None) -> datetime | None:
    moment = when(text, datetime.now(UTC)) if text else None
    if text and moment is None:
        raise BadInput(what="rollback", problems=[f"--since is `{text}`; expected {EXPECTED}"])
    return moment


def do_judge(say: Speech, options: Options) -> None:
    links = services.judge(memory_id(options["id"]))
    if say.as_json:
        fields = ("kind", "older_id", "newer_id", "older_quote", "newer_quote", "reason")
        say.emit([{name: getattr(link, name) for name in fields} for link in links])
        return
    if not links:
        say.note("nothing that was not known")
    say.lines(
        f"memory-{link.newer_id} {link.kind} memory-{link.older_id}: "
        f"“{short(link.newer_quote)}” / “{short(link.older_quote)}”"
        for link in links
    )
