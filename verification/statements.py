"""The hand-written SQL of this app: what the scheduler runs for many attempts at once.

Every statement is guarded by the state it expects and uses the database's clock. They run on
Django's connection, inside the caller's transaction if there is one.
"""

from __future__ import annotations

TABLE = "agentsys_verification_verdict"

_INSERT = f"""
INSERT INTO {TABLE} (attempt_id, goal_id, verifier, voter, kind, state, outcome, veto, score,
                     reasons, evidence, spec_hash, artifact_hash, publish_due_at, publishes,
                     created_at, finished_at)
SELECT r.attempt_id, r.goal_id, r.verifier, r.voter, r.kind,
       CASE WHEN r.outcome IS NULL THEN 'queued' ELSE 'done' END, r.outcome, r.veto, r.score,
       r.reasons, r.evidence, r.spec_hash, r.artifact_hash,
       CASE WHEN r.outcome IS NULL THEN now() + make_interval(secs => r.due_seconds) END, 0,
       now(), CASE WHEN r.outcome IS NOT NULL THEN now() END
FROM jsonb_to_recordset(%(verdicts)s::jsonb)
  AS r(attempt_id bigint, goal_id bigint, verifier text, voter text, kind text, outcome text,
       veto boolean, score float8, reasons jsonb, evidence jsonb, spec_hash text,
       artifact_hash text, due_seconds float8)
WHERE {{only}}
ON CONFLICT (attempt_id, verifier, voter) DO NOTHING RETURNING 1
"""  # noqa: S608 - TABLE is ours
INSERT = _INSERT.format(only="true")
# For a statement that has just accepted attempts: theirs only.
INSERT_OF_ACCEPTED = _INSERT.format(only="r.attempt_id IN (SELECT id FROM accepted)")

CLAIM = f"""
UPDATE {TABLE}
SET busy_until = clock_timestamp() + make_interval(secs => %(busy)s),
    publish_due_at = clock_timestamp() + make_interval(secs => %(busy)s)
WHERE attempt_id = %(attempt)s AND verifier = %(verifier)s AND voter = %(voter)s
  AND state = 'queued' AND (busy_until IS NULL OR busy_until <= clock_timestamp())
"""  # noqa: S608

RENEW = f"""
UPDATE {TABLE}
SET busy_until = clock_timestamp() + make_interval(secs => %(busy)s),
    publish_due_at = clock_timestamp() + make_interval(secs => %(busy)s)
WHERE attempt_id = %(attempt)s AND verifier = %(verifier)s AND voter = %(voter)s
  AND state = 'queued' AND busy_until IS NOT NULL
"""  # noqa: S608

RECORD = f"""
UPDATE {TABLE}
SET state = 'done', outcome = %(outcome)s, veto = %(veto)s, score = %(score)s,
    reasons = %(reasons)s::jsonb, evidence = %(evidence)s::jsonb,
    finished_at = clock_timestamp(), publish_due_at = NULL, busy_until = NULL
WHERE attempt_id = %(attempt)s AND verifier = %(verifier)s AND voter = %(voter)s
  AND state = 'queued'
"""  # noqa: S608

# Asking locks the rows for the caller's transaction, so that two sweepers publish different ones.
DUE = f"""
SELECT id, attempt_id, verifier, voter FROM {TABLE}
WHERE state = 'queued' AND publish_due_at <= clock_timestamp()
ORDER BY publish_due_at LIMIT %s FOR UPDATE SKIP LOCKED
"""  # noqa: S608

PUBLISHED = f"""
UPDATE {TABLE}
SET publishes = publishes + 1,
    publish_due_at = clock_timestamp() + make_interval(
        secs => least(%(first)s * 2 ^ least(publishes, 20), %(most)s))
WHERE id = ANY(%(ids)s) AND state = 'queued'
"""  # noqa: S608

WITHDRAW = f"""
UPDATE {TABLE} SET publish_due_at = NULL
WHERE attempt_id = ANY(%s) AND state = 'queued' AND publish_due_at IS NOT NULL
"""  # noqa: S608

# A person need not wait for a verifier that has not spoken: it is recorded as silent.
OVERRIDE = f"""
UPDATE {TABLE}
SET state = 'done', outcome = coalesce(outcome, 'abstain'),
    reasons = CASE WHEN state = 'done' THEN reasons
                   ELSE '["a person decided before this verifier spoke"]'::jsonb END,
    finished_at = coalesce(finished_at, clock_timestamp()), publish_due_at = NULL,
    busy_until = NULL,
    overridden_outcome = %(outcome)s, overridden_by = %(by)s, override_reason = %(reason)s
WHERE attempt_id = %(attempt)s AND verifier = %(verifier)s AND voter = %(voter)s
"""  # noqa: S608

OF_ATTEMPTS = f"""
SELECT attempt_id, verifier, voter, kind, outcome, veto, score, reasons::text, evidence::text,
       spec_hash, artifact_hash, overridden_outcome, overridden_by, override_reason
FROM {TABLE} WHERE attempt_id = ANY(%s) ORDER BY id
"""  # noqa: S608

COUNTS = f"""
SELECT verifier, coalesce(outcome, 'queued'), count(*), count(*) FILTER (WHERE veto),
       count(overridden_outcome)
FROM {TABLE} GROUP BY 1, 2
"""  # noqa: S608

SCORES = f"""
SELECT verifier, avg(score) FROM {TABLE} WHERE score IS NOT NULL GROUP BY 1
"""  # noqa: S608

CLAIMS = f"""
SELECT coalesce(sum((evidence->>'claims')::int), 0),
       coalesce(sum((evidence->>'ungrounded')::int), 0)
FROM {TABLE} WHERE kind = 'grounding'
  AND jsonb_typeof(evidence->'claims') = 'number' AND jsonb_typeof(evidence->'ungrounded') = 'number'
  AND goal_id = coalesce(%s, goal_id)
"""  # noqa: S608
