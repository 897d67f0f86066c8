"""The goal's blackboard as tools: short notes by key that agents of one goal leave for one another.

A note keeps who wrote it and how far it may be believed: `untrusted` once its writer had read anything
that no person wrote, else `unverified`. Whoever reads one has read words of an agent: they are data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory import services as memory
from workers.contracts import Brief, Risk
from workers.policy import Provenance
from workers.tools.base import Tool, arguments

ORIGIN = "the blackboard"
KEY = {"type": "string", "minLength": 1, "maxLength": memory.BOARD_KEY_MAX}
NOTE = {"type": "string", "minLength": 1, "maxLength": memory.BOARD_TEXT_MAX}


def board_tools(brief: Brief) -> list[Tool]:
    return [_read(brief), _write(brief)]


def _read(brief: Brief) -> Tool:
    def call(args: Mapping[str, Any]) -> list[dict[str, str]]:
        return [
            {name: str(note[name]) for name in ("key", "text", "actor", "trust")}
            for note in memory.blackboard_get(brief.goal_id)
            if args.get("key") in (None, note["key"])
        ]

    return Tool(
        "read_board",
        "Notes that the agents of this goal left for one another; `key` asks for one.",
        arguments({}, key=KEY),
        call,
        origin=ORIGIN,
    )


def _write(brief: Brief) -> Tool:
    read: list[Provenance] = []

    def call(args: Mapping[str, Any]) -> str:
        clean = bool(read) and not read[-1].from_elsewhere
        trust = "unverified" if clean else "untrusted"
        writer = f"{brief.agent} at {brief.key}"
        memory.blackboard_put(
            brief.goal_id,
            args["key"],
            args["text"],
            actor=writer,
            trust=trust,
            task_id=brief.task_id,
            lineage=brief.lineage,
        )
        return f"stands there as {trust}"

    return Tool(
        "write_board",
        "Leave a note for the other agents of this goal; a newer note under a key replaces the older.",
        arguments({"key": KEY, "text": NOTE}),
        call,
        Risk.WRITE,
        origin=ORIGIN,
        attached=read.append,
    )
