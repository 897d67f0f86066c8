"""The routes of `/api/v1/`."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import IsAuthenticated

from orchestration.api import (
    approvals,
    asking,
    bulk,
    changing,
    deliveries,
    docs,
    events,
    fleet,
    goals,
    ledger,
    lists,
    memories,
    memory,
    plans,
    schedules,
    steering,
    tasks,
)

urlpatterns = [
    path(
        "schema",
        SpectacularAPIView.as_view(permission_classes=[IsAuthenticated]),
        name="api-schema",
    ),
    path("docs", docs.api_docs, name="api-docs"),
    path("goals", goals.goals_root, name="api-goals"),
    path("goals/bulk", bulk.goals_bulk, name="api-goals-bulk"),
    path("goals/<int:goal_id>", goals.goal_show, name="api-goal"),
    path("goals/<int:goal_id>/brief", asking.goal_brief, name="api-goal-brief"),
    *(
        path(f"{kind}s/<int:{kind}_id>/why", asking.why_of(kind), name=f"api-{kind}-why")
        for kind in asking.ASKED
    ),
    path("goals/<int:goal_id>/tasks", changing.goal_tasks, name="api-goal-tasks"),
    path("goals/<int:goal_id>/claims", goals.goal_claims, name="api-goal-claims"),
    path("goals/<int:goal_id>/artifacts", lists.goal_artifacts, name="api-goal-artifacts"),
    path("goals/<int:goal_id>/calls", lists.goal_calls, name="api-goal-calls"),
    path("goals/<int:goal_id>/cost", lists.goal_cost, name="api-goal-cost"),
    path("goals/<int:goal_id>/decisions", lists.goal_decisions, name="api-goal-decisions"),
    path("goals/<int:goal_id>/ledger", ledger.goal_ledger, name="api-goal-ledger"),
    path("goals/<int:goal_id>/plan", changing.goal_plan, name="api-goal-plan"),
    *(
        path(
            f"goals/<int:goal_id>/{verb.name}",
            steering.view_of(verb),
            name=f"api-goal-{verb.name}",
        )
        for verb in steering.VERBS
    ),
    path("plans/validate", plans.plan_validate, name="api-plan-validate"),
    path("tasks/<int:task_id>", tasks.task_show, name="api-task"),
    path("tasks/<int:task_id>/attempts", lists.task_attempts, name="api-task-attempts"),
    path("tasks/<int:task_id>/edit", changing.task_edit, name="api-task-edit"),
    path("tasks/<int:task_id>/override", changing.task_override, name="api-task-override"),
    path("tasks/<int:task_id>/pause", changing.task_pause, name="api-task-pause"),
    path("tasks/<int:task_id>/resume", changing.task_resume, name="api-task-resume"),
    path("artifacts/<int:artifact_id>/content", lists.artifact_content, name="api-artifact"),
    path("deliveries", deliveries.deliveries_list, name="api-deliveries"),
    path(
        "deliveries/<int:delivery_id>/again", deliveries.delivery_again, name="api-delivery-again"
    ),
    path("schedules", schedules.schedules_root, name="api-schedules"),
    path("schedules/<int:schedule_id>", schedules.schedule_show, name="api-schedule"),
    path("schedules/<int:schedule_id>/pause", schedules.schedule_pause, name="api-schedule-pause"),
    path(
        "schedules/<int:schedule_id>/resume", schedules.schedule_resume, name="api-schedule-resume"
    ),
    path("schedules/<int:schedule_id>/run", schedules.schedule_run, name="api-schedule-run"),
    path("projects", fleet.projects_list, name="api-projects"),
    path("playbooks", fleet.playbooks_list, name="api-playbooks"),
    path("workers", fleet.workers_list, name="api-workers"),
    path("queues", fleet.queues_list, name="api-queues"),
    path("projects/<slug:name>/pause", changing.project_pause, name="api-project-pause"),
    path("projects/<slug:name>/resume", changing.project_resume, name="api-project-resume"),
    path("goals/<int:goal_id>/budget", changing.budget_of("goal"), name="api-goal-budget"),
    path("tasks/<int:task_id>/budget", changing.budget_of("task"), name="api-task-budget"),
    path("projects/<slug:name>/budget", changing.budget_of("project"), name="api-project-budget"),
    path("pause", changing.everything_pause, name="api-pause"),
    path("resume", changing.everything_resume, name="api-resume"),
    path("attempts/<int:attempt_id>", tasks.attempt_show, name="api-attempt"),
    path("attempts/<int:attempt_id>/overrule", tasks.attempt_overrule, name="api-overrule"),
    path("proposals", lists.proposals_list, name="api-proposals"),
    path("proposals/<int:proposal_id>", tasks.proposal_show, name="api-proposal"),
    path("approvals", approvals.approvals_list, name="api-approvals"),
    path("approvals/bulk", bulk.approvals_bulk, name="api-approvals-bulk"),
    path("approvals/<int:approval_id>", approvals.approval_show, name="api-approval"),
    path("approvals/<int:approval_id>/decide", approvals.approval_decide, name="api-decide"),
    path("memory/search", memory.memory_search, name="api-memory-search"),
    path("memory/stats", memory.memory_stats, name="api-memory-stats"),
    path("memory", memory.memory_root, name="api-memory"),
    path("memory/<int:memory_id>", memories.memory_show, name="api-memory-one"),
    path("memory/<int:memory_id>/history", memories.memory_history, name="api-memory-history"),
    path("memory/<int:memory_id>/pin", memories.memory_pinned, name="api-memory-pin"),
    path("memory/<int:memory_id>/unpin", memories.memory_unpinned, name="api-memory-unpin"),
    path("memory/<int:memory_id>/supersede", memories.memory_superseded, name="api-memory-newer"),
    path("memory/<int:memory_id>/forget", memories.memory_forgotten, name="api-memory-forget"),
    path("events", events.events, name="api-events"),
]
