"""The statements that every task goes through, set-based and by hand: claim, accept, unlock.

`services.hotpath` runs them and says what they guarantee. They write several states at once, always
along the tables in `domain.lives` (running → reported → accepted in one step is two legal moves).
The ORM would need 8 to 17 times as long for the same work.
"""

from __future__ import annotations

from orchestration.services.ledger import ENTRIES_INSERT, ENTRY_HASH, HEAD_UPDATE
from verification.services import INSERT_OF_ACCEPTED

# Which goal is served next: highest priority first, then the one that was served longest ago. One
# whose lock is held is served by another worker at this moment; there may be one that nobody serves.
NEXT_GOAL = """
SELECT g.id FROM agentsys_orchestration_goal g
WHERE g.state = 'running' AND g.paused_at IS NULL AND EXISTS (
    SELECT 1 FROM agentsys_orchestration_attempt a
    JOIN agentsys_orchestration_task t ON t.id = a.task_id
    WHERE a.goal_id + 0 = g.id AND a.lane = %s AND a.state = 'queued'
      AND t.state = 'ready' AND t.paused_at IS NULL
      AND (t.due_at IS NULL OR t.due_at <= clock_timestamp()))
  AND (g.running_max IS NULL OR g.running_max > (
      SELECT count(*) FROM agentsys_orchestration_attempt r
      WHERE r.goal_id = g.id AND r.state = 'running'))
ORDER BY g.priority DESC, g.claimed_at NULLS FIRST, g.id LIMIT 1
"""
NEXT_FREE_GOAL = f"{NEXT_GOAL} FOR NO KEY UPDATE OF g SKIP LOCKED"

RUNNING = """
SELECT count(*) FROM agentsys_orchestration_attempt WHERE goal_id = %(goal)s::bigint AND state = 'running'
"""

# The queued attempts of a goal that could be claimed now, in the order in which they are.
NEXT_QUEUED = """
SELECT t.id, t.fence, a.lane FROM agentsys_orchestration_attempt a
JOIN agentsys_orchestration_task t ON t.id = a.task_id
WHERE a.goal_id + 0 = %(goal)s::bigint AND a.state = 'queued' AND t.state = 'ready'
  AND t.paused_at IS NULL AND (t.due_at IS NULL OR t.due_at <= clock_timestamp())
ORDER BY a.priority DESC, a.id LIMIT %(limit)s::bigint
"""

# These tables change faster than their statistics, so the planner is left little choice: the queue
# is read in the order of `attempt_claimable`, whose first column is the expression `goal_id + 0`,
# and all else is found by primary key. A guard that might tempt it to another index is written as
# `IS NOT DISTINCT FROM` or `IS TRUE`, which no index can answer. Of a guard of that kind the planner
# expects one row in two hundred: where one is always true, it is there to have it find rows by their
# keys instead of reading a whole table for a few.
_PICK_LANE = """
    SELECT q.id, q.task_id FROM (
        SELECT a.id, a.task_id FROM agentsys_orchestration_attempt a
        WHERE a.goal_id + 0 = %(goal)s::bigint AND a.lane = %(lane)s AND a.state = 'queued'
        ORDER BY a.priority DESC, a.id
    ) q, LATERAL (
        SELECT 1 FROM agentsys_orchestration_task t
        WHERE t.id = q.task_id AND t.state IS NOT DISTINCT FROM 'ready' AND NOT t.scoped
          AND (t.losses > 0) = %(suspect)s::boolean
          AND t.paused_at IS NULL
          AND (t.due_at IS NULL OR t.due_at <= %(now)s::timestamptz)
        OFFSET 0
    ) claimable LIMIT %(limit)s::bigint
"""

_PICK_TASK = """
    SELECT a.id, a.task_id FROM agentsys_orchestration_task t
    JOIN agentsys_orchestration_attempt a ON a.task_id = t.id AND a.state = 'queued'
    WHERE t.id = %(task)s::bigint AND t.goal_id IS NOT DISTINCT FROM %(goal)s::bigint
      AND t.state IS NOT DISTINCT FROM 'ready' AND t.paused_at IS NULL
      AND (t.due_at IS NULL OR t.due_at <= %(now)s::timestamptz)
      AND t.fence = COALESCE(%(fence)s::bigint, t.fence)
"""

# `told` as an entry of the ledger after the hash {before}.
_ENTRY = f"""
book.seq + told.n AS seq, told.event, told.actor, told.task_id, told.attempt_id, told.payload,
book.now, {ENTRY_HASH}
"""


# Entries of the form that `_ENTRY` gives, into the ledger.
_WRITTEN = """
INSERT INTO agentsys_orchestration_ledgerentry
    (goal_id, seq, event, actor, task_id, attempt_id, payload, at, hash)
SELECT %(goal)s::bigint, e.seq, e.event, e.actor, e.task_id, e.attempt_id, e.payload::jsonb,
       e.now, e.hash
FROM {source} e
"""


