"""`plans show|validate|playbooks`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, table
from orchestration.management.commands.goals import goal_id, params_of, plan_of
from orchestration.planners import make_plan
from orchestration.planners.playbooks import playbook_files, playbook_find
from orchestration.services import reads
from orchestration.services.plans import plan_document


class Command(Base):
    help = "Look at plans, and check them before they run."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        show = verbs.add_parser("show", help="a goal's plan")
        show.add_argument("goal")
        show.add_argument("--version", dest="plan_version", type=int)
        add_json(show)
        check = verbs.add_parser("validate", help="say what is wrong with a plan; writes nothing")
        check.add_argument("plan", nargs="?", help="a plan file, or -")
        check.add_argument("--playbook")
        check.add_argument("--param", action="append", default=[], metavar="K=V")
        add_json(check)
        books = verbs.add_parser("playbooks", help="the playbooks that ship with the project")
        add_json(books)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"do_{verb}")(**options)

    def do_show(self, **options: Any) -> None:
        view = reads.plan_view(goal_id(options["goal"]), options["plan_version"])
        if options["json"]:
            self.emit(view, as_json=True)
            return
        rows = ((t["key"], t.get("depends_on", [])) for t in view["document"]["tasks"])
        self.show(
            f"plan {view['version']} of goal-{view['goal']} by {view['planner']}: {view['rationale']}",
            table(("task", "needs"), ((key, ", ".join(needs)) for key, needs in rows)),
        )

    def do_validate(self, **options: Any) -> None:
        document = None if options["playbook"] else plan_of(options["plan"] or "-")
        draft = make_plan(
            objective="",
            document=document,
            playbook=options["playbook"],
            params=params_of(options["param"]),
        )
        self.emit(
            {"valid": True, **plan_document(draft)},
            as_json=options["json"],
            text=f"valid: {len(draft.tasks)} tasks",
        )

    def do_playbooks(self, **options: Any) -> None:
        found = [playbook_find(name) for name, _ in playbook_files()]
        data: list[dict[str, Any]] = [
            {
                "name": p.name,
                "version": p.version,
                "description": p.description,
                "parameters": {
                    n: {"type": q.type, "default": q.default, "required": q.required}
                    for n, q in p.parameters.items()
                },
            }
            for p in found
        ]
        if options["json"]:
            self.emit(data, as_json=True)
        else:
            columns = ("name", "parameters", "description")
            rows = ((d["name"], ", ".join(d["parameters"]), d["description"]) for d in data)
            self.show(table(columns, rows))
