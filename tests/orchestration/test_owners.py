"""What a role owns: in plans, in proposals, and where two changes want opposite things."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import Client

from agentsys.gateway.scripted import Say, scripted
from agentsys.kernel.errors import BadInput
from orchestration.models import Goal, Project, Proposal, Scope
from orchestration.services.approvals import approval_decide
from orchestration.services.displacing import OWNER_STAYS, PERSON_STAYS
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_submit
from orchestration.services.ledger import ledger_verify
from orchestration.services.proposals import proposal_apply
from orchestration.services.rebuild import rebuild_check
from orchestration.services.replan import plan_extend
from orchestration.services.running import task_serve
from orchestration.services.scopes import scopes_release
from tests.orchestration.planted import agents_named, repository_with, writes
from tests.orchestration.pump import asked_about, judge, node, pump, row_counts, submit, task_named
from tests.orchestration.test_merged_tree import Died, die_at
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db(transaction=True)
AUTH = "src/auth/session.py"


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    with agents_named("learning", "security", "performance"):
        yield


@pytest.fixture
def given(tmp_path: Path) -> GivenRepository:
    files = {AUTH: "CACHE = None\n", "src/auth/token.py": "LENGTH = 8\n", "test_a.py": TEST}
    return repository_with(GivenRepository(tmp_path / "repo"), files)


TEST = """\
import re, pathlib
def value(path, name):
    return re.search(name + r" = (.*)", pathlib.Path(path).read_text())[1]
def test_long_tokens_are_not_cached():
    short = int(value("src/auth/token.py", "LENGTH")) <= 8
    assert short or value("src/auth/session.py", "CACHE") == "None"