def _claim(pick: str) -> str:
    """Claim what `pick` finds, and write down that it was, after the entries that wait to be written.
    Nothing is written where nothing is found. Each row has the ledger's new head at its end."""
    return f"""
WITH picked AS MATERIALIZED ({pick}), taken AS (
    UPDATE agentsys_orchestration_task t
    SET state = 'running', fence = t.fence + 1, due_at = NULL, reason = '',
        started_at = COALESCE(t.started_at, %(now)s::timestamptz)
    FROM picked WHERE t.id = picked.task_id AND t.state IS NOT DISTINCT FROM 'ready'
    RETURNING picked.id AS attempt_id, t.fence, t.key, t.agent, t.definition,
              t.definition_hash, t.scoped,
              t.attempts_count, t.attempts_forgiven
), claimed AS (
    UPDATE agentsys_orchestration_attempt a
    SET state = 'running', fence = taken.fence, owner = %(owner)s::bigint, publish_due_at = NULL,
        lease_until = %(now)s::timestamptz + make_interval(secs => %(lease)s::float8),
        started_at = COALESCE(a.started_at, %(now)s::timestamptz)
    FROM taken WHERE a.id = taken.attempt_id AND a.state IS NOT DISTINCT FROM 'queued'
    RETURNING a.id, a.task_id, a.number, a.lineage, a.fence, a.lane, taken.key, taken.agent,
              taken.definition, taken.definition_hash, taken.scoped,
              taken.attempts_count - taken.attempts_forgiven
), told AS (
    SELECT 1 AS n, 'tasks.claimed' AS event, 'worker-' || %(owner)s::bigint AS actor,
           NULL::bigint AS task_id, NULL::bigint AS attempt_id,
           '{{"claims":[' || string_agg(
               '[' || task_id || ',' || id || ',' || fence || ']', ',' ORDER BY id
           ) || ']}}' AS payload
    FROM claimed HAVING count(*) > 0
), book AS (
    SELECT %(seq)s::bigint AS seq, %(now)s::timestamptz AS now
), entry AS (
    SELECT {_ENTRY.format(before="%(head)s::text")} FROM told, book
), waiting AS ({ENTRIES_INSERT.format(when="EXISTS (SELECT FROM told)")}),
appended AS ({_WRITTEN.format(source="entry")}), headed AS (
    UPDATE agentsys_orchestration_goal
    SET ledger_seq = entry.seq, ledger_head = entry.hash, claimed_at = %(now)s::timestamptz
    FROM entry WHERE agentsys_orchestration_goal.id = %(goal)s::bigint
)
SELECT claimed.*, entry.hash FROM claimed, entry
"""  # noqa: S608


CLAIM_LANE, CLAIM_TASK = _claim(_PICK_LANE), _claim(_PICK_TASK)

# Dependents of tasks that have just come to their end. `expands` ones stay blocked until `advance`
# has put their children in; the rest become ready and get their attempt in the same statement.
_COUNT_DOWN = """
freed AS (
    SELECT d.task_id, count(*) AS n FROM agentsys_orchestration_dependency d
    WHERE d.needs_id = ANY({ended}) GROUP BY d.task_id
    HAVING (count(*) > 0) IS NOT DISTINCT FROM true
), counted AS (
    UPDATE agentsys_orchestration_task t
    SET unmet = t.unmet - freed.n,
        state = CASE WHEN t.unmet = freed.n AND NOT t.expands THEN 'ready' ELSE t.state END,
        attempts_count = t.attempts_count + (t.unmet = freed.n AND NOT t.expands)::int
    FROM freed WHERE t.id = freed.task_id AND t.state IS NOT DISTINCT FROM 'blocked'
    RETURNING t.id, t.state, t.unmet, t.expands, t.lane, t.priority, t.attempts_count, t.fence
), queued AS (
    INSERT INTO agentsys_orchestration_attempt
        (task_id, goal_id, number, lineage, lane, priority, fence, state, publish_due_at,
         publishes, note, artifact_hash, base, tokens, cost_usd, reason)
    SELECT c.id, %(goal)s::bigint, c.attempts_count, 't' || c.id || '.' || c.attempts_count,
           c.lane, c.priority, c.fence, 'queued',
           {now} + make_interval(secs => %(republish)s::float8),
           0, '', '', '', 0, 0, ''
    FROM counted c WHERE c.state = 'ready'
)
"""

_NOW = "%(now)s::timestamptz"

