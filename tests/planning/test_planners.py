"""Whatever a plan comes from, it can be run or it is refused with every reason."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as live

from agentsys.gateway import NoModelConfigured
from agentsys.gateway.scripted import Script, scripted
from agentsys.kernel.errors import BadInput
from memory import services as memory
from orchestration.domain.owners import Owned
from orchestration.planners import make_plan
from orchestration.planners.playbooks import playbook_files, playbook_find, playbooks_load
from tests.planning.plans import plan, task

pytestmark = pytest.mark.django_db  # model profiles are rows

PARAMS = {
    "repo-care": {"repo": "/srv/r"},
    "research-digest": {"folder": "/srv/texts"},
    "ops-checks": {},
}
LEARNED = {"name": "mine", "phases": [{"name": "p", "tasks": [{"key": "a", "agent": "noop"}]}]}


def refused(**request: Any) -> list[str]:
    with pytest.raises(BadInput) as error:
        make_plan(**{"objective": "", **request})
    return error.value.problems


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.AGENTSYS = replace(settings.AGENTSYS, playbooks=tmp_path)
    return tmp_path


@pytest.fixture
def speak(settings: Any) -> Any:
    def speak(*turns: Any) -> Script:
        settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:planner")
        return scripted("planner", turns)

    return speak


# --- A document ---------------------------------------------------------------------------------


def test_a_document_is_taken_word_for_word() -> None:
    draft = make_plan(objective="", document=plan(task("a"), task("b", "a")))
    assert (draft.planner, draft.objective, len(draft.tasks)) == ("explicit", "to test", 2)
    assert make_plan(objective="mine", document=plan(task("a"))).objective == "mine"


def test_a_document_is_checked_against_the_agents_and_verifiers_there_are() -> None:
    (agent,) = refused(document=plan(task("a", agent="codr")))
    assert "did you mean `coder`?" in agent
    (verifier,) = refused(document=plan(task("a", verify=["excution"])))
    assert "did you mean `execution`?" in verifier


@pytest.mark.parametrize("more", [{"playbook": "ops-checks"}, {"params": {"x": 1}}])
def test_a_document_goes_with_nothing_else(more: dict[str, Any]) -> None:
    assert "give one of the two" in refused(document=plan(task("a")), **more)[0]


# --- Playbooks ----------------------------------------------------------------------------------


def test_the_playbooks_that_ship_can_all_be_run() -> None:
    names = [name for name, _ in playbook_files()]
    assert sorted(names) == sorted(PARAMS)
    for name in names:
        draft = make_plan(objective="", playbook=name, params=PARAMS[name])
        assert (draft.planner, draft.playbook) == ("playbook", name)


def test_repo_care_surveys_side_by_side_and_fixes_under_scopes() -> None:
    draft = make_plan(objective="", playbook="repo-care", params={"repo": "/srv/r"})
    by_key = {t.key: t for t in draft.tasks}
    assert len([t for t in draft.tasks if not t.depends_on]) == 7
    template = (by_key["fix"].fan_out or {})["task"]
    assert (template["agent"], template["unproven"], template["optional"]) == (
        "coder",
        "reject",
        True,
    )
    assert template["verify"] == ["schema", "safety", "execution"]
    assert template["scopes"] == [{"resource": "${item.scope}", "mode": "write"}]
    assert draft.repository == "/srv/r"


def test_the_irreversible_step_of_ops_checks_needs_a_person() -> None:
    draft = make_plan(
        objective="", playbook="ops-checks", params={"action": ["sh", "-c", "echo ${HOME}"]}
    )
    act = next(t for t in draft.tasks if t.key == "act")
    assert act.approval == {"required": True, "quorum": 1}
    assert act.inputs["irreversible"] is True
    assert set(act.depends_on) == {"disk", "tools", "answers"}
    checks = [t for t in draft.tasks if t.agent == "devops" and t.key != "act"]
    assert all(
        "output.ok == true" in t.acceptance and "semantic" in (t.verify or ()) for t in checks
    )


@pytest.mark.django_db
def test_a_playbook_that_is_not_there_is_named_with_those_that_are() -> None:
    (problem,) = refused(playbook="repo-car")
    assert "did you mean `repo-care`?" in problem
    assert "ops-checks, repo-care, research-digest" in problem


@pytest.mark.django_db
def test_a_learned_playbook_is_found_where_it_was_learned(folder: Path) -> None:
    memory.playbook_save("mine", LEARNED, namespace="project-7", origin="learned")
    draft = make_plan(objective="", playbook="mine", namespace="project-7")
    assert (draft.playbook, draft.objective) == ("mine", "mine")
    assert "there is no playbook `mine`" in refused(playbook="mine", namespace="project-8")[0]


@pytest.mark.django_db
def test_loading_playbooks_twice_makes_one_version() -> None:
    assert playbooks_load() == playbooks_load() == sorted(PARAMS)
    row = memory.playbook_get("repo-care")
    assert row is not None
    assert row.version == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: [", "not YAML"),
        (b"\xff\xfe\xff", "cannot be read"),
        (b"[" * 10_000, "not YAML"),
        (b"name: other\nphases: [{name: p, tasks: []}]\n", "give both the same name"),
        (b"- 1\n", "expected an object"),
        (b"", "expected an object"),
        (b"name: mine\nphases: [{name: p, tasks: []}]\n", "the plan has no task"),
    ],
    ids=["broken", "binary", "deep", "name", "list", "empty", "no-task"],
)
def test_a_file_that_is_no_playbook_says_so(folder: Path, content: bytes, said: str) -> None:
    (folder / "mine.yaml").write_bytes(content)
    assert said in " | ".join(refused(playbook="mine"))


@pytest.mark.django_db
def test_a_file_is_taken_before_the_database(folder: Path) -> None:
    memory.playbook_save("mine", {**LEARNED, "description": "learned"})
    (folder / "mine.yaml").write_text("name: mine\ndescription: written\nphases: [{tasks: []}]\n")
    assert playbook_find("mine").description == "written"


# --- A model ------------------------------------------------------------------------------------

GOOD = {"objective": "theirs", "rationale": "short", "tasks": [task("a", objective="do")]}
BAD = {"objective": "theirs", "tasks": [task("a", agent="nop", objective="do")]}


@pytest.mark.django_db
def test_a_models_plan_keeps_the_objective_that_was_asked_for(speak: Any) -> None:
    script = speak(GOOD)
    draft = make_plan(objective="mine")
    assert (draft.planner, draft.objective, draft.rationale) == ("model", "mine", "short")
    assert "surveyor" in str(script.asked[0])  # it is told who there is


@pytest.mark.django_db
def test_a_model_may_plan_a_task_for_each_item_that_is_found_later(speak: Any) -> None:
    find = task("find", objective="find", agent="noop")
    fan = {"over": "${tasks.find.output.echo.names}", "task": {"agent": "noop"}}
    each = task("each", "find", objective="do", agent="collect", fan_out=fan)
    speak({"objective": "theirs", "tasks": [find, each]})
    assert make_plan(objective="mine").tasks[1].fan_out is not None


@pytest.mark.django_db
def test_a_model_that_writes_out_too_many_tasks_is_asked_for_fewer(speak: Any) -> None:
    many = [task(f"t{n}", objective="do") for n in range(21)]
    script = speak({**GOOD, "tasks": many}, GOOD)
    assert len(make_plan(objective="mine").tasks) == 1
    assert "too long" in str(script.asked[1])


@pytest.mark.django_db
def test_a_models_plan_is_mended_with_what_was_wrong(speak: Any) -> None:
    script = speak(BAD, BAD, GOOD)
    assert make_plan(objective="mine").tasks[0].agent == "noop"
    assert script.remaining == 0
    assert "unknown agent `nop`" in str(script.asked[1])


@pytest.mark.django_db
def test_a_model_that_cannot_plan_is_given_up_after_two_mends(speak: Any) -> None:
    script = speak(BAD, BAD, BAD, GOOD)
    assert "unknown agent `nop`" in refused(objective="mine")[0]
    assert script.remaining == 1


@pytest.mark.django_db
def test_a_model_is_shown_the_playbooks_that_are_for_something_similar(speak: Any) -> None:
    script = speak(GOOD)
    make_plan(objective="Take care of this repository: lint, dead code, tests, documentation")
    shown = str(script.asked[0])
    assert '"name": "repo-care"' in shown
    assert '"name": "ops-checks"' not in shown


@pytest.mark.django_db
def test_a_model_is_not_shown_what_has_nothing_to_do_with_it_or_has_not_proven_itself(
    speak: Any,
) -> None:
    novel = {**LEARNED, "name": "novel", "description": "Translate a novel into French"}
    memory.playbook_learn(namespace="project-7", goal_id=1, name="novel", definition=novel)
    script = speak(GOOD, GOOD, GOOD)
    ask = partial(make_plan, objective="Translate the novel into French", namespace="project-7")
    ask()
    assert "Procedures for something similar" not in str(script.asked[0])
    memory.playbook_save("novel", {**novel, "version": 2}, namespace="project-7")
    ask()
    assert '"name": "novel"' in str(script.asked[1])
    ask(namespace="project-8")
    assert "Procedures for something similar" not in str(script.asked[2])


@pytest.mark.django_db
def test_without_a_model_the_way_out_is_said(settings: Any) -> None:
    settings.AGENTSYS = replace(live.AGENTSYS, model="")
    with pytest.raises(NoModelConfigured) as error:
        make_plan(objective="mine")
    assert "AGENTSYS_MODEL" in str(error.value)


def test_a_model_that_plans_is_told_who_owns_what_and_held_to_it(speak: Any) -> None:
    owned = (Owned("repo:src/auth/**", "security"), Owned("repo:docs/**", "writers", False))
    scopes = [{"resource": "repo:src/auth/a.py"}]
    one = task("a", agent="coder", objective="do", scopes=scopes)
    asks = {**one, "approval": {"required": True}}
    script = speak({**GOOD, "tasks": [one]}, {**GOOD, "tasks": [asks]})
    draft = make_plan(objective="mine", owned=owned)
    assert draft.tasks[0].approval == {"required": True}
    assert "- repo:src/auth/**: security" in str(script.asked[0])
    assert "repo:docs" not in str(script.asked[0])
    assert "security owns repo:src/auth/**" in str(script.asked[1])
