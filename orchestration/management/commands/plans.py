"""`plans show|validate|revise|add|playbooks|learned`."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import BadInput
from agentsys.kernel.ids import is_ref
from agentsys.kernel.wording import counted
from orchestration.cli.output import Command as Base
from orchestration.cli.output import actor, add_json, safe, table
from orchestration.cli.playbooks import (
    parameters_json,
    playbook_json,
    playbook_shown,
    verifiers,
)
from orchestration.cli.revising import add_dry_run, revision_text
from orchestration.management.commands.goals import goal_id, params_of, plan_of
from orchestration.planners import make_plan
from orchestration.planners.playbooks import playbook_find, playbooks_usable
from orchestration.services import reads
from orchestration.services.goals import namespace_of
from orchestration.services.learned import learned_list
from orchestration.services.planfile import plan_file
from orchestration.services.plans import plan_document
from orchestration.services.replan import Revision, plan_extend, plan_revise


class Command(Base):
    help = "Look at plans, and check them before they run."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        show = verbs.add_parser("show", help="a goal's plan, or a playbook: what it takes and does")
        show.add_argument("goal", help="a goal's id, such as 7, or a playbook's name")
        show.add_argument(
            "--project",
            default="default",
            help="whose playbook, where it has its own (default: default)",
        )
        one = show.add_mutually_exclusive_group()
        one.add_argument("--version", dest="plan_version", type=int)
        one.add_argument(
            "--file",
            action="store_true",
            help="the plan in force as a plan file, to edit and hand in with `plans revise`",
        )
        add_json(show)
        check = verbs.add_parser("validate", help="say what is wrong with a plan; writes nothing")
        check.add_argument("plan", nargs="?", help="a plan file, or -")
        check.add_argument("--playbook")
        check.add_argument("--param", action="append", default=[], metavar="K=V")
        add_json(check)
        revise = verbs.add_parser("revise", help="another plan for a goal; done work is kept")
        revise.add_argument("goal")
        revise.add_argument("plan", help="a plan file with all tasks, or -")
        revise.add_argument(
            "--base", type=int, help="the version that the file was made from; it must be in force"
        )
        add_dry_run(revise)
        add_json(revise)
        more = verbs.add_parser("add", help="more tasks for a running goal")
        more.add_argument("goal")
        given = more.add_mutually_exclusive_group(required=True)
        given.add_argument("plan", nargs="?", help="a plan file with the new tasks, or -")
        given.add_argument("--file", help="the same")
        add_dry_run(more)
        add_json(more)
        books = verbs.add_parser(
            "playbooks", help="those that ship, and those that projects learned"
        )
        books.add_argument("--project", help="what this project can use")
        add_json(books)
        learned = verbs.add_parser(
            "learned", help="playbooks that were learned from goals, for a person to review"
        )
        learned.add_argument("--project", help="of this project only")
        learned.add_argument("--all", action="store_true", help="decided ones too")
        add_json(learned)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"do_{verb}")(**options)

    def do_show(self, **options: Any) -> None:
        if not is_ref(options["goal"]):
            self._show_playbook(options)
            return
        if options["file"]:
            told = plan_file(goal_id(options["goal"]))
            self.emit(told.document, as_json=True)
            way = f"`plans revise {told.goal} FILE --base {told.version}` hands it in again"
            self.note(f"version {told.version} of the plan; {way}")
            return
        view = reads.plan_view(goal_id(options["goal"]), options["plan_version"])
        if options["json"]:
            self.emit(view, as_json=True)
            return
        columns = ("task", "agent", "needs", "verify")
        rows = (
            (t["key"], t["agent"], ", ".join(t["depends_on"]), verifiers(t.get("verify")))
            for t in view["tasks"]
        )
        self.show(
            safe(f"plan {view['version']} of goal-{view['goal']} by {view['planner']}"),
            safe(view["rationale"]),
            table(columns, rows),
        )

    def _show_playbook(self, options: dict[str, Any]) -> None:
        if options["file"] or options["plan_version"]:
            problem = f"--file and --version are of a goal's plan; `{options['goal']}` is no goal"
            raise BadInput(what="plans show", problems=[problem])
        playbook = playbook_find(options["goal"], namespace_of(options["project"]))
        if options["json"]:
            self.emit(playbook_json(playbook), as_json=True)
            return
        self.show(*playbook_shown(playbook))
        given = "".join(f" --param {p.name}=…" for p in playbook.parameters.values() if p.required)
        self.note(f"`goals submit --playbook {playbook.name}{given}` hands it in")

    def do_validate(self, **options: Any) -> None:
        try:
            draft = make_plan(
                objective="",
                document=None if options["playbook"] else plan_of(options["plan"] or "-"),
                playbook=options["playbook"],
                params=params_of(options["param"]),
            )
        except BadInput as error:
            if not options["json"]:
                raise
            self.emit({"valid": False, "problems": error.problems}, as_json=True)
            sys.exit(error.exit_code)
        self.emit(
            {"valid": True, **plan_document(draft)},
            as_json=options["json"],
            text=f"valid: {counted(len(draft.tasks), 'task')}",
        )

    def do_revise(self, **options: Any) -> None:
        goal = goal_id(options["goal"])
        document = plan_of(options["plan"])
        base = options["base"] or reads.plan_view(goal)["version"]
        told = plan_revise(
            goal, document, base_version=base, actor=actor(), preview=options["preview"]
        )
        self._revised(told, options)

    def do_add(self, **options: Any) -> None:
        goal = goal_id(options["goal"])
        document = plan_of(options["plan"] or options["file"])
        told = plan_extend(goal, document, actor=actor(), preview=options["preview"])
        self._revised(told, options)

    def _revised(self, revision: Revision, options: dict[str, Any]) -> None:
        self.emit(revision.to_json(), as_json=options["json"], text=revision_text(revision))

    def do_playbooks(self, **options: Any) -> None:
        data: list[dict[str, Any]] = [
            {
                "name": p.name,
                "from": source,
                "version": p.version,
                "description": p.description,
                "parameters": parameters_json(p),
            }
            for source, p in playbooks_usable(options["project"])
        ]
        if options["json"]:
            self.emit(data, as_json=True)
        else:
            columns = ("name", "from", "parameters", "description")
            rows = (
                (d["name"], d["from"], ", ".join(d["parameters"]), d["description"]) for d in data
            )
            self.show(table(columns, rows))
            self.note("`plans show NAME` has one with its tasks")

    def do_learned(self, **options: Any) -> None:
        rows = learned_list(options["project"], decided=options["all"])
        if options["json"]:
            self.emit(rows, as_json=True)
        elif rows:
            columns = ("approval", "project", "name", "parameters", "goals", "state", "reason")
            self.show(table(columns, (_learned_cells(row, columns) for row in rows)))
            self.note("`inbox show APPROVAL` has the playbook and its backtest")
        else:
            self.note("no learned playbook waits for a person")


def _learned_cells(row: dict[str, Any], columns: tuple[str, ...]) -> list[Any]:
    return [
        ", ".join(map(str, value)) if isinstance(value := row[name], list) else value
        for name in columns
    ]
