"""`memory playbooks [show|use|retire]`: procedures, how each has done, and what is in force."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentsys.kernel.errors import BadInput, NotFound
from memory import services
from memory.cli.verbs import Options, Speech, Verbs

ACTIONS = ("list", "show", "use", "retire")
COLUMNS = (
    "id", "name", "version", "namespace", "origin", "state", "verified", "successes", "failures",
    "wilson", "steps", "note",
)  # fmt: skip


def register(verbs: Verbs) -> None:
    parser = verbs.add("playbooks", "procedures and how they did", do_playbooks)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "list            what there is, the most proven first\n"
        "show NAME       its versions, what they do, and every goal that used them\n"
        "use NAME        a person puts a version in force: goals are planned by it\n"
        "retire NAME     it is not found any more; its record stays (--reason)"
    )
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list")
    parser.add_argument("name", nargs="?", help="of a playbook")
    parser.add_argument("--namespace", default="", help="such as project-1; default: shared ones")
    parser.add_argument("--version", dest="playbook_version", type=int, help="default: the newest")
    parser.add_argument("--reason", default="")


def do_playbooks(say: Speech, options: Options) -> None:
    action, name = options["action"], options["name"]
    if action != "list" and not name:
        problem = f"`playbooks {action}` needs a name; `memory playbooks` lists them"
        raise BadInput(what="playbooks", problems=[problem])
    act = {"list": _list, "show": _show, "use": _use, "retire": _retire}[action]
    act(say, options)


def _list(say: Speech, options: Options) -> None:
    views = services.playbooks(options["namespace"])
    if say.as_json:
        say.emit([document(view) for view in views])
    else:
        _table(say, views)


def _show(say: Speech, options: Options) -> None:
    views = _versions(options)
    if say.as_json:
        say.emit([{**document(v), "uses": services.playbook_uses(v.id)} for v in views])
        return
    _table(say, views)
    columns = ("goal_id", "success", "steps", "at", "trigger", "lessons")
    uses = [(v.version, use) for v in views for use in services.playbook_uses(v.id)]
    say.note("goals, the latest first:")
    say.show(("version", *columns), ((n, *(use[c] for c in columns)) for n, use in uses))


def _use(say: Speech, options: Options) -> None:
    view = _one(options)
    done = services.playbook_activate(view.id, by=getpass.getuser(), reason=options["reason"])
    say.answer(document(done), f"{done.name} version {done.version} is in force")


def _retire(say: Speech, options: Options) -> None:
    view = _one(options)
    done = services.playbook_retire(view.id, by=getpass.getuser(), reason=options["reason"])
    say.answer(document(done), f"{done.name} version {done.version} is retired")


def _versions(options: Options) -> list[services.PlaybookView]:
    views = services.playbook_versions(options["name"], options["namespace"])
    wanted = options["playbook_version"]
    views = [v for v in views if wanted is None or v.version == wanted]
    if not views:
        listing = f"memory playbooks --namespace {options['namespace'] or 'project-1'}"
        raise NotFound(kind="playbook", id=_called(options), listing=listing)
    return views


def _called(options: Options) -> str:
    wanted = options["playbook_version"]
    return options["name"] if wanted is None else f"{options['name']} version {wanted}"


def _one(options: Options) -> services.PlaybookView:
    """The version that was named, else the newest of the namespace asked for."""
    return _versions(options)[0]


def document(view: services.PlaybookView) -> dict[str, Any]:
    return {**asdict(view), "evidence": view.evidence, "failing": view.failing}


def _table(say: Speech, views: list[services.PlaybookView]) -> None:
    rows: list[Mapping[str, Any]] = [{**asdict(v), "wilson": f"{v.wilson:.2f}"} for v in views]
    say.show(COLUMNS, ([row[c] for c in COLUMNS] for row in rows))
