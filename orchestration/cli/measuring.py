"""`verifiers measure grounding|secrets|safety`: figures on sets with known answers.

It ends with 1 when recall is below what is promised, or there are more false alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from rich.table import Table

from agentsys.kernel.errors import BadInput
from orchestration.cli.output import Command, add_json, positive
from verification.measuring import grounding, safety, secrets
from verification.measuring.documents import HALVES
from verification.measuring.figures import Figures


def add_measure(parser: CommandParser) -> None:
    add_json(parser)
    parser.add_argument("what", choices=tuple(MEASURES))
    parser.add_argument("--corpus", type=Path, help="a folder of your own in place of the usual")
    parser.add_argument("--half", choices=HALVES, default="held-out", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=positive, help="cases of a kind")
    parser.add_argument(
        "--list", type=positive, default=0, metavar="N", help="show N wrong answers"
    )


def measure(command: Command, options: Mapping[str, Any]) -> int:
    """The exit status."""
    folder: Path | None = options["corpus"]
    if folder is not None and not folder.is_dir():
        raise BadInput(what="corpus", problems=[f"`{folder}` is no folder; give one with files"])
    figures = MEASURES[options["what"]](options)
    if options["json"]:
        command.emit(_document(figures), as_json=True)
    else:
        command.show(_table(figures), *_sentences(figures))
        for line in figures.wrong[: options["list"]]:
            command.show(line)
    return 0 if figures.holds else 1


def _grounding(options: Mapping[str, Any]) -> Figures:
    return grounding.measure(
        options["half"],
        seed=options["seed"],
        each=options["each"] or grounding.EACH,
        folder=options["corpus"],
    )


def _secrets(options: Mapping[str, Any]) -> Figures:
    return secrets.measure(
        options["half"],
        seed=options["seed"],
        each=options["each"] or secrets.EACH,
        folder=options["corpus"],
    )


def _safety(options: Mapping[str, Any]) -> Figures:
    return safety.measure(options["half"], seed=options["seed"], folder=options["corpus"])


MEASURES: Mapping[str, Callable[[Mapping[str, Any]], Figures]] = {
    "grounding": _grounding,
    "safety": _safety,
    "secrets": _secrets,
}


def _document(figures: Figures) -> dict[str, Any]:
    return {
        "measured": figures.of,
        "recall": figures.recall,
        "recall_min": figures.recall_min,
        "false_alarms": figures.false_alarms,
        "false_alarms_max": figures.false_alarms_max,
        "per": figures.per,
        "holds": figures.holds,
        "kinds": [{**asdict(one), "share": one.share} for one in figures.counts],
        "remarks": list(figures.remarks),
    }


def _table(figures: Figures) -> Table:
    table = Table("kind", "should be", "cases", "found", "share", box=None, pad_edge=False)
    for one in figures.counts:
        asked = "found" if one.is_bad else "let pass"
        share = f"{one.share:.3f}" if one.is_bad or figures.per == 1 else "-"
        table.add_row(one.kind, asked, f"{one.cases:,}", f"{one.found:,}", share)
    return table


def _sentences(figures: Figures) -> Sequence[str]:
    per = "" if figures.per == 1 else f" per {figures.per:,} {figures.good}"
    return (
        f"{figures.of}: recall {figures.recall:.3f} of {figures.bad_cases:,}"
        f" (at least {figures.recall_min}), false alarms {figures.false_alarms:.4g}{per}"
        f" of {figures.good_cases:,} (at most {figures.false_alarms_max})",
        *figures.remarks,
    )
