"""Everything that `why` speaks of, in one query: one moment, however busy the goal is."""

from __future__ import annotations

import json
from types import SimpleNamespace

from django.db import connection

from agentsys.kernel.errors import NotFound
from agentsys.kernel.ids import Ref
from orchestration.models import Goal
from orchestration.services.approvals import DECIDERS
from orchestration.services.sessions import LOCK_CLASS

NAMES_MAX = 20

# What is asked about: its goal and task, and the row itself as `subject`.
_ASKED = {
    "goal": """
        SELECT g.id AS goal_id, NULL::bigint AS task_id, NULL::jsonb AS subject
        FROM agentsys_orchestration_goal g WHERE g.id = %(id)s""",
    "plan": """
        SELECT p.goal_id, NULL::bigint AS task_id, NULL::jsonb AS subject
        FROM agentsys_orchestration_plan p WHERE p.id = %(id)s""",
    "task": """
        SELECT t.goal_id, t.id AS task_id, NULL::jsonb AS subject
        FROM agentsys_orchestration_task t WHERE t.id = %(id)s""",
    "key": """
        SELECT t.goal_id, t.id AS task_id, NULL::jsonb AS subject
        FROM agentsys_orchestration_task t
        WHERE t.goal_id = %(id)s AND t.key = %(key)s AND t.state <> 'superseded'""",
    "attempt": """
        SELECT a.goal_id, a.task_id, jsonb_build_object(
            'id', a.id, 'number', a.number, 'state', a.state, 'reason', a.reason) AS subject
        FROM agentsys_orchestration_attempt a WHERE a.id = %(id)s""",
    "proposal": """
        SELECT p.goal_id, p.task_id, jsonb_build_object(
            'id', p.id, 'state', p.state, 'reason', p.reason,
            'asked', EXISTS (SELECT 1 FROM agentsys_orchestration_approvalrequest r
                             WHERE r.proposal_id = p.id AND r.state = 'open')) AS subject
        FROM agentsys_orchestration_proposal p WHERE p.id = %(id)s""",
    "approval": """
        SELECT r.goal_id, r.task_id, jsonb_build_object(
            'id', r.id, 'state', r.state, 'question', r.question, 'due_at', r.due_at,
            'quorum', r.quorum, 'roles', r.roles,
            'not_by', CASE WHEN r.four_eyes THEN r.requested_by END,
            'agreed', (SELECT count(*) FROM agentsys_orchestration_decision d
                       WHERE d.request_id = r.id AND d.decision IN ('approve', 'edit'))) AS subject
        FROM agentsys_orchestration_approvalrequest r WHERE r.id = %(id)s""",
}

