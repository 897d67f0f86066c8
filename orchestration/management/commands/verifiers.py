"""`verifiers list|score|measure|trust|demote|backtest`: how good verifiers are, whom to believe, and what a
policy would have decided."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import counted
from orchestration.cli.backtest import add_backtest, backtest
from orchestration.cli.measuring import add_measure, measure
from orchestration.cli.output import Command as Base
from orchestration.cli.output import actor, add_json, positive, project_known
from orchestration.cli.scoring import (
    judges_chosen,
    panel_table,
    panels_of,
    place_table,
    score_table,
)
from orchestration.services.outcomes import GOALS, outcomes_recorded, scores_of
from verification import scoreboard
from verification.domain.panels import ITEMS_MIN, SPLITS, PanelReport, panel_report
from verification.domain.recordings import Recording, judges_of, recordings_read

DATA_BYTES_MAX = 200_000_000


class Command(Base):
    help = "Measure verifiers on verdicts whose right answer is known, and see whom to believe."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add_json(verbs.add_parser("list", help="every verifier, its standing and last measurement"))
        _score(verbs.add_parser("score", help="precision, recall, abstention, agreement, cost"))
        for verb, text in (
            ("trust", "let a demoted verifier decide again"),
            ("demote", "let a verifier advise only"),
        ):
            one = verbs.add_parser(verb, help=text)
            one.add_argument("verifier")
            one.add_argument("--reason", required=True)
        add_backtest(verbs)
        add_measure(verbs.add_parser("measure", help="figures on sets with known answers"))

    def do_measure(self, **options: Any) -> None:
        sys.exit(measure(self, options))

    def do_backtest(self, **options: Any) -> None:
        backtest(self, **options)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"do_{verb}")(**options)

    def do_list(self, **options: Any) -> None:
        places = scoreboard.scoreboard()
        if options["json"]:
            self.emit([asdict(place) for place in places], as_json=True)
            return
        self.show(place_table(places))

    def do_trust(self, **options: Any) -> None:
        self._stand("trusted", **options)

    def do_demote(self, **options: Any) -> None:
        self._stand("advisory", **options)

    def _stand(self, state: str, **options: Any) -> None:
        name = options["verifier"]
        scoreboard.standing_set(name, state, by=actor(), reason=options["reason"])
        self.note(f"{name} is {state} from now on")

    def do_score(self, **options: Any) -> None:
        recordings, source = _recordings(options)
        judges = judges_chosen(judges_of(recordings), options["only"], options["without"])
        if not judges and recordings:
            known = ", ".join(judges_of(recordings)[:11])
            raise BadInput(what="--only", problems=[f"no judge is left; there are {known}"])
        recordings = [_of(r, judges) for r in recordings]
        scores = scores_of(recordings)
        reports = self._panels(recordings, judges, options)
        told = {
            "source": source,
            "items": len(recordings),
            "judges": [s.to_json() for s in scores],
            "panels": [r.to_json() for r in reports],
        }
        if options["store"] and recordings:
            told["demoted"] = self._store(scores, reports, recordings, source, options)
        if options["json"]:
            self.emit(told, as_json=True)
        elif not recordings:
            self.note("nobody has overruled, approved or rejected anything yet: nothing to score")
        else:
            self.show(score_table(scores), *([panel_table(reports)] if reports else []))

    def _panels(
        self, recordings: list[Recording], judges: list[str], options: dict[str, Any]
    ) -> list[PanelReport]:
        if len({r.gold for r in recordings}) != 2 or len(recordings) < ITEMS_MIN:
            if len(judges) > 1:
                self.note(
                    f"no consensus is fitted: that takes {ITEMS_MIN} items with two different golds"
                )
            return []
        return [
            panel_report(name, recordings, panel, splits=options["splits"], seed=options["seed"])
            for name, panel in panels_of(judges).items()
        ]

    def _store(
        self,
        scores: list[Any],
        reports: list[PanelReport],
        recordings: list[Recording],
        source: str,
        options: dict[str, Any],
    ) -> list[str]:
        hashed = scoreboard.data_hash(recordings)
        demoted = scoreboard.scores_store(
            scores, source=source, data_hash=hashed, by=actor(), floor=options["floor"]
        )
        golds = sorted({r.gold for r in recordings})
        scoreboard.panels_store(reports, source=source, data_hash=hashed, golds=golds, by=actor())
        self.note(f"kept: {counted(len(scores), 'measurement')}")
        if demoted:
            self.note(
                f"demoted to advisory: {', '.join(demoted)};"
                " `verifiers trust NAME --reason …` takes it back"
            )
        return demoted


def _score(parser: CommandParser) -> None:
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument(
        "--data", nargs="+", type=Path, metavar="PATH", help="recorded verdicts, JSON lines"
    )
    data.add_argument(
        "--goals", action="store_true", help="verdicts on goals that a person has spoken on"
    )
    parser.add_argument("--project", help="with --goals: of this project only")
    for name, text in (("--only", "judges to look at"), ("--without", "judges to leave out")):
        parser.add_argument(name, action="append", default=[], metavar="PATTERN", help=text)
    parser.add_argument("--splits", type=positive, default=SPLITS, help="random halvings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", action="store_true", help="keep it on the scoreboard")
    parser.add_argument("--floor", type=_fraction, help="instead of AGENTSYS_VERIFIER_FLOOR")
    add_json(parser)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value <= 1:
        return value
    raise argparse.ArgumentTypeError(f"`{text}`: expected a fraction from 0 to 1")


def _recordings(options: dict[str, Any]) -> tuple[list[Recording], str]:
    if options["goals"]:
        project = project_known(options["project"]) if options["project"] else None
        return outcomes_recorded(project), GOALS
    paths: list[Path] = options["data"]
    return recordings_read(_lines(paths), name=_named(paths)), _named(paths)


def _lines(paths: list[Path]) -> list[str]:
    lines: list[str] = []
    for path in paths:
        try:
            if path.stat().st_size > DATA_BYTES_MAX:
                raise BadInput(
                    what=str(path),
                    problems=[f"it is too large; at most {DATA_BYTES_MAX} bytes are read"],
                )
            lines += path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(what=str(path), problems=[f"it cannot be read: {error}"]) from error
    return lines


def _named(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)[:200]


def _of(recording: Recording, judges: list[str]) -> Recording:
    kept = set(judges)
    votes = {judge: given for judge, given in recording.votes.items() if judge in kept}
    return Recording(recording.item, recording.gold, votes, recording.cost_usd)
