"""Proposals that change a setting: what is shown, whether it may be, and the change itself.

The present value is read by the server when the change is proposed; its hash is the base. Whoever
approves sees old and new. When it is applied, in one transaction with the ledger entry, the setting is
locked and read again: where it is not what was shown, nothing is changed. So a crash leaves it either
changed and on record or neither, and of two at once the second finds its base gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest, plain
from orchestration.domain.configuration import (
    OWNER,
    POLICY,
    VERIFICATION,
    diff_of,
    name_problems,
    value_problems,
)
from orchestration.models import Budget, Decision, Project, Proposal, Scope
from orchestration.services.limits import limits_checked
from verification import services as verification

KIND = "configuration"
PROJECT_ADMIN, SUPERUSER = "admin", "superuser"


def present(project_id: int, name: str, *, locked: bool = False) -> Any:
    """The setting as it is now; None where it is not there. `locked`: until the transaction ends
    nobody else changes it."""
    if name == VERIFICATION:
        return plain(verification.policy_latest(locked=locked).document)
    if name.startswith(POLICY):
        projects = Project.objects.all()
        projects = projects.select_for_update(no_key=True) if locked else projects
        return projects.get(pk=project_id).policy.get(name.removeprefix(POLICY))
    if locked:
        _rows_lock()
    rows = Scope.objects.filter(project_id=project_id, resource=name.removeprefix(OWNER))
    row = rows.first()
    return None if row is None else {"role": row.role, "exclusive": row.exclusive}


def _rows_lock() -> None:
    """A row that is not there yet cannot be locked, and with its project locked whoever is inserting
    it would wait for us and we for them. So nobody else writes to the table, for a moment."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {Scope._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")


def payload_of(project_id: int, draft: Mapping[str, Any]) -> dict[str, Any]:
    """What a person is to decide on, in place of what was handed in: with the value of now.

    `draft` is a proposal of a report: its payload names `setting` and `new`, and may say `why`; its
    `base_hash`, where it has one, is of the value that it means to change. BadInput when the change
    cannot be.
    """
    given = draft["payload"]
    name, why = given.get("setting"), str(given.get("why") or "")
    problems = name_problems(name)
    new = None if problems else _normal(str(name), given.get("new"))
    problems = problems or setting_problems(project_id, str(name), new)
    if problems:
        raise BadInput(what="configuration", problems=problems)
    old = present(project_id, str(name))
    if (base := draft.get("base_hash")) and base != digest(old):
        problems = [f"{name} is not what it was when this was made: it is {old!r} by now"]
    elif digest(old) == digest(new):
        problems = [f"{name} is that already"]
    if problems:
        raise BadInput(what="configuration", problems=problems)
    return {
        "setting": name,
        "old": old,
        "new": new,
        "why": why,
        "diff": diff_of(str(name), old, new),
    }


def _normal(name: str, value: Any) -> Any:
    """With what may be left out filled in, so that equal settings are equal values."""
    if name.startswith(OWNER) and isinstance(value, Mapping):
        return plain({"exclusive": True, **value})
    return plain(value)


def setting_problems(project_id: int, name: str, value: Any) -> list[str]:
    """Why the setting cannot be `value` in this project, a sentence each; 0 is a project that is new."""
    if found := value_problems(name, value):
        return found
    if name == VERIFICATION:
        return verification.policy_document_problems(value)
    if name == f"{POLICY}budget":
        return _budget_problems(project_id, value)
    if name.startswith(OWNER) and value is not None:
        try:
            Scope(resource=name.removeprefix(OWNER), **value).clean_fields(exclude=["project"])
        except ValidationError as error:
            return error.messages
    return []


def _budget_problems(project_id: int, value: Any) -> list[str]:
    """A policy's budget is what a project's own budget is opened with, and nothing afterwards."""
    if Budget.objects.filter(project_id=project_id).exists():
        way_out = f"`goals budget project-{project_id} --set` moves them"
        return [f"the project's budget is open already and has limits of its own; {way_out}"]
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return [f"policy.budget is {value!r}; expected limits by kind, or null"]
    try:
        limits_checked(value, level="project", what="policy.budget")
    except BadInput as error:
        return [str(error)]
    return []


def decider_of(payload: Mapping[str, Any]) -> str:
    """Who alone may say yes: an administrator of the project, or, for what holds for the whole
    installation, a superuser."""
    return SUPERUSER if payload["setting"] == VERIFICATION else PROJECT_ADMIN


def decider_problem(proposal: Proposal | None, user: User, role: str | None) -> str:
    """Why this person may not decide on a change of a setting; `role` is theirs in the project. ""
    when they may, and for whatever else."""
    if proposal is None or proposal.kind != KIND:
        return ""
    needed = decider_of(proposal.payload)
    if user.is_superuser or (needed == PROJECT_ADMIN and role == PROJECT_ADMIN):
        return ""
    who = "a superuser" if needed == SUPERUSER else "an administrator of the project"
    return f"{proposal.payload['setting']} is for {who} to change"


def refusal(project_id: int, proposal: Proposal) -> str:
    """Why an approved change cannot be made any more; "" when it can. Locks the setting."""
    name, new = proposal.payload["setting"], proposal.payload["new"]
    if not approvers(proposal):
        return "no person approved it"
    now = present(project_id, name, locked=True)
    if digest(now) != proposal.base_hash:
        return f"its base moved: {name} is {now!r} by now, which is not what was shown"
    return "; ".join(setting_problems(project_id, name, new))


def change(project_id: int, proposal: Proposal) -> None:
    """Make the change, by whatever else changes that setting. The setting is locked (`refusal`)."""
    name, new = str(proposal.payload["setting"]), proposal.payload["new"]
    if name == VERIFICATION:
        why = proposal.payload["why"] or proposal.title
        reason = f"{proposal} of goal-{proposal.goal_id}: {why}"
        verification.policy_add(new, by=approvers(proposal), reason=reason)
    elif name.startswith(POLICY):
        project = Project.objects.get(pk=project_id)
        key = name.removeprefix(POLICY)
        rest = {k: v for k, v in project.policy.items() if k != key}
        project.policy = rest if new is None else {**rest, key: new}
        project.save(update_fields=["policy"])
    else:
        rows = Scope.objects.filter(project_id=project_id, resource=name.removeprefix(OWNER))
        if new is None:
            rows.delete()
        elif not rows.update(**new):
            Scope.objects.create(project_id=project_id, resource=name.removeprefix(OWNER), **new)


def approvers(proposal: Proposal) -> str:
    """The people who agreed, by name."""
    agreed = Decision.objects.filter(request__proposal=proposal, decision="approve")
    return ", ".join(agreed.order_by("pk").values_list("user__username", flat=True))[:150]
