"""`brief GOAL`: what a person needs to know after three days away."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, spent
from orchestration.management.commands.goals import goal_id
from orchestration.services.recap import recap


class Command(Base):
    help = "A goal in a few lines: done, pending, in doubt, decided, spent, and what waits for you."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("goal")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        found = recap(goal_id(options["goal"]))
        self.emit(found, as_json=options["json"], text="\n".join(_lines(found)))


def _decided(d: dict[str, Any]) -> str:
    about = f" about {d['task']}" if d["task"] else ""
    named = f" {json.dumps(d['payload'])}" if d["payload"] else ""
    reason = f": {d['reason']}" if d["reason"] else ""
    said = f"{d['person']} said {d['decision']}{named}"
    return f"decided: approval-{d['approval']} ({d['kind']}{about}): {said}{reason}"


def _lines(r: dict[str, Any]) -> list[str]:
    lines = [f"goal-{r['id']}: {r['objective']}", r["sentence"]]
    lines += [f"a fork of goal-{r['forked_from']}"] * bool(r["forked_from"])
    lines.append(f"done: {r['done']['count']}  pending: {r['pending']['count']}")
    lines += [f"failed: {f['key']}: {f['reason']}" for f in r["failed"]]
    lines += [f"running: {t['key']} ({t['agent']}) {t['note']}" for t in r["running"]]
    lines += [f"in doubt: {e['key']} ({e['kind']})" for e in r["in_doubt"]]
    lines += [_decided(d) for d in r["decided"]]
    lines += [f"{a['person']} {a['what']}{a['reason'] and ': ' + a['reason']}" for a in r["acted"]]
    lines += [f"directive by {d['author']}: {d['text']}" for d in r["directives"]]
    lines += [
        f"proposals: {', '.join(f'{n} {s}' for s, n in sorted(r['proposals'].items()))}"
    ] * bool(r["proposals"])
    lines += [f"waits for you: inbox show {a['id']}: {a['question']}" for a in r["waits_for_you"]]
    lines.append(f"spent: {spent(r['spent'])}")
    return lines
