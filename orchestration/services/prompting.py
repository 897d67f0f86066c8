"""What verifiers refused again and again of an agent that is a profile: a change of its prompt, offered.

Guaranteed: no prompt changes because of what was found here. The change is offered once, with what
is on record for it, in the transaction of looking back at a goal (`services.reflection`); a person
approves the very bytes, or other ones, and they become a new version of the agent, made by that
person, who must be allowed to change agents. Whoever changed the agent meanwhile comes first.

Bounded: attempts at the latest GOALS_MAX goals of the project, under the agent's present version.
Reasons in a model's own words, and what reads like an order to an agent, make no rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import F

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest
from orchestration.domain.prompting import PromptChange, Tried, change_of
from orchestration.models import ApprovalRequest, Attempt, Goal, Task
from orchestration.services.ledger import Book
from orchestration.services.requests import request_open
from verification import services as verification
from verification.services import VerdictView
from workers import profiles
from workers.errors import AgentChanged
from workers.personas import Persona

KIND = "prompt"
GOALS_MAX = 50
ATTEMPTS_MAX = 500
REVIEW_DAYS = 30  # nothing waits for the answer
PERMISSION = "agentsys_workers.change_agentprofile"
# Not about the work: what consensus says of others' votes, and why nobody could judge prose.
APART = (("consensus", "fail"), ("consensus", "abstain"), ("semantic", "abstain"))


def prompts_offer(book: Book, goal: Goal) -> list[str]:
    """Ask about the agents of this goal for which something repeats; what was offered, in words.
    Under the goal's lock and that of its project's offers."""
    if not goal.project.policy.get("prompt_reflection", True):
        return []
    used = Task.objects.filter(goal=goal).values_list("agent", flat=True).distinct()
    found = []
    for name in sorted(set(used)):
        agent = profiles.written(name)
        if agent is None:
            continue
        persona, version = agent
        change = change_of(persona.prompt, _tried(goal, name, version))
        if change is None or _known(goal, name, change):
            continue
        request = _offer(book, persona, version, change)
        found.append(f"offered another prompt of {name} in approval-{request.pk}")
    return found


def _tried(goal: Goal, agent: str, version: int) -> list[Tried]:
    """The latest attempts that ran this version and were judged, in goals that are over."""
    over = Goal.objects.filter(
        project=goal.project_id, finished_at__lte=goal.finished_at, forked_from=None
    )
    goals = list(over.order_by("-pk").values_list("pk", flat=True)[:GOALS_MAX])
    rows = Attempt.objects.filter(
        goal__in=goals, task__agent=agent, state__in=("accepted", "rejected")
    ).annotate(ran=F("report__ran__version"), who=F("report__ran__agent"))
    seen = [
        row
        for row in rows.order_by("-pk").values("pk", "task_id", "goal_id", "state", "ran", "who")[
            :ATTEMPTS_MAX
        ]
        if (row["who"], row["ran"]) == (agent, version)
    ]
    spoken = verification.verdicts_of([row["pk"] for row in seen])
    return [
        Tried(
            row["pk"],
            row["task_id"],
            row["goal_id"],
            row["state"] == "accepted",
            tuple(_reasons(spoken[row["pk"]], accepted=row["state"] == "accepted")),
        )
        for row in seen
    ]


def _reasons(views: Sequence[VerdictView], *, accepted: bool) -> Iterator[tuple[str, str]]:
    """What a person overruled did not keep anything back; that it was accepted all the same counts."""
    for view in views:
        told = view.outcome in ("fail", "abstain") and (accepted or view.override is None)
        by_rule = (view.verifier, view.outcome) not in APART and "judge" not in (
            view.evidence or {}
        )
        if told and by_rule:
            for reason in view.reasons:
                if not verification.marks_in(reason):
                    yield view.verifier, reason


def _known(goal: Goal, agent: str, change: PromptChange) -> bool:
    """Whether a person is asked about this agent, or was about this change with as much behind it."""
    asked = ApprovalRequest.objects.filter(
        kind=KIND, goal__project=goal.project_id, context__change__agent=agent
    )
    if asked.filter(state="open").exists():
        return True
    last = asked.filter(context__form=change.form).order_by("-pk").first()
    if last is None:
        return False
    before = last.context["backtest"]["refused_for_these_reasons"]
    return bool(change.backtest["refused_for_these_reasons"] < 2 * before)


def _offer(book: Book, agent: Persona, version: int, change: PromptChange) -> ApprovalRequest:
    """`change` of the context is what is decided on, by its hash; everything else explains it."""
    bound = {"agent": agent.name, "version": version, "prompt": change.prompt}
    facts = change.backtest
    request = request_open(
        book,
        kind=KIND,
        question=(
            f"Change the prompt of the agent `{agent.name}`? Under version {version},"
            f" {facts['refused']} of {facts['attempts']} attempts on record were refused,"
            f" {facts['refused_for_these_reasons']} of them for reasons that the new lines name;"
            " none that was accepted had one of these. No model was asked again: whether it helps"
            " shows only afterwards"
        ),
        context={
            "change": bound,
            "before": agent.prompt,
            "rules": change.rules_shown(),
            "backtest": facts,
            "form": change.form,
        },
        risk="write",
        allowed=("approve", "edit", "reject"),
        definition={"approval": {"days": REVIEW_DAYS}},
        action_hash=digest(bound),
    )
    book.record(
        "prompt.offered",
        actor="orchestrator",
        payload={
            "approval": request.pk,
            "agent": agent.name,
            "version": version,
            "hash": request.action_hash,
            "form": change.form,
        },
    )
    return request


def prompt_decided(
    book: Book,
    request: ApprovalRequest,
    decision: str,
    *,
    actor: str,
    payload: Mapping[str, Any] | None,
) -> None:
    """Make what was approved the agent's next version; a rejection needs nothing more than its row.
    Raises BadInput, and then nothing is decided."""
    if decision not in ("approve", "edit"):
        return
    bound = request.context["change"]
    prompt = str((payload or {}).get("prompt") if decision == "edit" else bound["prompt"])
    problems = _problems(request, bound, actor, payload if decision == "edit" else None)
    version = 0
    if not problems:
        try:
            version = profiles.prompt_change(
                bound["agent"], prompt, seen=bound["version"], by=actor
            )
        except AgentChanged as error:
            problems = [f"{error}. Reject this; what still repeats is offered anew"]
        except ValidationError as error:
            problems = [f"{field}: {'; '.join(said)}" for field, said in error.message_dict.items()]
    if problems:
        raise BadInput(what=f"approval-{request.pk}", problems=problems)
    book.record(
        "prompt.activated",
        actor=actor,
        payload={
            "approval": request.pk,
            "agent": bound["agent"],
            "version": version,
            "hash": digest({**bound, "prompt": prompt}),
        },
    )


def _problems(
    request: ApprovalRequest,
    bound: Mapping[str, Any],
    actor: str,
    edits: Mapping[str, Any] | None,
) -> list[str]:
    if digest(bound) != request.action_hash:
        return ["what it shows is not what it asked about: its row was changed; reject it"]
    if not User.objects.get(username=actor).has_perm(PERMISSION):
        return [f"{actor} may not change agents; somebody with the permission `{PERMISSION}` may"]
    if edits is not None and (set(edits) != {"prompt"} or not isinstance(edits["prompt"], str)):
        return ['an edit is {"prompt": "…"}, the whole prompt as it is to be']
    return []
