"""`why`: for every state one true sentence that says what is waited for."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from agentsys.kernel.errors import BadInput, NotFound
from orchestration.models import Attempt, Goal, Membership, ScopeLease, Task
from orchestration.services.sessions import LOCK_CLASS
from orchestration.services.why import why, why_in
from tests import factories as given

pytestmark = pytest.mark.django_db


NO_WORKER = "no worker is running: start one with `make up`"


def sentence(task: Task) -> str:
    return why(f"task-{task.pk}").sentence


@pytest.fixture
def worker_alive():
    """A session whose advisory lock is held, as a living worker holds it."""
    row = given.session(host="here", pid=99)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, row.pk])
    yield row
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, row.pk])


def test_a_blocked_task_names_up_to_three_of_what_it_needs():
    goal = given.goal()
    needs = [given.task(goal, f"need-{n}", state="ready") for n in range(5)]
    done = given.task(goal, "done", state="done")
    told = sentence(given.task(goal, "last", needs=[*needs, done]))
    assert "waits for need-0 (ready), need-1 (ready), need-2 (ready) and 2 more" in told
    assert "done" not in told


def test_a_need_that_waits_for_a_person_says_where_to_decide():
    goal = given.goal()
    held = given.task(goal, "risky", state="held", reason="a proposal waits for approval")
    asked = given.approval(held, about=given.proposal(held))
    told = sentence(given.task(goal, "last", needs=[held]))
    assert f"waits for risky (held: `inbox show {asked.pk}`)" in told


def test_a_failed_optional_need_is_not_waited_for():
    goal = given.goal()
    needs = [given.task(goal, "opt", state="failed", optional=True)]
    assert "the orchestrator, which will look" in sentence(given.task(goal, "last", needs=needs))


def test_a_task_in_backoff_says_when_and_what_went_wrong():
    goal = given.goal()
    due = timezone.now() + timedelta(seconds=40)
    task = given.task(goal, "again", state="ready", due_at=due, reason="timeout: too slow")
    assert "is tried again in 40 s, because timeout: too slow" in sentence(task).replace("39", "40")


def test_a_queued_task_says_how_often_it_was_published_and_that_no_worker_lives():
    goal = given.goal()
    task = given.task(goal, "lonely", state="ready")
    Attempt.objects.filter(task=task).update(publishes=3)
    assert "published 4 times" in sentence(task)
    assert NO_WORKER in sentence(task)


def test_a_living_worker_is_not_reported_missing(worker_alive):
    goal = given.goal()
    assert NO_WORKER not in sentence(given.task(goal, "queued", state="ready"))


def test_a_task_that_waits_for_a_scope_names_the_holder():
    goal = given.goal()
    holder = given.task(goal, "holder", state="running")
    ScopeLease.objects.create(
        project=goal.project, task=holder, resource="repo:src/**", exclusive=True
    )
    reason = f"waits for repo:src/a.py: repo:src/** is held by {goal.pk}/holder"
    task = given.task(goal, "second", state="ready", scoped=True, reason=reason)
    assert sentence(task) == f"{goal.pk}/second is ready but {reason}"
    ScopeLease.objects.all().delete()
    assert "is queued since" in sentence(task)


def test_a_running_task_says_where_since_when_and_its_last_note(worker_alive):
    goal = given.goal()
    task = given.task(goal, "busy", state="running")
    Attempt.objects.filter(task=task).update(owner=worker_alive.pk, note="half way")
    told = sentence(task)
    assert "is running on here:99 since " in told
    assert told.endswith("(attempt 1); half way")


def test_a_running_task_whose_worker_died_says_so():
    goal = given.goal()
    assert "that worker is gone" in sentence(given.task(goal, "orphan", state="running"))


def test_a_task_in_verification_names_the_verdicts_that_are_out():
    goal = given.goal()
    task = given.task(goal, "judged", state="verifying")
    last = Attempt.objects.get(task=task)
    given.verdict(last, "schema")
    given.verdict(last, "execution", None)
    assert "waits for the verdict of execution" in sentence(task)


def test_a_held_task_names_the_approval_who_may_decide_and_until_when():
    goal = given.goal()
    given.person("ada", "approver")
    given.person("eve", "viewer")
    task = given.task(goal, "risky", state="held", reason="a proposal waits for approval")
    asked = given.approval(task, about=given.proposal(task))
    told = sentence(task)
    assert f"approval-{asked.pk}, until {asked.due_at:%Y-%m-%d %H:%M} UTC" in told
    assert "ada may decide" in told
    assert f"`inbox show {asked.pk}`" in told
    Membership.objects.all().delete()
    assert "any administrator may decide" in sentence(task)


def test_a_paused_goal_says_by_whom_and_its_tasks_say_it_too():
    goal = given.goal(paused_at=timezone.now())
    given.entry(goal, "goal.paused", actor="ada", reason="too warm")
    task = given.task(goal, "waits", state="ready")
    assert "is paused by ada" in why(str(goal.pk)).sentence
    assert "too warm" in why(str(goal.pk)).sentence
    assert "its goal is paused by ada" in sentence(task)


@pytest.mark.parametrize(
    ("state", "part"),
    [
        ("planning", "waits for its planner"),
        ("plan_review", "waits for a person to look at its plan"),
        ("succeeded", "succeeded"),
        ("failed", "failed: lint broke; `goals retry"),
        ("cancelled", "cancelled"),
    ],
)
def test_a_goal_says_what_its_state_means(state: str, part: str):
    goal = given.goal(state=state, reason="lint broke" if state == "failed" else "")
    if state == "failed":
        given.task(goal, "lint", state="failed", reason="broke")
    assert part in why(f"goal-{goal.pk}").sentence


def test_that_a_goal_failed_is_said_once():
    goal = given.goal(state="failed", reason="failed: lint, docs")
    assert why(str(goal.pk)).sentence == f"goal-{goal.pk} failed: lint, docs"


def test_why_a_person_cancelled_a_goal_is_told_in_their_words():
    goal = given.goal(state="cancelled", reason="failed: twice already")
    assert why(str(goal.pk)).sentence == f"goal-{goal.pk} cancelled: failed: twice already"


def test_where_no_task_failed_there_is_none_to_try_again():
    goal = given.goal(state="failed", reason="its plan was rejected")
    assert why(str(goal.pk)).sentence == f"goal-{goal.pk} failed: its plan was rejected"


def test_a_running_goal_says_what_holds_it_up():
    goal = given.goal()
    given.task(goal, "one", state="done")
    held = given.task(goal, "two", state="held")
    asked = given.approval(held)
    told = why(str(goal.pk))
    assert f"waits for a person: 1 of 2 tasks are done (approval-{asked.pk}" in told.sentence
    assert told.facts["approval"] == asked.pk
    given.task(goal, "three", state="ready")
    assert f"{goal.pk}/three is queued" in why(str(goal.pk)).sentence


def test_a_goal_that_cannot_succeed_any_more_says_so_and_so_does_what_waits():
    goal = given.goal()
    broken = given.task(goal, "publish", state="failed", reason="exit code 1")
    given.task(goal, "extra", state="failed", optional=True)
    held = given.task(goal, "judge", state="held")
    given.approval(held)
    last = given.task(goal, "tell", needs=[held, broken])
    doom = f"publish failed, so goal-{goal.pk} cannot succeed"
    for told in (why(str(goal.pk)).sentence, sentence(last), sentence(held)):
        assert doom in told
        assert f"`goals edit {goal.pk}/publish`" in told
        assert f"`goals override {goal.pk}/publish`" in told
        assert "extra" not in told
    assert why(str(goal.pk)).facts["failed"] == ["publish"]
    with CaptureQueriesContext(connection) as asked:
        why(str(goal.pk))
    assert len(asked) == 1


def test_a_goal_whose_optional_task_failed_may_still_succeed():
    goal = given.goal()
    given.task(goal, "extra", state="failed", optional=True)
    given.task(goal, "rest", state="held")
    assert "cannot succeed" not in why(str(goal.pk)).sentence


def test_attempts_proposals_and_approvals_are_explained_too():
    goal = given.goal()
    task = given.task(goal, "risky", state="held")
    about = given.proposal(task)
    asked = given.approval(task, about=about)
    last = Attempt.objects.get(task=task)
    assert "attempt 1 of risky is reported" in why(f"attempt-{last.pk}").sentence
    assert f"proposal-{about.pk} waits for approval" in why(f"proposal-{about.pk}").sentence
    assert "has 0 of 1 approvals" in why(f"approval-{asked.pk}").sentence


def test_an_action_in_doubt_is_not_said_to_be_on_its_way():
    goal = given.goal()
    task = given.task(goal, "risky", state="held")
    about = given.proposal(task, state="approved")
    assert "will be applied" in why(f"proposal-{about.pk}").sentence
    given.approval(task, about=about, kind="effect")
    assert "a person must say whether it happened" in why(f"proposal-{about.pk}").sentence


def test_a_task_may_be_named_by_goal_and_key():
    goal = given.goal()
    given.task(goal, "src/a.py", state="failed", reason="no such file")
    assert why(f"{goal.pk}/src/a.py").sentence == f"{goal.pk}/src/a.py is failed: no such file"


@pytest.mark.parametrize("text", ["9", "9/lint", "task-9", "approval-9", "memory-9"])
def test_what_is_not_there_is_not_found(text: str):
    Goal.objects.all().delete()
    with pytest.raises(NotFound):
        why(text)


def test_nonsense_is_bad_input():
    with pytest.raises(BadInput, match="is not an id"):
        why("no such thing")


@pytest.mark.parametrize("state", ["blocked", "ready", "running", "verifying", "held", "done"])
def test_one_query_answers(state: str):
    goal = given.goal()
    task = given.task(goal, "asked", state=state, needs=[given.task(goal, "need", state="ready")])
    names = [f"goal-{goal.pk}", f"{goal.pk}/asked", f"task-{task.pk}"]
    if attempt := Attempt.objects.filter(task=task).first():
        names.append(f"attempt-{attempt.pk}")
        names.append(f"proposal-{given.proposal(task).pk}")
        names.append(f"approval-{given.approval(task).pk}")
    for name in names:
        with CaptureQueriesContext(connection) as asked:
            why(name)
        assert len(asked) == 1, name


def test_asking_why_writes_nothing():
    goal = given.goal()
    given.task(goal, "held", state="held")
    before = list(Task.objects.values_list()), list(Goal.objects.values_list())
    why(str(goal.pk))
    assert (list(Task.objects.values_list()), list(Goal.objects.values_list())) == before
    assert connections["default"].needs_rollback is False


# --- In the reader's language --------------------------------------------------------------------


ENGLISH = re.compile(r"\b(the|is|are|and|or|waits|for|by|until|with|its|may|of|has|since|on)\b")


def asked_in(language: str, name: str) -> str:
    told = why_in(name, [language])[language]
    assert told == re.sub("  +", " ", told)
    return re.sub("`[^`]*`", "", told)  # commands are what they are


@pytest.mark.parametrize(
    "state", ["blocked", "ready", "running", "verifying", "held", "done", "failed"]
)
@pytest.mark.parametrize("paused", ["", "goal", "task"])
def test_the_sentence_of_anything_in_any_state_is_there_in_german(state: str, paused: str):
    given.person("ada", "approver")
    goal = given.goal(paused_at=timezone.now() if paused == "goal" else None)
    need = given.task(goal, "vorher", state="ready")
    paused_at = timezone.now() if paused == "task" and state not in ("done", "failed") else None
    task = given.task(goal, "jetzt", state=state, needs=[need], paused_at=paused_at)
    names = [f"goal-{goal.pk}", f"task-{task.pk}"]
    if attempt := Attempt.objects.filter(task=task).first():
        names.append(f"attempt-{attempt.pk}")
        names.append(f"proposal-{given.proposal(task).pk}")
        names.append(f"approval-{given.approval(task, question='Darf das?').pk}")
    for name in names:
        assert not ENGLISH.search(asked_in("de", name)), asked_in("de", name)
        assert ENGLISH.search(asked_in("en", name)) or state in ("failed",), name


@pytest.mark.parametrize("state", ["planning", "plan_review", "succeeded", "failed", "cancelled"])
def test_the_sentence_of_a_goal_is_there_in_german(state: str):
    goal = given.goal(state=state)
    if state == "failed":
        given.task(goal, "jetzt", state="failed")
    assert not ENGLISH.search(asked_in("de", f"goal-{goal.pk}"))


def test_facts_are_the_same_in_any_language():
    task = given.task(given.goal(), "held", state="held", reason="a person must see")
    plain = why(f"task-{task.pk}")
    with translation.override("de"):
        german = why(f"task-{task.pk}")
    assert german.facts == plain.facts
    assert "a person must see" in german.sentence, "what a row holds is not translated"
    assert german.sentence != plain.sentence


def test_however_many_languages_one_query_answers():
    task = given.task(given.goal(), "held", state="held")
    with CaptureQueriesContext(connection) as asked:
        told = why_in(f"task-{task.pk}", ["en", "de"])
    assert len(asked) == 1
    assert told["en"] == why(f"task-{task.pk}").sentence
