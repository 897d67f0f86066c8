"""What `verifiers score` and `verifiers list` print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from rich.table import Table

from agentsys.kernel.wording import counted
from orchestration.cli.output import state, table
from verification.domain.panels import PanelReport
from verification.domain.recordings import strategy_of
from verification.domain.scoring import Score
from verification.scoreboard import Place


def judges_chosen(judges: Sequence[str], only: Sequence[str], without: Sequence[str]) -> list[str]:
    """Those whose name one of the patterns `only` matches, or all, but none of `without`."""
    return [
        judge
        for judge in judges
        if (not only or any(fnmatchcase(judge, p) for p in only))
        and not any(fnmatchcase(judge, p) for p in without)
    ]


def panels_of(judges: Sequence[str]) -> dict[str, list[str]]:
    """Judges that are to speak together: those of each strategy, and all."""
    panels: dict[str, list[str]] = {}
    for judge in judges:
        if strategy := strategy_of(judge):
            panels.setdefault(strategy, []).append(judge)
    panels = {name: panel for name, panel in sorted(panels.items()) if len(panel) > 1}
    if len(panels) != 1 and len(judges) > 1:
        panels["all"] = list(judges)
    return panels


def score_table(scores: Iterable[Score]) -> Table:
    return table(
        ("judge", "items", "precision", "95 %", "recall", "abstains", "unsteady", "agrees",
         "calls", "cost"),
        (
            (
                s.judge,
                s.items,
                percent(s.precision),
                f"{percent(s.precision_low)}–{percent(s.precision_high)}",
                percent(s.recall),
                percent(s.abstention),
                percent(s.unsteady),
                percent(s.agreement),
                f"{s.calls:.1f}",
                "–" if s.cost_usd is None else f"${s.cost_usd:.4f}",
            )
            for s in scores
        ),
    )  # fmt: skip


def panel_table(reports: Sequence[PanelReport]) -> Table:
    rules = list(dict.fromkeys(rule for report in reports for rule in report.rules))
    return table(
        ("panel", "judges", "effective votes", "rule", "precision", "worst–best split", "coverage"),
        (
            (
                report.panel if at == 0 else "",
                report.judges if at == 0 else "",
                f"{report.effective_votes:.1f}" if at == 0 else "",
                f"{rule} ({report.best})" if rule == "best judge" else rule,
                percent(report.rules[rule].precision),
                f"{percent(report.rules[rule].precision_low)}–"
                f"{percent(report.rules[rule].precision_high)}",
                percent(report.rules[rule].coverage),
            )
            for report in reports
            for at, rule in enumerate(rules)
        ),
    )


def place_table(places: Iterable[Place]) -> Table:
    return table(
        ("verifier", "kind", "standing", "precision", "measured on", "why"),
        (
            (
                place.verifier,
                place.kind,
                state(place.state),
                percent(place.precision),
                f"{place.source}, {counted(place.items, 'item')}" if place.items else "",
                f"{place.by}: {place.reason}" if place.by else "",
            )
            for place in places
        ),
    )


def percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"
