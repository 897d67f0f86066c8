"""`memory add|pin|unpin|forget`: what a person writes, keeps and takes away."""

from __future__ import annotations

import getpass

from agentsys.kernel.errors import BadInput
from memory import services
from memory.cli.verbs import Options, Speech, Verbs, memory_id
from memory.models import LAYERS, TRUST

DEFAULT_NAMESPACE = "project-1"


def register(verbs: Verbs) -> None:
    add = verbs.add("add", "remember a text", do_add)
    add.add_argument("text")
    add.add_argument("--namespace", default=DEFAULT_NAMESPACE)
    add.add_argument("--layer", choices=LAYERS, default="semantic")
    add.add_argument("--kind", default="note", help="such as fact, preference or decision")
    add.add_argument("--trust", choices=TRUST, default="unverified")
    add.add_argument("--pin", action="store_true")
    verbs.add("pin", "never prune it", do_pin).add_argument("id")
    verbs.add("unpin", "treat it like others", do_unpin).add_argument("id")
    forget = verbs.add("forget", "remove a memory's text for good; a tombstone stays", do_forget)
    forget.add_argument("id")
    forget.add_argument("--reason", required=True)


def do_add(say: Speech, options: Options) -> None:
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
    say.answer({"id": row_id}, f"memory-{row_id}")


def do_pin(say: Speech, options: Options) -> None:
    row_id = memory_id(options["id"])
    services.pin(row_id)
    say.answer({"id": row_id, "pinned": True}, f"memory-{row_id} pinned")


def do_unpin(say: Speech, options: Options) -> None:
    row_id = memory_id(options["id"])
    services.unpin(row_id)
    say.answer({"id": row_id, "pinned": False}, f"memory-{row_id} unpinned")


def do_forget(say: Speech, options: Options) -> None:
    row_id = memory_id(options["id"])
    services.forget(row_id, getpass.getuser(), options["reason"])
    say.answer({"id": row_id, "state": "gone"}, f"memory-{row_id} forgotten")