# What was run and judged counts: `given` becomes accepted, its tasks done, and what they unlock ready.
_ACCEPTED = f"""
given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(items)s::jsonb)
        AS g(id bigint, fence bigint, report jsonb, hash text, tokens bigint, cost numeric)
    WHERE (g.id > 0) IS NOT DISTINCT FROM true {{when}}
), accepted AS (
    UPDATE agentsys_orchestration_attempt a
    SET state = 'accepted', report = COALESCE(given.report, a.report),
        artifact_hash = given.hash,
        tokens = a.tokens + given.tokens, cost_usd = a.cost_usd + given.cost,
        reported_at = COALESCE(a.reported_at, {{now}}),
        finished_at = {{now}}, lease_until = NULL, progress = 1
    FROM given
    WHERE a.id = given.id AND a.fence = given.fence
      AND (a.state IN ('running', 'reported')) IS TRUE
      AND a.goal_id IS NOT DISTINCT FROM %(goal)s::bigint
    RETURNING a.id, a.task_id, a.fence
), done AS (
    UPDATE agentsys_orchestration_task t
    SET state = 'done', finished_at = {{now}}, accepted_attempt_id = accepted.id, reason = ''
    FROM accepted
    WHERE t.id = accepted.task_id AND t.fence = accepted.fence
      AND (t.state IN ('running', 'verifying', 'held')) IS TRUE
    RETURNING t.id, accepted.id AS attempt_id, t.scoped
), released AS (
    DELETE FROM agentsys_orchestration_scopelease
    WHERE task_id IN (SELECT id FROM done WHERE scoped)
), spoken AS ({INSERT_OF_ACCEPTED}), {_COUNT_DOWN.replace("{ended}", "ARRAY(SELECT id FROM done)")}
"""  # noqa: S608 - put together from statements of our own
_MOVED = """
SELECT id, 'done', attempt_id, '', false FROM done
UNION ALL
SELECT id, state, fence, lane, expands AND unmet = 0 FROM counted
"""

# The ledger's entries are prepared in the belief that every item moves, and written only when it did.
_ALL_MOVED = "(SELECT count(*) FROM done) = %(count)s::bigint"
ACCEPT = f"""
WITH {_ACCEPTED.format(now=_NOW, when="")},
appended AS ({ENTRIES_INSERT.format(when=_ALL_MOVED)}),
headed AS ({HEAD_UPDATE.format(when=_ALL_MOVED)})
{_MOVED}
"""

# The same for one item, in a statement that is a transaction of its own: one trip instead of four.
# It takes the goal's lock, and what a lock is taken for is to see what its last holder wrote. But a
# statement sees what was there when it began. So `book` is empty, and nothing happens at all, where
# the goal was changed since: whoever changes anything in a goal moves its `ledger_seq`.
# The ledger's hashes are made here, where seq, head and time are known.
ACCEPT_ALONE = f"""
WITH book AS MATERIALIZED (
    SELECT locked.*, clock_timestamp() AS now FROM (
        SELECT g.id, g.ledger_seq AS seq, g.ledger_head AS head
        FROM agentsys_orchestration_goal g WHERE g.id = %(goal)s::bigint
        FOR NO KEY UPDATE
    ) locked
    WHERE locked.seq = (SELECT seen.ledger_seq FROM agentsys_orchestration_goal seen
                        WHERE seen.id = %(goal)s::bigint)
), {_ACCEPTED.format(now="(SELECT now FROM book)", when="AND EXISTS (SELECT FROM book)")},
told AS (
    SELECT 1 AS n, 'task.accepted' AS event, %(actor)s::text AS actor, done.id AS task_id,
           done.attempt_id, %(payload)s::text AS payload FROM done
    UNION ALL
    SELECT 2, 'tasks.unblocked', 'orchestrator', NULL, NULL,
           '{{"tasks":[' || string_agg(id::text, ',' ORDER BY id) || ']}}'
    FROM counted WHERE state = 'ready' HAVING count(*) > 0
), first AS (
    SELECT {_ENTRY.format(before="book.head")} FROM told, book WHERE told.n = 1
), second AS (
    SELECT {_ENTRY.format(before="first.hash")} FROM told, book, first WHERE told.n = 2
), entries AS (SELECT * FROM first UNION ALL SELECT * FROM second),
appended AS ({_WRITTEN.format(source="entries")}), headed AS (
    UPDATE agentsys_orchestration_goal
    SET ledger_seq = last.seq, ledger_head = last.hash
    FROM (SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1) last
    WHERE id = %(goal)s::bigint
)
{_MOVED}
"""  # noqa: S608

UNLOCK = f"""
WITH {_COUNT_DOWN.format(ended="%(ended)s::bigint[]", now=_NOW)}
SELECT id, state, fence, lane, expands AND unmet = 0 FROM counted
"""  # noqa: S608

QUEUE_AGAIN = """
WITH next AS (
    UPDATE agentsys_orchestration_task t SET attempts_count = t.attempts_count + 1
    WHERE t.id = ANY(%(tasks)s) AND t.state = 'ready'
    RETURNING t.id, t.lane, t.priority, t.attempts_count, t.fence, t.due_at
)
INSERT INTO agentsys_orchestration_attempt
    (task_id, goal_id, number, lineage, lane, priority, fence, state, publish_due_at, publishes,
     note, artifact_hash, base, tokens, cost_usd, reason)
SELECT n.id, %(goal)s, n.attempts_count,
       COALESCE(%(lineage)s, 't' || n.id || '.' || n.attempts_count), n.lane, n.priority, n.fence,
       'queued', COALESCE(n.due_at, %(now)s + make_interval(secs => %(republish)s)),
       0, '', '', '', 0, 0, ''
FROM next n RETURNING id, task_id
"""
