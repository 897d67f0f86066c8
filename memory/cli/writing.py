"""`memory add|correct|pin|unpin|forget`: what a person writes, keeps and takes away."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import Any

from agentsys.kernel.errors import BadInput
from memory import services
from memory.cli.verbs import Options, Speech, Verbs, memory_id
from memory.models import LAYERS, TRUST
from memory.store import TEXT_MAX

DEFAULT_NAMESPACE = "project-1"
IDS_SHOWN = 20


def register(verbs: Verbs) -> None:
    add = verbs.add("add", "remember a text", do_add)
    add.add_argument("text")
    add.add_argument("--namespace", default=DEFAULT_NAMESPACE, help=f"default: {DEFAULT_NAMESPACE}")
    add.add_argument("--layer", choices=LAYERS, default="semantic")
    add.add_argument("--kind", default="note", help="such as fact, preference or decision")
    add.add_argument("--trust", choices=TRUST, default="unverified")
    add.add_argument("--pin", action="store_true")
    correct = verbs.add(
        "correct", "what is right instead: a newer version, the older stays", do_correct
    )
    correct.add_argument("id", help="31 or memory-31")
    correct.add_argument("text")
    correct.add_argument("--trust", choices=TRUST, help="default: that of the older version")
    verbs.add("pin", "never prune it", do_pin).add_argument("id")
    verbs.add("unpin", "treat it like others", do_unpin).add_argument("id")
    text = "remove a memory's text, or all about a subject, for good; tombstones stay"
    forget = verbs.add("forget", text, do_forget)
    forget.add_argument("id", nargs="?", help="31 or memory-31")
    forget.add_argument("--subject", help="a name: everything about it in --namespace, with proof")
    forget.add_argument("--namespace", help="of the subject")
    forget.add_argument("--reason", required=True)
    forget.add_argument("--dry-run", action="store_true", help="of a subject: say what would go")
    forget.add_argument("--yes-all", action="store_true", help="of a subject: even if it is much")


def do_add(say: Speech, options: Options) -> None:
    _check_length(options["text"])
    row_id = services.remember(
        options["namespace"],
        options["layer"],
        options["text"],
        kind=options["kind"],
        actor=getpass.getuser(),
        trust=options["trust"],
        provenance={"source": "command line"},
        pinned=options["pin"],
    )
    if not row_id:
        problem = f"`{options['text']}` says nothing worth a row; say more"
        raise BadInput(what="text", problems=[problem])
    row = next(version for version in services.history(row_id) if version["id"] == row_id)
    there = row["access_count"] > 0  # what is said again is counted on the row that says it
    say.answer({"id": row_id, "was_there": there}, f"memory-{row_id}")
    if there:
        who = f" by {row['actor']}" if row["actor"] else ""
        say.note(f"it was there already: a {row['kind']}{who}, {row['trust']}; that stays")


def do_correct(say: Speech, options: Options) -> None:
    _check_length(options["text"])
    old_id = memory_id(options["id"])
    new_id = services.supersede(
        old_id,
        options["text"],
        actor=getpass.getuser(),
        trust=options["trust"],
        provenance={"source": "command line"},
    )
    done = f"holds instead of memory-{old_id}" if new_id != old_id else "says that already"
    say.answer({"id": new_id, "corrected": old_id}, f"memory-{new_id} {done}")


def _check_length(text: str) -> None:
    length = len(text.strip())
    if length > TEXT_MAX:
        problem = f"it has {length:,} characters, at most {TEXT_MAX:,} are kept; add it in parts"
        raise BadInput(what="text", problems=[problem])


def do_pin(say: Speech, options: Options) -> None:
    row_id = memory_id(options["id"])
    services.pin(row_id, by=getpass.getuser())
    say.answer({"id": row_id, "pinned": True}, f"memory-{row_id} pinned")


def do_unpin(say: Speech, options: Options) -> None:
    row_id = memory_id(options["id"])
    services.unpin(row_id, by=getpass.getuser())
    say.answer({"id": row_id, "pinned": False}, f"memory-{row_id} unpinned")


def do_forget(say: Speech, options: Options) -> None:
    if (options["id"] is None) == (options["subject"] is None):
        raise BadInput(what="forget", problems=["give either a memory's id or --subject NAME"])
    if options["subject"] is not None:
        _forget_subject(say, options)
        return
    for flag in ("dry_run", "yes_all"):
        if options[flag]:
            problem = f"--{flag.replace('_', '-')} goes with --subject"
            raise BadInput(what="forget", problems=[problem])
    row_id = memory_id(options["id"])
    services.forget(row_id, getpass.getuser(), options["reason"])
    say.answer({"id": row_id, "state": "gone"}, f"memory-{row_id} forgotten")


def _forget_subject(say: Speech, options: Options) -> None:
    if not options["namespace"]:
        raise BadInput(what="forget", problems=["--subject needs --namespace"])
    proof = services.forget_subject(
        options["namespace"],
        options["subject"],
        by=getpass.getuser(),
        reason=options["reason"],
        dry_run=options["dry_run"],
        yes_all=options["yes_all"],
    )
    if say.as_json:
        say.emit(asdict(proof))
        return
    say.show(
        ("figure", "value"), ((k, _brief(v)) for k, v in asdict(proof).items() if v is not None)
    )
    if proof.dry_run:
        say.note("nothing was changed; this is what would go")
    elif proof.left:
        say.note(
            "what is left has the letters of the name, in other words or spellings: look at each"
        )


def _brief(value: Any) -> str:
    """The first of many ids; --json has all."""
    if not isinstance(value, tuple):
        return str(value)
    more = f" … and {len(value) - IDS_SHOWN} more" if len(value) > IDS_SHOWN else ""
    return (", ".join(map(str, value[:IDS_SHOWN])) or "none") + more
