"""What a report is, as policy sees it: kinds of artifact, and what they can do to the world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = ("report", "plan", "change", "action", "configuration")
RISKS = ("read", "write", "irreversible")
KIND_OF_AGENT = {"planner": "plan"}
REPORT = "report"


def kinds_of(report: Mapping[str, Any], agent: str = "") -> frozenset[str]:
    """The kinds of what it proposes; of a report that proposes nothing, by its agent."""
    kinds = frozenset(str(p.get("kind")) for p in report.get("proposals") or ())
    return kinds or frozenset({KIND_OF_AGENT.get(agent, REPORT)})


def risk_of(report: Mapping[str, Any]) -> str:
    """The greatest risk of what it proposes; one that proposes nothing only reads. A risk that
    nobody knows counts as the greatest."""
    found = [str(p.get("risk")) for p in report.get("proposals") or ()]
    return max(found, key=_rank, default=RISKS[0])


def reaches(risk: str, least: str) -> bool:
    """Whether a risk is `least` or greater."""
    return _rank(risk) >= _rank(least)


def _rank(risk: str) -> int:
    return RISKS.index(risk) if risk in RISKS else len(RISKS)