_SITUATION = """
WITH asked AS ({asked}),
about AS (  -- of a goal: the ready task that is due next, or a swarm
    SELECT asked.*, COALESCE(asked.task_id, (
        SELECT t.id FROM agentsys_orchestration_task t
        WHERE t.goal_id = asked.goal_id AND t.state = 'ready' ORDER BY t.due_at, t.id LIMIT 1
    ), (
        SELECT s.task_id FROM agentsys_orchestration_swarm s
        WHERE s.goal_id = asked.goal_id AND s.state = 'mapping' ORDER BY s.task_id LIMIT 1
    )) AS about_id FROM asked
)
SELECT jsonb_build_object(
    'subject', about.subject,
    'of_task', about.task_id IS NOT NULL,
    'goal', jsonb_build_object(
        'id', g.id, 'state', g.state, 'reason', g.reason, 'paused', g.paused_at IS NOT NULL,
        'paused_by', g.paused_by, 'finished', g.finished_at IS NOT NULL, 'project', p.name,
        'running_max', g.running_max, 'running', CASE WHEN g.running_max IS NOT NULL THEN (
            SELECT count(*) FROM agentsys_orchestration_attempt a
            WHERE a.goal_id = g.id AND a.state = 'running') END),
    'counts', (
        SELECT jsonb_object_agg(c.state, c.n) FROM (
            SELECT x.state, count(*) AS n FROM agentsys_orchestration_task x
            WHERE x.goal_id = g.id AND about.task_id IS NULL AND x.state <> 'superseded'
            GROUP BY x.state) c),
    'fallen', CASE WHEN g.state = 'running' THEN (  -- the goal fails of these when all else has ended
        SELECT jsonb_agg(f.key) FROM (
            SELECT x.key FROM agentsys_orchestration_task x
            WHERE x.goal_id = g.id AND x.state = 'failed' AND NOT x.optional
            ORDER BY x.id LIMIT %(names)s) f) END,
    'task', CASE WHEN t.id IS NOT NULL THEN jsonb_build_object(
        'id', t.id, 'key', t.key, 'state', t.state, 'reason', t.reason, 'scoped', t.scoped,
        'paused', t.paused_at IS NOT NULL, 'finished', t.finished_at IS NOT NULL,
        'due_at', t.due_at, 'due_in', extract(epoch FROM t.due_at - clock_timestamp())) END,
    'needs', (
        SELECT jsonb_agg(jsonb_build_object('key', n.key, 'state', n.state, 'asked', (
            SELECT min(r.id) FROM agentsys_orchestration_approvalrequest r
            WHERE r.task_id = n.id AND r.state = 'open')) ORDER BY n.id)
        FROM agentsys_orchestration_dependency d
        JOIN agentsys_orchestration_task n ON n.id = d.needs_id
        WHERE d.task_id = t.id AND t.state = 'blocked' AND n.state <> 'done'
          AND NOT (n.state = 'failed' AND n.optional)),
    'swarm', (
        SELECT s.state FROM agentsys_orchestration_swarm s
        WHERE s.task_id = t.id AND t.state = 'blocked'),
    'attempt', (
        SELECT jsonb_build_object(
            'id', a.id, 'number', a.number, 'state', a.state, 'publishes', a.publishes,
            'note', a.note, 'started_at', a.started_at, 'owner', a.owner,
            'queued_for', extract(epoch FROM clock_timestamp() - a.created_at),
            'worker', (SELECT s.host || ':' || s.pid FROM agentsys_orchestration_workersession s
                       WHERE s.id = a.owner),
            'unheard', (SELECT jsonb_agg(v.verifier ORDER BY v.id)
                        FROM agentsys_verification_verdict v
                        WHERE v.attempt_id = a.id AND v.outcome IS NULL))
        FROM agentsys_orchestration_attempt a WHERE a.task_id = t.id
        ORDER BY a.number DESC LIMIT 1),
    'scope_held', EXISTS (
        SELECT 1 FROM agentsys_orchestration_scopelease s
        WHERE s.project_id = g.project_id AND s.space = g.repository AND t.scoped),
    'approval', (
        SELECT jsonb_build_object('id', r.id, 'due_at', r.due_at, 'roles', r.roles,
            'not_by', CASE WHEN r.four_eyes THEN r.requested_by END)
        FROM agentsys_orchestration_approvalrequest r
        WHERE r.goal_id = g.id AND r.state = 'open'  -- what all of it waits for comes first
        ORDER BY r.task_id IS NOT NULL, r.id LIMIT 1),
    'task_approval', (
        SELECT jsonb_build_object('id', r.id, 'due_at', r.due_at, 'roles', r.roles,
            'not_by', CASE WHEN r.four_eyes THEN r.requested_by END)
        FROM agentsys_orchestration_approvalrequest r
        WHERE r.task_id = t.id AND r.state = 'open' ORDER BY r.id LIMIT 1),
    'deciders', (
        SELECT jsonb_agg(x.username) FROM (
            SELECT u.username FROM agentsys_orchestration_membership m
            JOIN auth_user u ON u.id = m.user_id AND u.is_active
            WHERE m.project_id = g.project_id AND m.role = ANY(%(deciders)s)
            ORDER BY u.username LIMIT %(names)s) x),
    'goal_paused', CASE WHEN g.paused_at IS NOT NULL THEN (
        SELECT jsonb_build_object(
            'actor', e.actor, 'at', COALESCE(e.payload->'since', to_jsonb(e.at)),
            'reason', e.payload->>'reason')
        FROM agentsys_orchestration_ledgerentry e
        WHERE e.goal_id = g.id AND e.event = 'goal.paused' ORDER BY e.seq DESC LIMIT 1) END,
    'task_paused', CASE WHEN t.paused_at IS NOT NULL THEN (
        SELECT jsonb_build_object('actor', e.actor, 'at', e.at, 'reason', e.payload->>'reason')
        FROM agentsys_orchestration_ledgerentry e
        WHERE e.goal_id = g.id AND e.event = 'tasks.paused' ORDER BY e.seq DESC LIMIT 1) END,
    'alive', (
        SELECT jsonb_agg(l.objid::bigint) FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.classid = %(locks)s AND l.granted AND l.database =
            (SELECT oid FROM pg_database WHERE datname = current_database()))
)::text
FROM about
JOIN agentsys_orchestration_goal g ON g.id = about.goal_id
JOIN agentsys_orchestration_project p ON p.id = g.project_id
LEFT JOIN agentsys_orchestration_task t ON t.id = about.about_id
"""


def situation(ref: Ref) -> SimpleNamespace:
    """What is known of the thing at this moment, by the names in `_SITUATION`; NotFound."""
    kind = "key" if ref.key is not None else ref.kind
    if kind in _ASKED:
        with connection.cursor() as cursor:
            cursor.execute(
                _SITUATION.format(asked=_ASKED[kind]),
                {
                    "id": ref.id,
                    "key": ref.key,
                    "deciders": list(DECIDERS),
                    "names": NAMES_MAX,
                    "locks": LOCK_CLASS,
                },
            )
            if row := cursor.fetchone():
                seen: SimpleNamespace = json.loads(row[0], object_hook=_named)
                return seen
    if ref.key is not None and Goal.objects.filter(pk=ref.id).exists():
        raise NotFound(kind="task", id=str(ref), listing=f"goals show {ref.id}")
    kind = "goal" if ref.key is not None else ref.kind
    raise NotFound(kind=kind, id=ref.id, listing="goals list")


def _named(facts: dict[str, object]) -> SimpleNamespace:
    return SimpleNamespace(**facts)
