"""One thing done to several rows, each by itself: what became of each, as a page.

What was chosen is shown once more before anything is done (`bulk` for requests, `goal_several` for
goals); each row then has a transaction of its own, so that one refusal does not keep the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

PICKED_MAX = 100
DONE, DECIDED, WAITS, REFUSED = "done", "decided", "waits", "refused"
SIGNS = {DONE: ("✓", "good"), DECIDED: ("✓", "good"), WAITS: ("◔", "wait"), REFUSED: ("✕", "bad")}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row; `row` is None for one that is not there for the visitor."""

    named: str
    row: Any
    outcome: str
    said: str

    @property
    def mark(self) -> str:
        return SIGNS[self.outcome][0]

    @property
    def tone(self) -> str:
        return SIGNS[self.outcome][1]


def results_page(
    request: HttpRequest, results: Sequence[Result], summary: str, context: Mapping[str, Any]
) -> HttpResponse:
    """`context` has `title` and `opts`, whose list it leads back to."""
    shown = {**context, "results": results, "summary": summary}
    return TemplateResponse(request, "console/results.html", shown)
