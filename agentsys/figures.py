"""What `/metrics` tells: each family of figures and the statement that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

VERDICT = "agentsys_verification_verdict"
CALL = "agentsys_workers_modelcall"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric, the labels, and the statement whose rows are (label, …, value).

    `tables` must exist for the statement to be asked: an app may not be migrated yet.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    sql: str
    counter: bool = False
    tables: tuple[str, ...] = ()

    def metric(self, rows: Sequence[Sequence[Any]]) -> Metric:
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        metric = kind(f"agentsys_{self.name}", self.text, labels=self.labels)
        for *labels, value in rows:
            if value is not None:
                metric.add_metric([str(label) for label in labels], float(value))
        return metric


FAMILIES = (
    Family(
        "goals",
        "Goals by state.",
        ("state",),
        "SELECT state, count(*) FROM agentsys_orchestration_goal GROUP BY 1",
    ),
    Family(
        "tasks_unfinished",
        "Tasks that are not over, by state.",
        ("state",),
        """
        SELECT state, count(*) FROM agentsys_orchestration_task
        WHERE state NOT IN ('done', 'failed', 'cancelled', 'superseded') GROUP BY 1
        """,
    ),
    Family(
        "queue_depth",
        "Work that nobody has claimed, by queue and lane.",
        ("queue", "lane"),
        """
        SELECT 'agents', lane, count(*) FROM agentsys_orchestration_attempt
        WHERE state = 'queued' GROUP BY 2
        UNION ALL
        SELECT 'verify', '', count(*) FROM agentsys_verification_verdict WHERE state = 'queued'
        UNION ALL
        SELECT 'control', '', count(*) FROM agentsys_orchestration_goal WHERE state = 'planning'
        """,
        tables=(VERDICT,),
    ),
    Family(
        "queue_oldest_seconds",
        "Age of the oldest work that nobody has claimed.",
        ("queue", "lane"),
        """
        SELECT 'agents', lane, extract(epoch FROM now() - min(created_at))
        FROM agentsys_orchestration_attempt WHERE state = 'queued' GROUP BY 2
        UNION ALL
        SELECT 'verify', '', extract(epoch FROM now() - min(created_at))
        FROM agentsys_verification_verdict WHERE state = 'queued'
        UNION ALL
        SELECT 'control', '', extract(epoch FROM now() - min(created_at))
        FROM agentsys_orchestration_goal WHERE state = 'planning'
        """,
        tables=(VERDICT,),
    ),
    Family(
        "attempts",
        "Attempts that are over, by agent and how they ended.",
        ("agent", "state"),
        """
        SELECT t.agent, a.state, count(*) FROM agentsys_orchestration_attempt a
        JOIN agentsys_orchestration_task t ON t.id = a.task_id
        WHERE a.finished_at IS NOT NULL GROUP BY 1, 2
        """,
        counter=True,
    ),
    Family(
        "attempt_latency_seconds",
        "Time from claim to report in the last hour, by agent and quantile.",
        ("agent", "quantile"),
        """
        SELECT agent, q, percentile_cont(q) WITHIN GROUP (ORDER BY seconds)
        FROM (SELECT t.agent, extract(
                  epoch FROM coalesce(a.reported_at, a.finished_at) - a.started_at) AS seconds
              FROM agentsys_orchestration_attempt a
              JOIN agentsys_orchestration_task t ON t.id = a.task_id
              WHERE a.started_at IS NOT NULL
                AND a.finished_at > now() - interval '1 hour') recent,
             unnest(ARRAY[0.5, 0.9, 0.99]::float8[]) q
        GROUP BY agent, q
        """,
    ),
    Family(
        "error_ratio",
        "Share of the attempts of the last hour that failed or were lost, by agent.",
        ("agent",),
        """
        SELECT t.agent, avg((a.state IN ('failed', 'lost'))::int)
        FROM agentsys_orchestration_attempt a
        JOIN agentsys_orchestration_task t ON t.id = a.task_id
        WHERE a.finished_at > now() - interval '1 hour' AND a.state <> 'cancelled' GROUP BY 1
        """,
    ),
    Family(
        "accepted_first_try_ratio",
        "Completion quality: share of the tasks done in the last hour at their first attempt.",
        (),
        """
        SELECT avg((a.number = 1)::int) FROM agentsys_orchestration_task t
        JOIN agentsys_orchestration_attempt a ON a.id = t.accepted_attempt_id
        WHERE t.state = 'done' AND t.finished_at > now() - interval '1 hour'
        """,
    ),
    Family(
        "verdict_score_mean",
        "Completion quality: mean score of the verdicts of the last hour, by verifier.",
        ("verifier",),
        """
        SELECT verifier, avg(score) FROM agentsys_verification_verdict
        WHERE finished_at > now() - interval '1 hour' AND score IS NOT NULL GROUP BY 1
        """,
        tables=(VERDICT,),
    ),
    Family(
        "verdicts",
        "Verdicts by verifier and outcome.",
        ("verifier", "outcome"),
        """
        SELECT verifier, outcome, count(*) FROM agentsys_verification_verdict
        WHERE state = 'done' GROUP BY 1, 2
        """,
        counter=True,
        tables=(VERDICT,),
    ),
    Family(
        "approvals_open",
        "Approval requests that wait for a person, by kind.",
        ("kind",),
        """
        SELECT kind, count(*) FROM agentsys_orchestration_approvalrequest
        WHERE state = 'open' GROUP BY 1
        """,
    ),
    Family(
        "workers_alive",
        "Worker processes seen in the last 30 seconds.",
        (),
        """
        SELECT count(*) FROM agentsys_orchestration_workersession
        WHERE ended_at IS NULL AND seen_at > now() - interval '30 seconds'
        """,
    ),
    Family(
        "model_tokens",
        "Tokens by model, role and direction.",
        ("model", "role", "direction"),
        """
        SELECT model, role, 'input', sum(input_tokens) FROM agentsys_workers_modelcall
        GROUP BY 1, 2
        UNION ALL
        SELECT model, role, 'output', sum(output_tokens) FROM agentsys_workers_modelcall
        GROUP BY 1, 2
        """,
        counter=True,
        tables=(CALL,),
    ),
    Family(
        "model_calls",
        "Calls of models, by model and outcome.",
        ("model", "outcome"),
        "SELECT model, outcome, count(*) FROM agentsys_workers_modelcall GROUP BY 1, 2",
        counter=True,
        tables=(CALL,),
    ),
    Family(
        "model_latency_seconds",
        "Latency of the model calls of the last hour, by model and quantile.",
        ("model", "quantile"),
        """
        SELECT model, q, percentile_cont(q) WITHIN GROUP (ORDER BY latency_ms) / 1000.0
        FROM agentsys_workers_modelcall, unnest(ARRAY[0.5, 0.9, 0.99]::float8[]) q
        WHERE created_at > now() - interval '1 hour' GROUP BY model, q
        """,
        tables=(CALL,),
    ),
    Family(
        "attempt_tokens",
        "Tokens used by attempts, by agent.",
        ("agent",),
        """
        SELECT t.agent, sum(a.tokens) FROM agentsys_orchestration_attempt a
        JOIN agentsys_orchestration_task t ON t.id = a.task_id GROUP BY 1
        """,
        counter=True,
    ),
    Family(
        "spend_usd",
        "Money booked by attempts, by agent.",
        ("agent",),
        """
        SELECT t.agent, sum(a.cost_usd) FROM agentsys_orchestration_attempt a
        JOIN agentsys_orchestration_task t ON t.id = a.task_id GROUP BY 1
        """,
        counter=True,
    ),
)
