"""The password once more, before what cannot be undone.

A session that was left open, or whose cookie was taken, lets whoever has it look and steer; it does not
let them say yes for good. A session remembers when its own password was last given: by signing in, or
here. After `AGENTSYS_STEP_UP_MINUTES` it is asked for again. Tokens have scopes and no password: whoever
serves them asks nothing here. Stopping something is never held up.

Of a person at most `TRIES` passwords are tried, in all processes and sessions together; one that is
right sets the count back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest

from agentsys.gateway.counting import Allowance
from agentsys.kernel.errors import AgentsysError, BadInput
from orchestration.models import ApprovalRequest, Budget, Goal, Project
from orchestration.services import configuring
from orchestration.services.limits import limits_checked

GIVEN_AT = "agentsys_password_at"  # in the session: seconds since 1970
TRIES = Allowance("stepup", most=5, minutes=15)
KINDS = ("effect", "verdict", "budget")  # of requests: yes to them is risky whatever the risk
YES = ("approve", "edit")


class PasswordNeeded(AgentsysError):
    """The session's password was given too long ago, or was not given now."""

    code = "password-needed"
    template = (
        "{what} needs your password once more: it was given more than {minutes:g} minutes ago;"
        " nothing was changed"
    )


class PasswordWrong(AgentsysError):
    code = "password-wrong"
    template = (
        "that is not your password; nothing was changed (to sign out and in again does it, too)"
    )


class TooManyTries(AgentsysError):
    code = "too-many-tries"
    template = (
        "{tries} passwords were tried: wait up to {minutes} minutes, or sign out and in again;"
        " nothing was changed"
    )


# --- Which decisions -----------------------------------------------------------------------------


def decision_is_risky(request: ApprovalRequest, decision: str) -> bool:
    """Whether the answer cannot be undone, sets verifiers aside, allows more spending or changes a
    setting. `request.proposal` is read."""
    if request.kind == "effect":
        return True  # either answer is what the record says for ever
    if decision not in YES:
        return False
    proposal = request.proposal
    setting = proposal is not None and proposal.kind == configuring.KIND
    return request.risk == "irreversible" or request.kind in KINDS or setting


def budget_is_risky(goal: Goal, limits: Mapping[str, Any]) -> bool:
    """Whether `limits`, by kind, are more than the project's policy gives, or than goals begin with
    where it says nothing; None is no limit."""
    return limits_are_risky(goal.project, limits)


def limits_are_risky(project: Project | None, limits: Mapping[str, Any]) -> bool:
    """The same for a goal that is not there yet; None is a project that comes to be with it. Limits as
    they are given, by any name that is taken; what is none is refused later, whoever asks."""
    policy, usual = (project.policy if project else {}).get("budget") or {}, Budget()
    try:
        wanted = limits_checked(limits, level="goal", what="budget")
    except BadInput:
        return False
    for kind, most in wanted.items():
        allowed = policy.get(kind, getattr(usual, f"{kind}_max"))
        if allowed is not None and (most is None or most > float(allowed)):
            return True
    return False


# --- Whether it was given ------------------------------------------------------------------------


def password_given(session: MutableMapping[str, Any]) -> None:
    session[GIVEN_AT] = time.time()


def is_fresh(session: Mapping[str, Any]) -> bool:
    given = session.get(GIVEN_AT, 0.0)
    return bool(0 <= time.time() - given < settings.AGENTSYS.step_up_minutes * 60)


def fresh_needed(session: Mapping[str, Any], what: str) -> None:
    """PasswordNeeded unless it was given lately."""
    if not is_fresh(session):
        raise PasswordNeeded(what=what, minutes=settings.AGENTSYS.step_up_minutes)


def password_confirmed(request: HttpRequest, user: User, password: str, *, what: str) -> None:
    """Nothing when the session's password is fresh; else `password` must be the user's, and is then.

    Raises PasswordNeeded when none was given, PasswordWrong and TooManyTries.
    """
    if is_fresh(request.session):
        return
    if not password:
        fresh_needed(request.session, what)
    if not TRIES.take(who := f"user-{user.pk}"):  # first, so that many at once are not more
        raise TooManyTries(tries=TRIES.most, minutes=TRIES.minutes)
    found = authenticate(request, username=user.get_username(), password=password)
    if found is None or found.pk != user.pk:
        raise PasswordWrong
    TRIES.forget(who)
    request.session.cycle_key()
    password_given(request.session)
