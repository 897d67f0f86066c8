"""The cost of a goal's page: who used what, how fast, and whether the budget will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from orchestration import show
from orchestration.admin.gantt import seconds
from orchestration.admin.spendchart import chart
from orchestration.models import Goal
from orchestration.services.spending import KINDS, goal_spending

NAMES = {"tokens": _("tokens"), "cost_usd": _("dollars")}
OVER_TIME = {"tokens": _("Tokens over time"), "cost_usd": _("Dollars over time")}
SAYS = {
    "learning": _("still learning: a forecast needs five tasks that are done"),
    "no limit": _("there is no limit"),
    "enough": _("the budget is enough"),
    "unsure": _("the budget may not be enough"),
    "short": _("the budget will not be enough"),
    "used up": _("the budget is used up"),
    "over": _("the goal is over"),
}
TONES = {"enough": "good", "unsure": "wait", "short": "bad", "used up": "bad"}


def cost_tab(goal: Goal, _asked: Mapping[str, str]) -> dict[str, Any]:
    found = goal_spending(goal.pk)
    limits = found["budget"]["limits"]
    charts = [(chart(found["over_time"], kind, limits.get(kind)), kind) for kind in KINDS]
    return {
        "cost": found,
        "outlook": [outlook(found, kind) for kind in KINDS],
        "other_limits": [
            (gettext(kind), found["budget"]["spent"].get(kind), limits.get(kind))
            for kind in ("calls", "seconds", "attempts")
        ],
        "charts": [_drawn(drawn, kind) for drawn, kind in charts if drawn],
        "unlike": _unlike(found),
    }


def amount(kind: str, number: float | None) -> str:
    if number is None:
        return ""
    return f"${show.number(number, 2)}" if kind == "cost_usd" else show.number(number)


def outlook(found: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """One limit: what was used, what of it an hour, what it will come to, and what that means."""
    told, rate = found["outlook"][kind], found["burn"][kind]
    left = None if told["limit"] is None else max(told["limit"] - told["spent"], 0)
    lasts = left / rate * 3600 if rate and left is not None and told["says"] != "over" else None
    return {
        "name": NAMES[kind],
        "spent": amount(kind, told["spent"]),
        "limit": amount(kind, told["limit"]) or gettext("no limit"),
        "reserved": amount(kind, found["budget"]["reserved"].get(kind) or None),
        "rate": gettext("%(amount)s an hour") % {"amount": amount(kind, rate)}
        if rate is not None
        else "",
        "lasts": seconds(lasts) if lasts else "",
        "range": [amount(kind, end) for end in told["forecast"] or ()],
        "says": SAYS[told["says"]],
        "tone": TONES.get(told["says"], "idle"),
    }


def _drawn(drawn: Any, kind: str) -> dict[str, Any]:
    return {
        "name": NAMES[kind],
        "over_time": OVER_TIME[kind],
        "chart": drawn,
        "most": amount(kind, drawn.most),
        "total": amount(kind, drawn.total),
        "points": [(at, amount(kind, one), amount(kind, all_)) for at, one, all_ in drawn.points],
    }


def _unlike(found: Mapping[str, Any]) -> int:
    """Tokens that the budget counts and no call on record has, such as those of deleted rows."""
    spent = int(found["budget"]["spent"].get("tokens") or 0)
    return max(spent - int(found["on_record"]["tokens"]), 0)
