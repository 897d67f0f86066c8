"""How verifiers did on real goals: their verdicts, where a person or what came later has said what
was right.

Known are only attempts that somebody has spoken on: a verdict that a person overruled, an output
that a person replaced, a proposal or a result that a person approved or rejected. People look where
something is doubtful, so the figures are those of doubtful work; they find verifiers that err, and
are no estimate for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from orchestration.models import Project
from verification import scoreboard
from verification.domain.recordings import Recording, judges_of
from verification.domain.scoring import Score, score

GOALS = "goals"

# The last word on an attempt wins: a replaced output over an approval of it.
_GOLDS = """
WITH word AS (
  SELECT r.attempt_id, d.at,
         CASE WHEN d.decision = 'approve' THEN 'pass' ELSE 'fail' END AS gold
  FROM agentsys_orchestration_decision d
  JOIN agentsys_orchestration_approvalrequest r ON r.id = d.request_id
  WHERE r.kind IN ('proposal', 'verdict') AND d.decision IN ('approve', 'reject')
    AND r.attempt_id IS NOT NULL AND (%(project)s IS NULL OR EXISTS (
      SELECT 1 FROM agentsys_orchestration_goal g
      WHERE g.id = r.goal_id AND g.project_id = %(project)s))
  UNION ALL
  SELECT (e.payload ->> 'before')::bigint, e.at, 'fail'
  FROM agentsys_orchestration_ledgerentry e
  WHERE e.event = 'output.overridden' AND e.payload ->> 'before' IS NOT NULL
    AND (%(project)s IS NULL OR EXISTS (
      SELECT 1 FROM agentsys_orchestration_goal g
      WHERE g.id = e.goal_id AND g.project_id = %(project)s))
), last_word AS (
  SELECT DISTINCT ON (attempt_id) attempt_id, gold FROM word ORDER BY attempt_id, at DESC
)
SELECT v.attempt_id, v.verifier, v.voter, v.outcome, v.overridden_outcome, w.gold
FROM agentsys_verification_verdict v
LEFT JOIN last_word w ON w.attempt_id = v.attempt_id
WHERE v.state = 'done' AND (w.gold IS NOT NULL OR v.overridden_outcome IS NOT NULL)
  AND (%(project)s IS NULL OR EXISTS (
    SELECT 1 FROM agentsys_orchestration_goal g
    WHERE g.id = v.goal_id AND g.project_id = %(project)s))
ORDER BY v.attempt_id, v.verifier, v.voter
"""


def outcomes_recorded(project: Project | None = None) -> list[Recording]:
    """Every verdict whose right outcome is known, as recordings of `pass` and `fail`."""
    with connection.cursor() as cursor:
        cursor.execute(_GOLDS, {"project": project.pk if project else None})
        return list(_recordings(cursor.fetchall()))


def scores_of(recordings: list[Recording]) -> list[Score]:
    judges = judges_of(recordings)
    return [score(judge, recordings, judges) for judge in judges]


def goals_scored(*, by: str = "clock") -> list[str]:
    """Measure all goals anew and keep it; names that were demoted by it. With nothing new since the
    last time, nothing changes."""
    recordings = outcomes_recorded()
    if not recordings:
        return []
    return scoreboard.scores_store(
        scores_of(recordings),
        source=GOALS,
        data_hash=scoreboard.data_hash(recordings),
        by=by,
    )


def _recordings(
    rows: Iterable[tuple[int, str, str, str, str | None, str | None]],
) -> Iterable[Recording]:
    """A person's word over one verdict is about that verdict alone."""
    shared: dict[tuple[int, str], dict[str, tuple[str | None, ...]]] = {}
    for attempt_id, verifier, voter, outcome, overridden, gold in rows:
        judge = f"{verifier}/{voter}" if voter else verifier
        said = outcome if outcome in ("pass", "fail") else None
        if overridden:
            yield Recording(f"attempt-{attempt_id}/{judge}", overridden, {judge: (said,)})
        elif gold:
            shared.setdefault((attempt_id, gold), {})[judge] = (said,)
    for (attempt_id, gold), votes in shared.items():
        yield Recording(f"attempt-{attempt_id}", gold, votes)
