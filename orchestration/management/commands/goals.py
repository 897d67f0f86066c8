"""`goals VERB`: hand in goals, follow them, steer them. The README lists the verbs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import BadInput, ExitCode
from agentsys.kernel.ids import ref_of
from agentsys.kernel.wording import counted
from orchestration.cli import watch
from orchestration.cli.limits import add_limits, budget_table, limits_given, moment_of
from orchestration.cli.output import Command as Base
from orchestration.cli.output import (
    actor,
    add_json,
    add_jsonl,
    add_wait,
    goal_table,
    person,
    positive,
    project_known,
    spent,
    task_table,
)
from orchestration.cli.revising import add_dry_run, json_of, object_of, override_text, revision_text
from orchestration.cli.showing import attempt_text, task_text
from orchestration.cli.standing import fork_told, standing_notes, standing_text
from orchestration.domain.lives import GoalState
from orchestration.models import Attempt, Goal, Task
from orchestration.planners.playbooks import playbook_find
from orchestration.services import (
    claims,
    forks,
    goals,
    limits,
    overrides,
    pausing,
    reads,
    replan,
    rollbacks,
    steering,
    why,
)
from orchestration.services.foreseen import ACTS as FORESEEN
from orchestration.services.foreseen import goal_foreseen
from orchestration.services.limits import KINDS
from orchestration.services.sessions import sessions_alive

WIDTHS = ("goal", "task", "project", "everything")
STATES = (*GoalState, *reads.READ)
SET_TO: dict[str, tuple[str, type, str]] = {
    "direct": ("text", str, "what every later brief is to carry"),
    "priority": ("number", int, "-100 to 100; 0 is usual"),
    "concurrency": ("number", int, "1 or more; 0 is no limit of its own"),
    "model": ("name", str, 'provider:model; "" is the configured ones'),
}
PLAN_FILES = (".json", ".yaml", ".yml")
WAITING = ("resume", "retry", "fork")


class Command(Base):
    help = "Hand in goals, see how they are, and steer them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._submit(verbs.add_parser("submit", help="hand in a goal"))
        rows = verbs.add_parser("list", help="goals, newest first")
        rows.add_argument("--project")
        rows.add_argument("--state", help=", ".join(STATES))
        rows.add_argument("--limit", type=positive, default=50)
        add_json(rows)
        for verb, text in (
            ("show", "everything about a goal, a task (7/KEY) or an attempt (attempt-9)"),
            ("claims", "what agents claimed, on what evidence, and what verifiers said"),
            ("watch", "follow a goal; Ctrl-C detaches"),
            ("pause", "claim nothing more; what runs ends its step"),
            ("resume", "go on"),
            ("cancel", "end it"),
            ("retry", "retry a failed goal from its failures"),
            (
                "priority",
                "serve it before those with a lower number, or after those with a higher one",
            ),
            ("concurrency", "how many of its tasks may run at once"),
            ("model", "which model its agents ask instead of the configured ones"),
            ("fork", "the same goal once more"),
            ("direct", "tell a running goal something"),
        ):
            one = verbs.add_parser(verb, help=text)
            pausing = verb in ("pause", "resume")
            one.add_argument("goal", help="a goal's id, such as 7", nargs="?" if pausing else None)
            add_json(one)
            if pausing:
                one.add_argument("--task", help="only a task, 7/KEY, and all that follows from it")
                one.add_argument("--project", help="every goal of a project, new ones too")
                one.add_argument("--everything", action="store_true", help="every goal there is")
            if verb in ("pause", "cancel"):
                one.add_argument("--reason", default="")
            if verb in SET_TO:
                name, kind, text = SET_TO[verb]
                one.add_argument(name, type=kind, help=text)
            if verb in FORESEEN:
                add_dry_run(one)
            if verb in WAITING:
                add_wait(one)
            if verb == "fork":
                one.add_argument("--at-seq", type=int, help="an entry of the goal's ledger")
            if verb == "watch":
                one.add_argument("--timeout", type=float)
                add_jsonl(one, "a line of JSON on stdout for every change, until it ends")

        edit = verbs.add_parser(
            "edit", help="another definition of a task; what follows runs again"
        )
        edit.add_argument("task", help="7/KEY or task-9")
        edit.add_argument("--inputs", help="JSON, @FILE or -: the new inputs, all of them")
        edit.add_argument("--set", help="JSON, @FILE or -: other fields, such as limits or verify")
        edit.add_argument("--objective", help="the new objective")
        add_dry_run(edit)
        add_json(edit)
        override = verbs.add_parser("override", help="your output in the place of a task's")
        override.add_argument("task", help="7/KEY or task-9")
        override.add_argument(
            "--output",
            help="JSON, @FILE or -: the whole output; without it the present one is printed, to edit",
        )
        override.add_argument("--reason", default="", help="kept in the ledger; it must be given")
        override.add_argument(
            "--rerun", action="store_true", help="what ran on the old one runs again"
        )
        override.add_argument("--user", help="who says so; without it, as for `inbox`")
        add_dry_run(override)
        add_json(override)
        back = verbs.add_parser(
            "rollback", help="propose to take back what a task's change brought"
        )
        back.add_argument("task", help="7/KEY or task-9")
        back.add_argument("--reason", required=True)
        add_json(back)
        budget = verbs.add_parser("budget", help="what may be used, and what was; set limits")
        budget.add_argument("of", nargs="?", help="7, 7/KEY or task-9")
        budget.add_argument("--project", help="the budget of a project instead")
        add_limits(
            budget,
            "--set",
            f"a limit, or KIND=none for no limit; kinds: {', '.join(KINDS)}; attempts are all tries,"
            " first ones included, and are looked at before another try",
        )
        add_json(budget)

    @staticmethod
    def _submit(parser: CommandParser) -> None:
        parser.add_argument("objective", nargs="?", default="", help="what you want, in a sentence")
        parser.add_argument("--playbook", help="a playbook's name; without one a model plans")
        parser.add_argument("--plan", help="a plan file (JSON), or - for standard input")
        parser.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="K=V",
            help="a parameter of the playbook",
        )
        parser.add_argument("--repo", default="", help="a git repository to work on")
        parser.add_argument(
            "--branch",
            default="",
            help="agentsys/NAME: share this branch with other goals of the project; else one of its own",
        )
        parser.add_argument("--project", default="default", help="whose it is (default: default)")
        parser.add_argument(
            "--priority", type=int, default=0, help="higher ones are served first (default: 0)"
        )
        parser.add_argument(
            "--review", action="store_true", help="a person looks at the plan first"
        )
        add_limits(parser, "--budget", "a limit for the goal, such as tokens=500000 or cost_usd=5")
        parser.add_argument(
            "--deadline",
            help="when it is to be over: 2026-11-24T18:00 (UTC), 2026-11-24T18:00+01:00, 30s, 90m, 3h, 2d",
        )
        parser.add_argument(
            "--idempotency-key", help="the same key hands the same goal in once, however often"
        )
        add_wait(parser)
        add_json(parser)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"do_{verb}")(**options)

    def do_submit(self, **options: Any) -> None:
        _is_a_sentence(options["objective"])
        params = params_of(options["param"])
        if options["repo"] and options["playbook"] and _takes_repo(options["playbook"]):
            params.setdefault("repo", options["repo"])
        goal = goals.goal_submit(
            objective=options["objective"],
            project=options["project"],
            playbook=options["playbook"],
            document=plan_of(options["plan"]) if options["plan"] else None,
            params=params,
            repository=options["repo"],
            branch=options["branch"],
            actor=actor(),
            priority=options["priority"],
            review=options["review"],
            idempotency_key=options["idempotency_key"],
            deadline_at=moment_of(options["deadline"]) if options["deadline"] else None,
            budget=limits_given(options["budget"]),
        )
        if goal.state != "planning" and not (options["playbook"] or options["plan"]):
            self.note(reads.plan_view(goal.pk, version=1)["rationale"])  # it was found
        if goal.finished_at is None and not sessions_alive():
            self.note("no worker is running: start one with `make up`; the goal waits for it")
        if not options["wait"]:
            self.note(f"`goals watch {goal.pk}` follows it")
            paused = goal.paused_at is not None
            still = paused or goal.state == "plan_review"
            self.emit(
                {"id": goal.pk, "state": goal.state, "paused": paused},
                as_json=options["json"],
                text=why.why(f"goal-{goal.pk}").sentence
                if still
                else f"goal-{goal.pk} {goal.state}",
            )
            return
        code = watch.wait(goal.pk, timeout=options["timeout"])
        goal.refresh_from_db()
        self.emit(
            {"id": goal.pk, "state": goal.state, "reason": goal.reason},
            as_json=options["json"],
            text=why.why(f"goal-{goal.pk}").sentence,
        )
        sys.exit(code)

    def do_list(self, **options: Any) -> None:
        if options["project"]:
            project_known(options["project"])
        if options["state"] not in (None, *STATES):
            problem = f"`{options['state']}` is no state; expected {', '.join(STATES)}"
            raise BadInput(what="--state", problems=[problem])
        rows = reads.goals_list(
            project=options["project"], state=options["state"], limit=options["limit"]
        )
        if options["json"]:
            self.emit(rows, as_json=True)
        elif rows:
            self.show(goal_table(rows))
        elif options["project"] or options["state"]:
            self.note("no goal is like that; `goals list` shows all")
        else:
            self.note('no goals yet; try `make demo`, or `goals submit "…" --playbook repo-care`')

    def do_show(self, **options: Any) -> None:
        ref, row = reads.resolve(options["goal"])
        if isinstance(row, Task | Attempt):
            is_task = isinstance(row, Task)
            view = reads.task_view(row.pk) if is_task else reads.attempt_view(row.pk)
            text = (task_text if is_task else attempt_text)(view, why.why(str(ref)).sentence)
            self.emit(view, as_json=options["json"], text=text)
            return
        view = reads.goal_view(goal_id(options["goal"]))
        if options["json"]:
            self.emit(view, as_json=True)
            return
        seen = view["progress"]
        self.show(
            f"goal-{view['id']}: {view['objective']}",
            why.why(str(view["id"])).sentence,
            f"{seen['done']} of {seen['total']} done, {seen['failed']} failed; {spent(view['cost'])}",
            *([f"branch {view['branch']} in {view['repository']}"] if view["repository"] else []),
            *([f"report {view['report']}"] if view["report"] else []),
            *([f"claims {view['claims']}"] if view["claims"] else []),
            task_table(view["tasks"], view["id"]),
        )

    def do_claims(self, **options: Any) -> None:
        pk = goal_id(options["goal"])
        reads.resolve(str(pk))
        view = claims.claims_view(pk)
        self.emit(view, as_json=options["json"], text=claims.claims_text(view).rstrip())

    def do_watch(self, **options: Any) -> None:
        pk = goal_id(options["goal"])
        reads.resolve(str(pk))
        lines = self.stdout.write if options["jsonl"] else None
        code = watch.wait(
            pk, timeout=options["timeout"], patient=sys.stderr.isatty() and not lines, jsonl=lines
        )
        if not options["jsonl"]:
            self._said(options)
        sys.exit(code)

    def do_pause(self, **options: Any) -> None:
        if options["preview"]:
            self._foreseen("pause", options)
            return
        who = {"actor": actor(), "reason": options["reason"]}
        match _width(options):
            case "goal", named:
                standing = pausing.goal_pause(goal_id(named), **who)
            case "task", named:
                standing = pausing.task_pause(task_id(named), **who)
            case "project", named:
                standing = pausing.project_pause(project_known(named).name, **who)
            case _:
                standing = pausing.everything_pause(**who)
        self._stands(options, standing, paused=True)

    def do_resume(self, **options: Any) -> None:
        match _width(options):
            case "goal", named:
                standing = pausing.goal_resume(goal_id(named), actor=actor())
            case "task", named:
                standing = pausing.task_resume(task_id(named), actor=actor())
            case "project", named:
                standing = pausing.project_resume(project_known(named).name, actor=actor())
            case _:
                standing = pausing.everything_resume(actor=actor())
        self._stands(options, standing, paused=False)
        self._followed(_goal_meant(options), options)

    def _foreseen(self, act: str, options: dict[str, Any]) -> None:
        """What it would do; exit 7 where it would be refused."""
        if not options["goal"]:
            problem = "--dry-run looks at a goal: name one"
            raise BadInput(what=f"goals {act}", problems=[problem])
        told = goal_foreseen(goal_id(options["goal"]), act)
        self.emit(told.to_json(), as_json=options["json"], text=told.sentence)
        if told.refused:
            sys.exit(ExitCode.CONFLICT)

    def _followed(self, goal: int, options: dict[str, Any]) -> None:
        """With `--wait`, follow the goal to its end and leave with its code."""
        if options["wait"] and goal:
            sys.exit(watch.wait(goal, timeout=options["timeout"]))

    def _stands(self, options: dict[str, Any], standing: pausing.Standing, *, paused: bool) -> None:
        if options["goal"]:
            self._said(options)
        else:
            text = standing_text(standing, task=options["task"], paused=paused)
            facts = asdict(standing)
            self.emit(facts, as_json=options["json"], text=text)
        for line in standing_notes(standing, goal=_goal_meant(options), paused=paused):
            self.note(line)

    def do_priority(self, **options: Any) -> None:
        goals.goal_prioritise(goal_id(options["goal"]), options["number"], actor=actor())
        self.note(f"its priority is {options['number']}")
        self._said(options)

    def do_concurrency(self, **options: Any) -> None:
        most = options["number"] or None
        steering.goal_concurrency(goal_id(options["goal"]), most, actor=actor())
        self.note(f"tasks of it at once: {most} at most" if most else "no limit of its own")
        self._said(options)

    def do_model(self, **options: Any) -> None:
        steering.goal_model(goal_id(options["goal"]), options["name"], actor=actor())
        self.note(f"its agents ask {options['name'] or 'the models of their roles'}")
        self._said(options)

    def do_cancel(self, **options: Any) -> None:
        if options["preview"]:
            self._foreseen("cancel", options)
            return
        goals.goal_cancel(goal_id(options["goal"]), actor=actor(), reason=options["reason"])
        self._said(options)

    def do_retry(self, **options: Any) -> None:
        if options["preview"]:
            self._foreseen("retry", options)
            return
        count = goals.goal_retry(goal_id(options["goal"]), actor=actor())
        self.note(f"{counted(count, 'task is', 'tasks are')} tried again")
        self._said(options)
        self._followed(goal_id(options["goal"]), options)

    def do_fork(self, **options: Any) -> None:
        fork = forks.goal_fork(goal_id(options["goal"]), at_seq=options["at_seq"], actor=actor())
        self.note(fork_told(fork))
        self._said({**options, "goal": str(fork.pk)})
        self._followed(fork.pk, options)

    def do_direct(self, **options: Any) -> None:
        told = goals.goal_direct(goal_id(options["goal"]), options["text"], actor=actor())
        self.note(
            f"directive {told.pk} is in every later brief of goal-{told.goal_id}; attempts of agents"
            " with a model that run now read it at their next step, and agents without one take no"
            " notice of it"
        )
        self._said(options)

    def do_rollback(self, **options: Any) -> None:
        task = task_named(options["task"])
        made = rollbacks.task_rollback(
            task.goal_id, task.key, actor=actor(), reason=options["reason"]
        )
        self.note(f"goal-{made.pk} proposes it on {made.branch}; a person approves it in the inbox")
        self._said({**options, "goal": str(made.pk)})

    def do_edit(self, **options: Any) -> None:
        task = task_named(options["task"])
        changes = object_of(options["set"], "--set") if options["set"] else {}
        if options["inputs"]:
            changes["inputs"] = json_of(options["inputs"], "--inputs")
        if options["objective"]:
            changes["objective"] = options["objective"]
        revision = replan.task_edit(
            task.goal_id, task.key, changes, actor=actor(), preview=options["preview"]
        )
        self.emit(revision.to_json(), as_json=options["json"], text=revision_text(revision))

    def do_override(self, **options: Any) -> None:
        task = task_named(options["task"])
        if options["output"] is None:
            self.emit(overrides.output_to_edit(task.pk), as_json=True)
            way = f"`goals override {task.goal_id}/{task.key} --output @FILE --reason …`"
            self.note(f"nothing was changed; edited, {way} hands it in, and --dry-run looks first")
            return
        told = overrides.output_override(
            task.pk,
            json_of(options["output"], "--output"),
            user=person(options["user"]),
            reason=options["reason"],
            rerun=options["rerun"],
            preview=options["preview"],
        )
        self.emit(told.to_json(), as_json=options["json"], text=override_text(told))

    def do_budget(self, **options: Any) -> None:
        ref = _budget_ref(options)
        if options["set"]:
            limits.budget_set(ref, limits_given(options["set"]), actor=actor())
        view = limits.budget_view(ref)
        if options["json"]:
            self.emit(view, as_json=True)
        else:
            self.show(budget_table(view))

    def _said(self, options: dict[str, Any]) -> None:
        """How the goal is after the command: its line as data, a sentence for people."""
        goal: Goal = reads.found(
            Goal.objects.select_related("project"), "goal", goal_id(options["goal"])
        )
        self.emit(
            reads.goal_line(goal), as_json=options["json"], text=why.why(f"goal-{goal.pk}").sentence
        )


def _width(options: dict[str, Any]) -> tuple[str, str]:
    """Which of a goal, a task, a project or everything is meant; BadInput unless it is one."""
    given = [(name, str(options[name])) for name in WIDTHS if options[name]]
    if len(given) != 1:
        problem = "name one of GOAL, --task, --project and --everything"
        raise BadInput(what="goals", problems=[problem])
    return given[0]


def _goal_meant(options: dict[str, Any]) -> int:
    """The goal of which one task or all are meant; 0 for a project and everything."""
    if options["task"]:
        return task_named(options["task"]).goal_id
    return goal_id(options["goal"]) if options["goal"] else 0


def _budget_ref(options: dict[str, Any]) -> str:
    if bool(options["of"]) == bool(options["project"]):
        raise BadInput(what="goals budget", problems=["name a goal, a task or --project"])
    if not options["of"]:
        return f"project-{project_known(options['project']).pk}"
    ref, row = reads.resolve(options["of"])
    if not isinstance(row, Goal | Task):
        raise BadInput(what="id", problems=[f"`{ref}` is neither a goal nor a task"])
    return f"{'goal' if isinstance(row, Goal) else 'task'}-{row.pk}"


def task_id(text: str) -> int:
    """`7/KEY` or `task-9`."""
    return task_named(text).pk


def task_named(text: str) -> Task:
    ref, row = reads.resolve(text)
    if not isinstance(row, Task):
        raise BadInput(what="id", problems=[f"`{ref}` is no task; expected GOAL/KEY or task-N"])
    return row


def goal_id(text: str) -> int:
    """`7` or `goal-7`."""
    return ref_of(text, "goal", "its number, which `goals list` shows")


def _takes_repo(playbook: str) -> bool:
    """Has the playbook a parameter for the repository that `--repo` names?"""
    return "repo" in playbook_find(playbook).parameters


def params_of(pairs: list[str]) -> dict[str, Any]:
    """`K=V` texts as a dict; BadInput for anything else."""
    bad = [p for p in pairs if "=" not in p]
    if bad:
        raise BadInput(
            what="--param", problems=[f"`{p}` is not of the form NAME=VALUE" for p in bad]
        )
    return dict(p.split("=", 1) for p in pairs)


def _is_a_sentence(objective: str) -> None:
    """Who forgot `--plan` is told, instead of a goal whose objective is the name of a file."""
    if not any(map(str.isspace, objective)) and Path(objective).suffix in PLAN_FILES:
        problem = f"`{objective}` is a file, no sentence; hand it in with --plan {objective}"
        raise BadInput(what="goals submit", problems=[problem])


def plan_of(path: str) -> Any:
    """A plan document from a file or standard input; BadInput says where it is not JSON."""
    return json_of(path if path == "-" else f"@{path}", f"plan {path}")
