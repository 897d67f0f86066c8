"""What each answer to a request would lead to, in a sentence, for who is about to give it.

The truth is in `services.consequences`; what is said here follows it, kind by kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from orchestration.models import ApprovalRequest

PROPOSAL = {
    "approve": _("It is done as shown above, byte for byte."),
    "edit": _("What stands below is done, all of it and nothing else."),
    "reject": _("It is not done; the task fails with your reason."),
    "respond": _("Nothing is done yet; the task tries again with what you say."),
}
TEXTS: Mapping[str, Mapping[str, Promise]] = {
    "proposal": PROPOSAL,
    "question": {
        "approve": _("The task tries again."),
        "reject": _("The task goes on with your no, and its reason."),
        "respond": _("The task goes on with your answer."),
    },
    "verdict": {
        "approve": _("The output counts, and what needs it goes on."),
        "reject": _("The output does not count; the task fails with your reason."),
        "respond": _("The task is done anew with what you say; it costs the agent no attempt."),
    },
    "plan": {
        "approve": _("The plan begins as it is."),
        "reject": _("None of it begins, and the goal ends as failed with your reason."),
    },
    "budget": {
        "approve": _("The limit is doubled, or raised to what is needed, and the work goes on."),
        "edit": _("The limits become those that you give below, and the work goes on."),
        "reject": _("No more is spent; the task fails with your reason."),
        "respond": _("The limit stays; the task goes on with what you say, and may ask again."),
    },
    "effect": {
        "approve": _("Yes, it happened: it is on record as done, and nothing is run again."),
        "reject": _("No, it did not happen: it is on record as not done, and the task fails."),
    },
    "playbook": {
        "approve": _("The playbook is put in force in the project, byte for byte."),
        "edit": _("The same with the fields below, if it still gives the recorded plans."),
        "reject": _("It is not used, and not offered again for the same evidence."),
    },
    "prompt": {
        "approve": _("The agent's next version has the prompt below, byte for byte."),
        "edit": _("It has the prompt that you write below."),
        "reject": _("The agent stays as it is; not offered again for the same evidence."),
    },
}
# Where the goal itself asks, not a task of it, a refusal ends the goal.
OF_THE_GOAL = {"reject": _("No more is spent, and the goal is cancelled with your reason.")}
DEADLINE = {
    "approve": _("The goal goes on for one more day."),
    "reject": _("The goal is cancelled with your reason."),
}
CHANGE = {"edit": _("Nothing is done yet; the change is made anew from the patch below.")}
EXHAUSTED = {"reject": _("The task is not tried again; it fails with your reason.")}


def consequences(row: ApprovalRequest) -> list[tuple[str, Promise]]:
    """(decision, what follows) of each answer that the request takes, in a fixed order."""
    texts = {**PROPOSAL, **TEXTS.get(row.kind, {}), **_of_this_one(row)}
    return [(name, texts[name]) for name in PROPOSAL if name in row.allowed]


def _of_this_one(row: ApprovalRequest) -> Mapping[str, Promise]:
    if row.kind == "budget" and row.task_id is None:
        return DEADLINE if "deadline_at" in row.context else OF_THE_GOAL
    if row.kind == "proposal" and row.proposal and row.proposal.kind == "change":
        return CHANGE
    if row.kind == "question" and row.context.get("exhausted"):
        return EXHAUSTED
    return {}
