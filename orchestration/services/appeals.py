"""A worker's appeal: what was rejected is judged once more, with new evidence, by the same verifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsys.kernel.errors import AgentsysError
from orchestration.models import Attempt
from orchestration.services.ledger import Book
from orchestration.services.tribunal import ruling_of
from verification import services as verification


class AppealRefused(AgentsysError):
    """There is nothing that this worker may appeal, or nothing new in what it hands in."""

    code = "appeal-refused"
    template = "the appeal against {verifier} is refused: {why}; hand in new work instead"


def appealable(task_id: int) -> tuple[str, ...]:
    """The verifiers whose rejection the task's next attempt may appeal."""
    last = _rejected(task_id)
    if last is None or _appeals(task_id):
        return ()
    views = verification.verdicts_of([last.pk])[last.pk]
    return verification.appealable(ruling_of(last, in_round=0), views)


def appeal_taken(task_id: int, report: Mapping[str, Any]) -> dict[str, Any]:
    """The report to be judged in the place of one that appeals. Raises AppealRefused."""
    verifier = report["appeal"]["verifier"]
    last = _rejected(task_id)
    if last is None or last.report is None:
        raise AppealRefused(verifier=verifier, why="no verifier has rejected anything of this task")
    if _appeals(task_id):
        raise AppealRefused(verifier=verifier, why="this task has appealed before")
    open_to = appealable(task_id)
    if verifier not in open_to:
        may = (
            f"only {', '.join(open_to)} can be appealed"
            if open_to
            else (
                "a veto and a person's word are lifted by people only, and nothing else rejected it"
            )
        )
        raise AppealRefused(verifier=verifier, why=may)
    if problem := verification.evidence_problem(last.report, report):
        raise AppealRefused(verifier=verifier, why=problem)
    return verification.appealed(last.report, report)


def appeal_record(
    book: Book, report: Mapping[str, Any], *, task_id: int, attempt_id: int, actor: str
) -> None:
    if report.get("appeal"):
        book.record(
            "verdict.appealed",
            actor=actor,
            task_id=task_id,
            attempt_id=attempt_id,
            payload=dict(report["appeal"]),
        )


def _rejected(task_id: int) -> Attempt | None:
    rows = Attempt.objects.select_related("task").filter(task_id=task_id, state="rejected")
    return rows.order_by("-number").first()


def _appeals(task_id: int) -> bool:
    return Attempt.objects.filter(task_id=task_id, report__has_key="appeal").exists()