"""


def owns(role: str, resource: str, *, exclusive: bool = True) -> None:
    project, _ = Project.objects.get_or_create(name="default")
    Scope.objects.create(project=project, resource=resource, role=role, exclusive=exclusive)


def by(agent: str, key: str, files: dict[str, str], **rest: Any) -> dict[str, Any]:
    return {**writes(key, files, **rest), "agent": agent}


# --- Plans ---------------------------------------------------------------------------------------


def test_a_plan_that_writes_what_another_role_owns_is_refused_and_nothing_is_written(
    given: GivenRepository,
) -> None:
    owns("security", "repo:src/auth/**")
    before = row_counts()
    with pytest.raises(BadInput) as caught:
        submit(by("performance", "fast", {AUTH: "CACHE = {}\n"}), repository=str(given.path))
    told = str(caught.value)
    assert "task `fast` (performance" in told
    assert "security owns repo:src/auth/**" in told
    assert '{"required": true}' in told
    assert row_counts() == before


def test_what_is_no_file_is_owned_as_well() -> None:
    owns("devops", "deploy:*")
    deploy = {"scopes": [{"resource": "deploy:prod"}]}
    with pytest.raises(BadInput, match="devops owns deploy"):
        submit(node("go", agent="command", inputs={"argv": ["true"]}, **deploy))
    checks = [{"name": "true", "argv": ["true"]}]
    submit(node("go", agent="devops", inputs={"checks": checks}, **deploy))


def test_readers_and_whoever_asks_a_person_are_let_through(given: GivenRepository) -> None:
    owns("security", "repo:src/auth/**")
    asks = by("performance", "fast", {AUTH: "CACHE = {}\n"}, approval={"required": True})
    reads = node("look", scopes=[{"resource": "repo:src/auth/**", "mode": "read"}])
    submit(asks, reads, repository=str(given.path))


def test_the_most_specific_pattern_rules(given: GivenRepository) -> None:
    owns("security", "repo:src/**")
    owns("performance", f"repo:{AUTH}")
    submit(by("performance", "fast", {AUTH: "CACHE = {}\n"}), repository=str(given.path))
    with pytest.raises(BadInput, match=f"performance owns repo:{AUTH}"):
        submit(by("security", "safe", {AUTH: "CACHE = {}\n"}), repository=str(given.path))


def test_a_task_that_is_added_later_is_looked_at_what_stands_is_not(given: GivenRepository) -> None:
    goal = submit(by("performance", "fast", {AUTH: "CACHE = {}\n"}), repository=str(given.path))
    owns("security", "repo:src/auth/**")
    plan_extend(goal.pk, {"tasks": [node("more")]}, actor="me")
    other = by("performance", "faster", {"src/auth/token.py": "LENGTH = 4\n"})
    with pytest.raises(BadInput, match="security owns"):
        plan_extend(goal.pk, {"tasks": [other]}, actor="me")


@pytest.mark.parametrize(
    ("resource", "role", "field"),
    [("src/**", "security", "resource"), ("repo:", "x", "resource"), ("repo:a/../b", "x", "resource"),
     ("repo:a", " ", "role")],
)  # fmt: skip
def test_the_table_takes_no_row_that_means_nothing(resource: str, role: str, field: str) -> None:
    row = Scope(project=Project.objects.create(name="p"), resource=resource, role=role)
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert list(caught.value.message_dict) == [field]


def test_the_console_says_what_is_wrong_with_a_row_and_keeps_a_good_one(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    page, project = "/admin/agentsys_orchestration/scope/add/", Project.objects.create(name="p")
    row = {"project": project.pk, "resource": "src/**", "role": "security", "exclusive": "on"}
    told = client.post(page, row)
    assert "expected a pattern such as" in told.content.decode()
    assert not Scope.objects.exists()
    assert client.post(page, {**row, "resource": "repo:src/**"}).status_code == 302
    assert str(Scope.objects.get()) == "repo:src/** owned by security"


# --- Changes -------------------------------------------------------------------------------------


def test_a_change_that_touches_what_others_own_waits_for_a_person_in_their_name(
    given: GivenRepository,
) -> None:
    """Its scope is wider than what is owned, so that the plan could not tell."""
    owns("security", "repo:src/auth/**")
    wide = by("performance", "fast", {AUTH: "CACHE = {}\n"}, scopes=("src/**",))
    goal = pump(submit(wide, repository=str(given.path)))
    asked = asked_about(goal)
    assert asked.question.startswith("Decide for security, owner of repo:src/auth/**: ")
    assert asked.context["owners"] == {AUTH: "security"}
    approval_decide(asked.pk, user=User.objects.create_superuser("root"), decision="approve")
    assert pump(goal).state == "succeeded"


def test_a_change_of_what_is_shared_or_ones_own_waits_for_nobody(given: GivenRepository) -> None:
    owns("security", "repo:src/auth/**", exclusive=False)
    owns("performance", "repo:src/auth/token.py")
    fast = by("performance", "fast", {AUTH: "CACHE = {}\n", "src/auth/token.py": "LENGTH = 4\n"})
    assert pump(submit(fast, repository=str(given.path))).state == "succeeded"


@pytest.mark.parametrize("asks", [False, True], ids=["nobody decides", "a person decides anyway"])
def test_a_tool_leaves_to_others_what_is_theirs_but_where_a_person_decides_on_all_of_it(
    asks: bool, given: GivenRepository, settings: Any
) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing", model="scripted:owners")
    owns("security", "repo:src/auth/**")
    owns("model", "repo:src/auth/token.py")
    lines = scripted("owners", [
        Say(calls=(("write_file", {"path": AUTH, "content": "CACHE = {}\n"}),)),
        Say(calls=(("write_file", {"path": "src/auth/token.py", "content": "LENGTH = 4\n"}),)),
        Say(calls=(("finish", {"text": "done"}),)),
    ])  # fmt: skip
    task = node("think", agent="model", scopes=[{"resource": "repo:src/**"}],
                approval={"required": asks})  # fmt: skip
    goal = pump(submit(task, repository=str(given.path)))
    results = [str(m.content) for m in lines.asked[-1] if m.type == "tool"]
    assert ("belongs to security" in results[0]) is not asks
    assert "1 lines written" in results[1]
    paths = ["src/auth/token.py"] if not asks else [AUTH, "src/auth/token.py"]
    assert Proposal.objects.get(goal=goal).payload["paths"] == paths


# --- Opposite wishes -----------------------------------------------------------------------------


def opposed(
    given: GivenRepository, first: dict[str, Any], second: dict[str, Any]
) -> tuple[Goal, Goal, Proposal, Proposal]:
    """Two goals on one branch whose changes began at one base; both are approved or asked about.
    The leases of the first are lost, or the second would have waited."""
    goals, found = [], []
    for task in (first, second):
        document = {"objective": task["key"], "tasks": [task]}
        goal = goal_submit(
            objective="", document=document, actor="t", repository=str(given.path),
            branch="agentsys/shared",
        )  # fmt: skip
        row = task_named(goal, task["key"])
        assert task_serve(row.pk, row.fence) == "done"
        judge(goal)
        scopes_release([row.pk])
        goals.append(goal)
        found.append(Proposal.objects.get(goal=goal))
    return goals[0], goals[1], found[0], found[1]


FAST = {AUTH: "CACHE = {}\n"}
SAFE = {AUTH: "CACHE = 'never'\n"}
LONG = {"src/auth/token.py": "LENGTH = 64\n"}


def content(given: GivenRepository, path: str = AUTH) -> str:
    return given.git("show", f"agentsys/shared:{path}")


def whole(*goals: Goal) -> None:
    for goal in goals:
        assert fsck(goal.pk) == []
        assert ledger_verify(goal.pk) == []
        assert rebuild_check(goal.pk) == []


@pytest.mark.parametrize("wish", [SAFE, LONG], ids=["of one line", "of two files"])
def test_the_owners_change_wins_even_when_it_comes_second(
    wish: dict[str, str], given: GivenRepository
) -> None:
    owns("security", "repo:src/auth/**", exclusive=False)
    one, two, fast, safe = opposed(
        given, by("performance", "fast", FAST), by("security", "safe", wish)
    )
    assert (proposal_apply(fast.pk), content(given)) == ("applied", "CACHE = {}")
    pump(one)
    assert proposal_apply(safe.pk) == "applied"
    assert content(given) == wish.get(AUTH, "CACHE = None\n").strip()
    assert pump(two).state == "succeeded"
    rule = "the owner's change wins: security owns repo:src/auth/**"
    kept = Proposal.objects.filter(goal=one).latest("pk")
    assert (kept.state, kept.payload) == ("stale", fast.payload)
    assert f"proposal-{safe.pk} ({two.pk}/safe): {rule}" in kept.reason
    given.git("cat-file", "-e", kept.payload["commit"])
    lost = one.ledger.get(event="conflict.owner").payload
    assert (lost["winner"], lost["loser"], lost["rule"]) == (f"proposal-{safe.pk}", fast.pk, rule)
    won = two.ledger.get(event="conflict.owner").payload
    assert (won["winner"], won["gave_way"]) == (f"proposal-{safe.pk}", f"proposal-{fast.pk}")
    assert given.git("fsck", "--strict", "--no-dangling") == ""
    whole(one, two)


@pytest.mark.parametrize("point", ["C21", "C17", "C10", "C11"])
def test_dying_while_the_owner_wins_costs_time_only(point: str, given: GivenRepository) -> None:
    owns("security", "repo:src/auth/**", exclusive=False)
    one, two, fast, safe = opposed(
        given, by("performance", "fast", FAST), by("security", "safe", SAFE)
    )
    proposal_apply(fast.pk)
    for time in (1, 2):
        die_at(point, time)
        try:
            proposal_apply(safe.pk)
        except Died:
            from django.db import connection

            connection.close()
    die_at("none", 1)
    pump(two)
    assert content(given) == "CACHE = 'never'"
    assert Proposal.objects.filter(goal=one, state="stale").count() == 1
    assert one.ledger.filter(event="conflict.owner").count() == 1
    assert two.ledger.filter(event="conflict.owner").count() == 1
    whole(pump(one), two)


def test_the_owners_change_stays_when_it_came_first(given: GivenRepository) -> None:
    owns("security", "repo:src/auth/**", exclusive=False)
    _, two, safe, fast = opposed(
        given, by("security", "safe", SAFE), by("performance", "fast", FAST)
    )
    assert [proposal_apply(safe.pk), proposal_apply(fast.pk)] == ["applied", "stale"]
    assert two.ledger.get(event="conflict.merge").payload["rule"] == OWNER_STAYS
    assert content(given) == "CACHE = 'never'"


def test_what_a_person_approved_stays_before_the_owner_too(given: GivenRepository) -> None:
    owns("security", "repo:src/auth/**", exclusive=False)
    asks = by("performance", "fast", FAST, approval={"required": True})
    one, two, fast, safe = opposed(given, asks, by("security", "safe", SAFE))
    root = User.objects.create_superuser("root")
    approval_decide(asked_about(one).pk, user=root, decision="approve")
    assert [proposal_apply(fast.pk), proposal_apply(safe.pk)] == ["applied", "stale"]
    assert two.ledger.get(event="conflict.merge").payload["rule"] == PERSON_STAYS
    assert content(given) == "CACHE = {}"


def test_where_nobody_owns_anything_what_was_merged_first_stays(given: GivenRepository) -> None:
    _, two, fast, safe = opposed(
        given, by("performance", "fast", FAST), by("security", "safe", SAFE)
    )
    assert [proposal_apply(fast.pk), proposal_apply(safe.pk)] == ["applied", "stale"]
    assert (
        two.ledger.get(event="conflict.merge").payload["winner"].startswith(f"proposal-{fast.pk}")
    )


# --- One branch for several goals ----------------------------------------------------------------


def test_a_shared_branch_belongs_to_one_project(given: GivenRepository) -> None:
    document = {"objective": "x", "tasks": [node("a")]}
    rest: dict[str, Any] = {"objective": "", "document": document, "actor": "t"}
    for name in ("main", "agentsys/../x"):
        with pytest.raises(BadInput, match="not a branch of agentsys"):
            goal_submit(**rest, repository=str(given.path), branch=name)
    with pytest.raises(BadInput, match="name that one, too"):
        goal_submit(**rest, branch="agentsys/shared")
    first = goal_submit(**rest, repository=str(given.path), branch="agentsys/shared")
    assert first.branch == "agentsys/shared"
    with pytest.raises(BadInput, match="of project default"):
        goal_submit(**rest, repository=str(given.path), branch="agentsys/shared", project="other")
