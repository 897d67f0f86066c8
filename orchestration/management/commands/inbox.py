"""`inbox list|show|approve|edit|reject|respond`: what waits for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode
from agentsys.kernel.ids import ref_of
from orchestration.cli import watch
from orchestration.cli.output import Command as Base
from orchestration.cli.output import add_json, add_wait, first_line, person, table
from orchestration.cli.revising import json_of
from orchestration.cli.showing import asked_lines, edited_lines, verdict_lines
from orchestration.models import ApprovalRequest
from orchestration.services import approvals, reads, why
from orchestration.services.editing import edit_made

SEVERAL = ("approve", "reject", "respond")  # at once, each by itself
EDIT = (
    "JSON object of what changes: a value replaces the one that is there, null takes it away, and what"
    " is not named stays. What cannot be edited is refused"
)
NEEDS = {"edit": " --payload JSON", "reject": " --reason TEXT", "respond": " --reason TEXT"}


class Command(Base):
    help = "See and decide what waits for a person."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        rows = verbs.add_parser("list", help="what waits, the oldest first")
        rows.add_argument("--all", action="store_true", help="decided ones too")
        add_json(rows)
        for verb, text in (
            ("show", "one request, with the exact bytes it is about"),
            ("approve", "yes"),
            ("edit", "yes, but changed"),
            ("reject", "no, with a reason"),
            ("respond", "an answer or feedback"),
        ):
            one = verbs.add_parser(verb, help=text)
            several = verb in SEVERAL
            text = "ids, such as 3 or approval-3" if several else "an approval's id, such as 3"
            one.add_argument("approval", help=text, nargs="+" if several else 1)
            add_json(one)
            if verb != "show":
                why_it_is = "why; needed to reject and respond"
                one.add_argument("--reason", "--text", default="", help=why_it_is)
                one.add_argument(
                    "--user",
                    help="the account that decides (default: yours, else the first administrator's)",
                )
                add_wait(one)
            if verb == "edit":
                one.add_argument("--payload", required=True, help=EDIT)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "list":
            self._list(**options)
        elif verb == "show":
            self._show(**options)
        else:
            self._decide(verb, **options)

    def _list(self, **options: Any) -> None:
        rows = reads.approvals_list(None if options["all"] else "open")
        if options["json"]:
            self.emit(rows, as_json=True)
        elif rows:
            columns = ("id", "goal", "task", "kind", "risk", "state", "question")
            shown = ({**r, "question": first_line(r["question"])} for r in rows)
            self.show(table(columns, ([r[c] for c in columns] for r in shown)))
        else:
            self.note("nothing waits for you")

    def _show(self, **options: Any) -> None:
        view = reads.approval_view(approval_id(options["approval"][0]))
        if options["json"]:
            self.emit(view, as_json=True)
            return
        lines = [why.why(f"approval-{view['id']}").sentence, f"risk: {view['risk']}"]
        lines += [*asked_lines(view), *verdict_lines(view["verdicts"])]
        if view["state"] == "open":
            ways = (f"inbox {a} {view['id']}{NEEDS.get(a, '')}" for a in view["allowed"])
            lines.append("decide with: " + ", ".join(ways))
        self.emit(view, as_json=False, text="\n".join(lines))

    def _decide(self, verb: str, **options: Any) -> None:
        user = person(options["user"])
        if verb in ("reject", "respond") and not options["reason"].strip():
            raise BadInput(what=f"inbox {verb}", problems=["say why: --reason TEXT"])
        ids = [approval_id(text) for text in dict.fromkeys(options["approval"])]
        given = {
            "user": user,
            "decision": verb,
            "reason": options["reason"],
            "payload": _payload(options["payload"]) if verb == "edit" else None,
        }
        if len(ids) > 1:
            self._decide_each(ids, given, options)
            return
        request = approvals.approval_decide(ids[0], **given)
        self.note(f"decided as {user.get_username()}")
        self.emit(
            reads.approval_line(request),
            as_json=options["json"],
            text="\n".join(_said(request, verb)),
        )
        if options["wait"]:
            sys.exit(watch.wait(request.goal_id, timeout=options["timeout"]))

    def _decide_each(self, ids: list[int], given: dict[str, Any], options: dict[str, Any]) -> None:
        """Each by itself, with a result; exit 7 when any was refused."""
        results: list[dict[str, Any]] = []
        for pk in ids:
            try:
                state = approvals.approval_decide(pk, **given).state
                results.append({"id": pk, "done": True, "state": state, "problem": None})
            except AgentsysError as error:
                results.append({"id": pk, "done": False, "state": None, "problem": str(error)})
        lines = (f"approval-{r['id']} {r['state'] or r['problem']}" for r in results)
        self.emit(results, as_json=options["json"], text="\n".join(lines))
        if not all(result["done"] for result in results):
            sys.exit(ExitCode.CONFLICT)


def _said(request: ApprovalRequest, verb: str) -> Iterator[str]:
    """What has become of the request and, after an edit, what is done now."""
    yield f"approval-{request.pk} {request.state}{' with your changes' if verb == 'edit' else ''}"
    edited = edit_made(request.proposal_id) if verb == "edit" and request.proposal_id else None
    if edited:
        yield from edited_lines(reads.proposal_view(edited.pk))


def approval_id(text: str) -> int:
    return ref_of(text, "approval", "its number, which `inbox list` shows; words go into --reason")


def _payload(text: str) -> dict[str, Any]:
    value = json_of(text, "--payload")
    if not isinstance(value, dict):
        raise BadInput(what="--payload", problems=["expected a JSON object"])
    return value
