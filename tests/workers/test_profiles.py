"""Agents that people write in the console: what is taken, what is on record, what runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from orchestration.domain.plan import plan_from_json
from orchestration.domain.plan_checks import plan_problems
from tests.workers.given import GivenPorts
from tests.workers.speaking import a_brief, does, finish, prompt
from workers import registry
from workers.contracts import FailureKind, Limits, Outcome, ToolGrant
from workers.errors import AgentChanged, AgentOff
from workers.models import AgentProfile, AgentVersion, Step
from workers.profiles import profile_delete, profile_save
from workers.services import agent_info, agent_limits, agent_output_schema, attempt_run

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = {"type": "object", "required": ["words"], "properties": {"words": {"type": "integer"}}}


def given(**fields: Any) -> AgentProfile:
    values: dict[str, Any] = {
        "name": "counter", "description": "Counts words.", "prompt": "Count with care.",
        "tools": ["recall"], "output_schema": WORDS,
    }  # fmt: skip
    return AgentProfile(**{**values, **fields})


def saved(**fields: Any) -> AgentProfile:
    row = given(**fields)
    row.full_clean()
    return profile_save(row, by="amy")


def changed(row: AgentProfile, **fields: Any) -> AgentProfile:
    for name, value in fields.items():
        setattr(row, name, value)
    row.full_clean()
    return profile_save(row, by="ben")


# --- What is taken -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"name": "coder"}, "name", "comes with the code"),
        ({"name": "Two Words"}, "name", "lower-case"),
        ({"prompt": "  "}, "prompt", "say what the agent does"),
        ({"prompt": "use AKIAIOSFODNN7EXAMPLE"}, "prompt", "aws-key"),
        ({"tools": ["read_fil"]}, "tools", "did you mean `read_file`"),
        ({"tools": [{"name": "recall"}]}, "tools", "there is no tool"),
        ({"model": "martian:x"}, "model", "expected PROVIDER:NAME"),
        ({"model": "openai:x?base_url=http://evil.example/v1"}, "model", "administrators"),
        ({"model": "nobody"}, "model", "no model profile for the role"),
        ({"steps_max": 0}, "steps_max", "expected 1 to 10000"),
        ({"cost_usd_max": 1e9}, "cost_usd_max", "expected 0 to 100000"),
        ({"seconds_max": float("nan")}, "seconds_max", "expected"),
        (
            {"output_schema": {"type": "objekt"}},
            "output_schema",
            "objekt' is not valid under any of the given schemas; types are array, boolean",
        ),
        ({"output_schema": {"type": "string"}}, "output_schema", "ask for an object"),
        ({"output_schema": {"$ref": "http://x.example/s"}}, "output_schema", "$defs"),
        ({"inputs_schema": ["no"]}, "inputs_schema", "no JSON object"),
    ],
)
def test_what_cannot_run_is_refused_by_field_with_the_way_out(
    fields: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        given(**fields).full_clean()
    assert list(caught.value.message_dict) == [field]
    assert says in " ".join(caught.value.message_dict[field])


def test_a_profile_is_listed_as_an_agent_like_any_other() -> None:
    saved()
    info = agent_info()["counter"]
    assert (info.description, info.tools, info.lane) == ("Counts words.", ("recall",), "agent")
    assert info.output_schema == WORDS


# --- What is on record ---------------------------------------------------------------------------


def test_a_change_is_a_new_version_with_who_made_it_and_no_change_is_none() -> None:
    row = saved()
    changed(row)
    changed(row, prompt="Count twice.")
    profile_delete(row, by="cleo")
    kept = AgentVersion.objects.order_by("version").values_list("version", "changed_by", "enabled")
    assert list(kept) == [(1, "amy", True), (2, "ben", True), (3, "cleo", False)]
    assert saved().version == 4


def test_a_version_on_record_cannot_be_changed_or_deleted() -> None:
    saved()
    with pytest.raises(DatabaseError), transaction.atomic():
        AgentVersion.objects.update(changed_by="nobody")
    with pytest.raises(IntegrityError), transaction.atomic():
        AgentVersion.objects.all().delete()


def test_who_changes_what_somebody_changed_meanwhile_is_told() -> None:
    row = saved()
    stale = AgentProfile.objects.get(pk=row.pk)
    changed(row, prompt="Count twice.")
    with pytest.raises(AgentChanged):
        changed(stale, prompt="Count thrice.")
    assert AgentProfile.objects.get().prompt == "Count twice."


@pytest.mark.parametrize("way", ["off", "deleted"])
def test_a_task_of_an_agent_that_is_off_fails_and_says_who_did_it(way: str, tmp_path: Path) -> None:
    row = saved()
    if way == "off":
        changed(row, enabled=False)
    else:
        profile_delete(row, by="ben")
    assert "counter" not in agent_info()
    with pytest.raises(AgentOff, match="by ben"):
        registry.agent("counter")
    report = attempt_run(a_brief(agent="counter"), GivenPorts(tmp_path))
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT
    assert "by ben" in report.failure.message
    assert agent_output_schema("counter") == WORDS  # what it left is still judged by its schema


# --- What runs -----------------------------------------------------------------------------------


def ran(brief: Any, folder: Path) -> Any:
    return attempt_run(brief, GivenPorts(folder))


def test_it_reads_its_instructions_has_its_tools_and_hands_in_its_schema(
    speak: Any, tmp_path: Path
) -> None:
    row = saved()
    lines = speak(does("read_file", path="a"), finish(), does("finish", words=3))
    report = ran(a_brief(agent="counter"), tmp_path)
    assert report.outcome is Outcome.DONE
    assert report.output == {"words": 3}
    assert report.ran["version"] == row.version == report.to_json()["ran"]["version"]
    assert "Count with care." in prompt(lines, 0)
    assert "there is no tool `read_file`" in prompt(lines, 1)
    assert "not accepted" in prompt(lines, 2)


def test_a_task_narrows_its_tools_and_cannot_widen_them(speak: Any, tmp_path: Path) -> None:
    saved(tools=["recall", "remember"])
    lines = speak(does("recall", query="x"), does("finish", words=1))
    brief = a_brief(agent="counter", tools=(ToolGrant("remember"),))
    assert ran(brief, tmp_path).outcome is Outcome.DONE
    assert "there is no tool `recall`" in prompt(lines, 1)
    wide = ran(replace(brief, lineage="t2.1", tools=(ToolGrant("propose"),)), tmp_path)
    assert wide.failure is not None
    assert wide.failure.kind is FailureKind.BAD_INPUT
    assert "there is no tool `propose`" in wide.failure.message


def test_its_limits_bound_those_of_the_task() -> None:
    saved(steps_max=100, tokens_max=500)
    assert agent_limits("counter", {}).steps_max == 100
    found = agent_limits("counter", {"steps_max": 7, "tokens_max": 900})
    assert (found.steps_max, found.tokens_max) == (7, 500)
    assert found.seconds_max == Limits().seconds_max


def test_an_attempt_that_is_taken_over_goes_on_under_the_version_it_began_with(
    speak: Any, tmp_path: Path
) -> None:
    row = saved()
    speak(does("recall", query="x"), used_up=False)  # the script ends: the worker is gone here
    brief = a_brief(agent="counter")
    with pytest.raises(AssertionError):
        registry.agent("counter").run(brief, GivenPorts(tmp_path))
    changed(row, prompt="Do something else.", output_schema={}, tools=[])
    lines = speak(does("finish", words=2))
    report = ran(replace(brief, attempt_id=2, fence=2), tmp_path)
    assert (report.output, report.ran["version"]) == ({"words": 2}, 1)
    assert "Count with care." in prompt(lines, 0)
    assert Step.objects.filter(lineage="t1.1", kind="model").count() == 2
    assert agent_output_schema("counter", report.to_json()) == WORDS


def test_a_new_attempt_runs_the_new_version(speak: Any, tmp_path: Path) -> None:
    row = saved()
    registry.agent("counter")
    changed(row, prompt="Count twice.")
    lines = speak(does("finish", words=2))
    assert ran(a_brief(agent="counter"), tmp_path).ran["version"] == 2
    assert "Count twice." in prompt(lines, 0)


# --- In the console ------------------------------------------------------------------------------


def writer(client: Client) -> Client:
    """Somebody who may write agents, and nothing else."""
    amy = User.objects.create_user("amy", is_staff=True)
    amy.user_permissions.set(Permission.objects.filter(content_type__model="agentprofile"))
    client.force_login(amy)
    return client


def form(**fields: Any) -> dict[str, Any]:
    return {
        "name": "counter", "description": "Counts.", "prompt": "Count.", "tools": ["recall"],
        "inputs_schema": "{}", "output_schema": "{}", "enabled": "on", **fields,
    }  # fmt: skip


def test_whoever_has_the_permission_adds_changes_and_deletes_an_agent(client: Client) -> None:
    page = writer(client)
    assert page.post(reverse("admin:agentsys_workers_agentprofile_add"), form()).status_code == 302
    row = AgentProfile.objects.get()
    assert registry.agent("counter").description == "Counts."
    url = reverse("admin:agentsys_workers_agentprofile_change", args=[row.pk])
    assert b"Count." in page.get(url).content
    assert page.post(url, form(description="Counts well.")).status_code == 302
    assert registry.agent("counter").description == "Counts well."
    gone = reverse("admin:agentsys_workers_agentprofile_delete", args=[row.pk])
    assert page.post(gone, {"post": "yes"}).status_code == 302
    assert list(AgentVersion.objects.values_list("changed_by", flat=True)) == ["amy"] * 3


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"output_schema": "{"}, b"Enter a valid JSON"),
        ({"tools": ["no_such"]}, b"There is no tool"),
        ({"name": "tester"}, b"comes with the code"),
        ({"prompt": ""}, b"This field is required"),
        ({"steps_max": "100000000"}, b"expected 1 to 10000"),
    ],
)
def test_bad_input_is_shown_with_what_would_do_and_not_kept(
    client: Client, fields: dict[str, Any], says: bytes
) -> None:
    url = reverse("admin:agentsys_workers_agentprofile_add")
    assert says in writer(client).post(url, form(**fields)).content
    assert not AgentProfile.objects.exists()
    assert not AgentVersion.objects.exists()


def test_nobody_else_sees_or_writes_agents(client: Client) -> None:
    client.force_login(User.objects.create_user("zoe", is_staff=True))
    for name in ("changelist", "add"):
        url = reverse(f"admin:agentsys_workers_agentprofile_{name}")
        assert client.get(url).status_code == 403
        assert client.post(url, form()).status_code == 403
    assert not AgentProfile.objects.exists()


# --- In plans ------------------------------------------------------------------------------------


def wrong(**task: Any) -> list[str]:
    rows = [
        {"key": "count", "agent": "counter", "objective": "Count", "verify": ["schema"], **task}
    ]
    draft = plan_from_json({"objective": "Count", "tasks": rows})
    return plan_problems(draft, agent_info(), {"schema"}, tasks_max=10)


def test_a_plan_may_name_it_and_narrow_its_tools() -> None:
    saved(tools=["recall", "remember"])
    assert wrong(tools=["recall"]) == []


def test_a_plan_that_widens_its_tools_or_names_it_when_it_is_off_is_refused() -> None:
    row = saved()
    assert "not widen it" in wrong(tools=["run_command"])[0]
    each = {"over": "${tasks.count.output.x}", "task": {"agent": "counter", "tools": ["propose"]}}
    assert any("not widen it" in problem for problem in wrong(fan_out=each))
    changed(row, enabled=False)
    assert "unknown agent `counter`" in wrong()[0]
