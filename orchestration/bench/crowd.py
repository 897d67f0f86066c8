"""Many goals, tasks, ledger entries, verdicts, model calls, proposals and requests, straight into the tables.

What the console and the API are timed against. Rows are shaped as a week of work leaves them; the ledger's
hashes are not a chain, so `ledger verify` rightly complains about this database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest
from orchestration.models import Budget, Goal, Plan, Project

PROJECT = "crowd"
OBJECTIVE = "Bring the billing service up to date and prove that invoices stay the same"
UNDER_WAY = 10  # every tenth goal is
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sizes:
    goals: int = 200
    tasks: int = 100_000
    entries: int = 1_000_000
    big: int = 1000  # tasks of the first goal

    @property
    def each(self) -> int:
        """Tasks of each other goal."""
        return max((self.tasks - self.big) // max(self.goals - 1, 1), 1)


# Ids are given: a task that is done points at its attempt, which points at it. Of a goal that is over all
# tasks are; of one under way a tenth are not.
_TASKS = """
INSERT INTO agentsys_orchestration_task
    (id, goal_id, plan_id, key, phase, agent, lane, definition, definition_hash, state, fence, unmet, expands,
     optional, scoped, priority, attempts_count, losses, accepted_attempt_id, reason, created_at, started_at,
     finished_at)
SELECT %(base)s + i, %(goal)s, %(plan)s, 'phase-' || (i / 50) || '/step-' || i, 'phase-' || (i / 50),
       (ARRAY['coder', 'tester', 'documenter', 'retriever', 'command'])[1 + i %% 5],
       CASE WHEN i %% 5 = 4 THEN 'cheap' ELSE 'agent' END,
       jsonb_build_object('objective', 'Step ' || i || ' of the migration',
                          'inputs', jsonb_build_object('n', i), 'acceptance', '["tests pass"]'::jsonb,
                          'verify', '["schema"]'::jsonb),
       md5(i::text), state, 1, CASE WHEN state = 'blocked' THEN 1 ELSE 0 END, false, false, false, 0,
       CASE WHEN state IN ('blocked') THEN 0 ELSE 1 + (i %% 17 = 0)::int END, 0,
       CASE WHEN state = 'done' THEN %(base)s + i END,
       CASE WHEN state = 'failed' THEN 'schema: output.total is missing (' || i %% 7 || ')' ELSE '' END,
       begun, CASE WHEN state <> 'blocked' THEN begun + interval '10 seconds' END,
       CASE WHEN state IN ('done', 'failed') THEN begun + (70 + i %% 90) * interval '1 second' END
FROM (SELECT i, now() - interval '6 days' + (%(number)s * 30 + i / 10) * interval '1 minute' AS begun,
             CASE WHEN (%(over)s OR i < %(count)s * 0.9) AND i %% 40 = 39 THEN 'failed'
                  WHEN %(over)s OR i < %(count)s * 0.9 THEN 'done'
                  WHEN i %% 3 = 0 THEN 'running' ELSE 'blocked' END AS state
      FROM generate_series(0, %(count)s - 1) AS i) AS made
"""
_EDGES = """
INSERT INTO agentsys_orchestration_dependency (task_id, needs_id)
SELECT %(base)s + i, %(base)s + i - step FROM generate_series(0, %(count)s - 1) AS i
CROSS JOIN (VALUES (10), (13)) AS back(step) WHERE i - step >= 0 AND (step = 10 OR i %% 2 = 0)
"""
_ATTEMPTS = """
INSERT INTO agentsys_orchestration_attempt
    (id, task_id, goal_id, number, lineage, lane, priority, fence, state, owner, lease_until, publishes, note,
     report, artifact_hash, base, tokens, cost_usd, reason, created_at, started_at, reported_at, finished_at)
SELECT t.id, t.id, t.goal_id, t.attempts_count, 't' || t.id || '.1', t.lane, 0, 1,
       CASE t.state WHEN 'done' THEN 'accepted' WHEN 'failed' THEN 'rejected' ELSE 'running' END,
       CASE WHEN t.state = 'running' THEN 1 END,
       CASE WHEN t.state = 'running' THEN now() + interval '1 day' END, 1, '',
       jsonb_build_object('outcome', 'done', 'output', jsonb_build_object('n', t.id)), md5(t.id::text), '',
       1500 + t.id %% 900, 0.01 + (t.id %% 90) / 1000.0, t.reason, t.started_at, t.started_at,
       t.finished_at, t.finished_at
FROM agentsys_orchestration_task AS t WHERE t.goal_id = %(goal)s AND t.state <> 'blocked'
"""
_VERDICTS = """
INSERT INTO agentsys_verification_verdict
    (attempt_id, goal_id, verifier, kind, state, outcome, score, spec_hash, artifact_hash, created_at,
     finished_at)
SELECT a.id, a.goal_id, v.name, v.name, 'done',
       CASE WHEN a.state = 'rejected' AND v.name = 'schema' THEN 'fail' ELSE 'pass' END, 0.9, md5('s'),
       a.artifact_hash, a.finished_at, a.finished_at
FROM agentsys_orchestration_attempt AS a CROSS JOIN (VALUES ('schema'), ('safety')) AS v(name)
WHERE a.goal_id = %(goal)s AND a.state <> 'running'
"""
_CALLS = """
INSERT INTO agentsys_workers_modelcall
    (attempt_id, goal_id, role, model, input_tokens, output_tokens, cost_usd, latency_ms, outcome, created_at)
