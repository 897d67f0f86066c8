"""Every page by axe, light and dark: no violation that it calls serious or critical."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.urls import reverse

from memory import services as memory
from orchestration.admin.goalpage import CONTENTS
from orchestration.models import ApprovalRequest, Attempt, Budget, Proposal, Task
from orchestration.services.schedules import schedule_set
from tests.api.people import goal, held, person
from tests.console.test_browser import browser, pytestmark  # noqa: F401 - a fixture, and marks
from tests.console.test_pages import console

GRAVE = ("serious", "critical")


def learned(row):
    """A request about a playbook."""
    steps = [{"key": "a", "agent": "noop", "objective": "Greet", "verify": ["schema"]}]
    went = {"goal": row.pk, "params": {"word": "hello"}, "tasks": 1, "attempts": 1, "tokens": 5,
            "verdicts": {"pass": 1}, "cost_usd": 0.1, "seconds": 2.5}  # fmt: skip
    playbook = {"name": "greet", "objective": "Greet ${params.word}", "phases": [{"tasks": steps}],
                "parameters": {"word": {"type": "string", "description": "whom"}}}  # fmt: skip
    context = {"playbook": playbook, "goals": [went], "form": "f"}
    return ApprovalRequest.objects.create(
        goal=row,
        kind="playbook",
        question="Keep it?",
        context=context,
        allowed=["approve", "reject"],
    )


def pages():
    """(name, path) of what there is to see."""
    row = goal(tasks=4)
    request = held(row)
    pk = memory.remember(row.project.namespace, "semantic", "The port is 8443")
    values = {"cron": "0 7 * * *", "objective": "Tidy", "playbook": "ops-checks"}
    plan = schedule_set(row.project.name, "morning", values, actor="ana")

    def admin(model, pk):
        return reverse(f"admin:agentsys_orchestration_{model}_change", args=[pk])

    yield "home", reverse("admin:index")
    for model in ("goal", "task", "attempt", "proposal", "approvalrequest", "schedule"):
        yield f"{model} list", reverse(f"admin:agentsys_orchestration_{model}_changelist")
    for tab in CONTENTS:
        yield f"goal, {tab}", f"{admin('goal', row.pk)}?tab={tab}"
    yield "task", admin("task", Task.objects.order_by("pk")[0].pk)
    yield "attempt", admin("attempt", Attempt.objects.get().pk)
    yield "proposal", admin("proposal", Proposal.objects.get().pk)
    yield "approval", admin("approvalrequest", request.pk)
    yield "schedule", admin("schedule", plan.pk)
    for name in ("budget", "concurrency", "model", "direct", "pause"):
        yield f"deed, {name}", reverse("admin:agentsys_goal_deed", args=[row.pk, name])
    yield "project", admin("project", row.project_id)
    yield "budget", admin("budget", Budget.objects.get(goal=row).pk)
    yield "playbook list", reverse("admin:agentsys_memory_playbook_changelist")
    yield "new policy", reverse("admin:agentsys_verification_policyversion_add")
    yield "new goal", reverse("admin:agentsys_orchestration_goal_add")
    yield "learned playbook", admin("approvalrequest", learned(row).pk)
    yield "reading", reverse("console-reading")
    yield "notifications", reverse("console-notices")
    yield "password", reverse("console-password")
    yield "memory", reverse("console-memory") + "?q=port"
    yield "one memory", reverse("console-memory-one", args=[pk])
    yield "API", reverse("api-docs")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_keeps_anybody_out(browser, live_server, scheme):  # noqa: F811
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    client = console(person("ada", "admin", is_staff=True, is_superuser=True))
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=scheme, java_script_enabled=True
    )
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies(
        [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
    )
    page = context.new_page()
    found = {}
    for what, path in list(pages()):
        page.goto(live_server.url + path, wait_until="load")
        for violation in axe.run(page).response["violations"]:
            if violation["impact"] in GRAVE:
                nodes = [node["html"][:160] for node in violation["nodes"][:3]]
                found[f"{what}: {violation['id']}"] = nodes
    context.close()
    assert found == {}
