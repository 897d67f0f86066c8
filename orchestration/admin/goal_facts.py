"""What consequences for goals are told from, read for many goals in as many statements as for one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from orchestration.domain.lives import UNFINISHED
from orchestration.models import ApprovalRequest, Attempt, Goal, Task
from orchestration.services.reviving import failures


@dataclass(frozen=True, slots=True)
class Facts:
    """`states`: its tasks by state, without those that a newer plan replaced; `running`: attempts;
    `questions`: open requests; `failed`: keys of tasks that a retry would begin again; `rivals`: the
    other goals of its project under way, by priority. Those of other projects are not its to know."""

    states: Counter[str]
    running: int
    questions: int
    failed: tuple[str, ...]
    rivals: Counter[int]

    @property
    def unfinished(self) -> int:
        return sum(self.states[state] for state in UNFINISHED)


def facts_of(goal: Any) -> Facts:
    """Read once for a goal; a page of several has called `facts_read` before."""
    if not hasattr(goal, "facts_kept"):
        facts_read([goal])
    kept: Facts = goal.facts_kept
    return kept


def facts_read(goals: Collection[Any]) -> None:
    """For all of them, in five statements."""
    ids = [goal.pk for goal in goals]
    tasks = Task.objects.filter(goal__in=ids).exclude(state="superseded")
    states: dict[int, Counter[str]] = defaultdict(Counter)
    for goal_id, state, number in tasks.values_list("goal", "state").annotate(n=Count("id")):
        states[goal_id][state] = number
    failed: dict[int, list[str]] = defaultdict(list)
    for goal_id, key in failures(ids).values_list("goal", "key"):
        failed[goal_id].append(key)
    running = _numbers(Attempt.objects.filter(goal__in=ids, state="running"))
    questions = _numbers(ApprovalRequest.objects.filter(goal__in=ids, state="open"))
    rivals = _under_way({goal.project_id for goal in goals})
    for goal in goals:
        goal.facts_kept = Facts(
            states[goal.pk],
            running[goal.pk],
            questions[goal.pk],
            tuple(failed[goal.pk]),
            rivals[goal.project_id] - _itself(goal),
        )


def _numbers(rows: Any) -> Counter[int]:
    return Counter(dict(rows.order_by().values_list("goal").annotate(n=Count("id"))))


def _under_way(project_ids: Collection[int]) -> dict[int, Counter[int]]:
    rows = Goal.objects.filter(project__in=project_ids, state="running", paused_at__isnull=True)
    found: dict[int, Counter[int]] = defaultdict(Counter)
    for project_id, priority, number in (
        rows.order_by().values_list("project", "priority").annotate(n=Count("id"))
    ):
        found[project_id][priority] = number
    return found


def _itself(goal: Goal) -> Counter[int]:
    """Among those under way, where it is one."""
    going = goal.state == "running" and goal.paused_at is None
    return Counter({goal.priority: 1} if going else {})