SELECT a.id, a.goal_id, t.agent, (ARRAY['openai:large', 'anthropic:middle', 'ollama:small'])[1 + a.id %% 3],
       1200 + a.id %% 700, 300 + a.id %% 200, a.cost_usd, 800 + a.id %% 4000,
       CASE WHEN a.id %% 50 = 0 THEN 'error' ELSE 'ok' END, COALESCE(a.finished_at, now())
FROM agentsys_orchestration_attempt AS a JOIN agentsys_orchestration_task AS t ON t.id = a.task_id
WHERE a.goal_id = %(goal)s
"""
_LEDGER = """
INSERT INTO agentsys_orchestration_ledgerentry
    (goal_id, seq, event, actor, task_id, attempt_id, payload, at, hash)
SELECT %(goal)s, i, (ARRAY['task.ready', 'attempt.claimed', 'attempt.reported', 'task.done'])[1 + i %% 4],
       'orchestrator', %(base)s + i %% %(count)s, NULL, jsonb_build_object('n', i),
       now() - interval '6 days' + %(number)s * interval '30 minutes' + i * interval '3 seconds', md5(i::text)
FROM generate_series(1, %(entries)s) AS i
"""
_PROPOSALS = """
INSERT INTO agentsys_orchestration_proposal
    (goal_id, task_id, attempt_id, kind, title, payload, payload_hash, base_hash, risk, state, reason,
     publishes, created_at, applied_at, decided_at)
SELECT a.goal_id, a.task_id, a.id, 'action', 'Remove build folder ' || a.id,
       jsonb_build_object('argv', jsonb_build_array('rm', '-r', 'build-' || a.id)), md5(a.id::text), '',
       'write',
       CASE WHEN a.id %% 40 < 2 THEN 'in_review' ELSE 'applied' END, '', 0, a.started_at,
       CASE WHEN a.id %% 40 >= 2 THEN now() END, CASE WHEN a.id %% 40 >= 2 THEN now() END
FROM agentsys_orchestration_attempt AS a WHERE a.goal_id = %(goal)s AND a.id %% 20 < 2
"""
_REQUESTS = """
INSERT INTO agentsys_orchestration_approvalrequest
    (goal_id, task_id, attempt_id, proposal_id, kind, question, context, risk, quorum, roles, four_eyes,
     allowed, action_hash, requested_by, state, patience_seconds, on_expiry, created_at, decided_at)
SELECT p.goal_id, p.task_id, p.attempt_id, p.id, 'proposal', 'May the build folder go?', '{}', p.risk, 1,
       '[]', false, '["approve", "edit", "reject", "respond"]', p.payload_hash, 'agent:coder',
       CASE WHEN p.state = 'in_review' THEN 'open' ELSE 'approved' END, 0, 'expire', p.created_at,
       p.decided_at
FROM agentsys_orchestration_proposal AS p WHERE p.goal_id = %(goal)s
"""
_STATEMENTS = (_TASKS, _EDGES, _ATTEMPTS, _VERDICTS, _CALLS, _LEDGER, _PROPOSALS, _REQUESTS)
_SEQUENCES = ("agentsys_orchestration_task", "agentsys_orchestration_attempt")


def crowd(sizes: Sizes, tell: Tell) -> Sequence[int]:
    """Ids of the goals, the big one first; those of the last time where they are there already."""
    if Goal.objects.exclude(project__name=PROJECT).exists():
        problem = (
            "there are goals in this database; AGENTSYS_HOME=/some/folder gives one of its own"
        )
        raise BadInput(what="bench", problems=[problem])
    there = list(Goal.objects.order_by("pk").values_list("pk", flat=True))
    if len(there) == sizes.goals:
        return there
    if there:
        problem = f"{len(there)} goals of an earlier bench are here; give a new AGENTSYS_HOME"
        raise BadInput(what="bench", problems=[problem])
    project = Project.objects.get_or_create(name=PROJECT)[0]
    base, made = 1, []
    for number in range(sizes.goals):
        count = sizes.each if number else sizes.big
        made.append(_goal(project, number, base, count, sizes.entries // sizes.goals))
        base += count
        if number % 20 == 19:
            tell(f"{number + 1} of {sizes.goals} goals, {base - 1:,} tasks")
    with connection.cursor() as cursor:
        for table in _SEQUENCES:
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, base])
        cursor.execute("VACUUM ANALYZE")
    return made


def _goal(project: Project, number: int, base: int, count: int, entries: int) -> int:
    contract = {"objective": f"{OBJECTIVE} ({number})"}
    over = number % UNDER_WAY != 0
    with transaction.atomic(), connection.cursor() as cursor:
        goal = Goal.objects.create(
            project=project,
            objective=contract["objective"],
            contract=contract,
            contract_hash=digest(contract),
            state="running",
            ledger_seq=entries,
            ledger_head="0" * 64,
        )
        plan = Plan.objects.create(
            goal=goal, version=1, planner="bench", document={"tasks": []}, document_hash="x"
        )
        Budget.objects.create(goal=goal, tokens_spent=900_000, cost_usd_spent=9)
        asked: dict[str, Any] = {
            "goal": goal.pk, "plan": plan.pk, "base": base, "number": number, "count": count,
            "entries": entries, "over": over,
        }  # fmt: skip
        for statement in _STATEMENTS:
            cursor.execute(statement, asked)
        failed = number % 7 == 3
        cursor.execute(
            "UPDATE agentsys_orchestration_goal SET started_at = now() - interval '6 days', state = %s,"
            " finished_at = CASE WHEN %s THEN now() - interval '1 day' END, reason = %s WHERE id = %s",
            [
                ("failed" if failed else "succeeded") if over else "running",
                over,
                "task phase-3/step-159 failed: schema" if over and failed else "",
                goal.pk,
            ],
        )
    return int(goal.pk)
