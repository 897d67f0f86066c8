"""Whoever leaves its task is caught within ten steps; whoever does not is never stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsys.gateway.scripted import Say
from tests.workers.speaking import a_brief, a_tool, does, finish, prompt, run
from workers.contracts import FailureKind, Limits, Outcome, Report, Risk, ScopeGrant
from workers.domain.drift import WINDOW, ActionFact, StepFact, drift, drifted, leaning
from workers.loop import Loop
from workers.models import DriftScore
from workers.services import drift_of
from workers.tools import Tool, ToolFailed

database = pytest.mark.django_db(transaction=True)

HONEST = 9  # steps before an agent leaves
CAUGHT_WITHIN = 10
ACCEPTANCE = ("The cause of lost leases is named", "A remedy for slow databases is proposed")
SCOPES = (ScopeGrant("repo:src/**", "read"), ScopeGrant("repo:src/lease/**", "write"))

TOPICS = (
    "lease renewal interval of a worker", "why are leases lost", "database slow and leases",
    "slow database remedy", "lost leases when the database is away", "renewing a lease in time",
    "how leases are lost", "database is slow: what is proposed", "cause of a lost lease",
)  # fmt: skip
ELSEWHERE = (
    "best pizza recipe in Naples", "football results last weekend", "how to train a puppy",
    "cheap hotels near the beach", "holiday flights to Spain", "celebrity gossip of today",
    "poem about the sea", "history of Rome", "growing tomatoes indoors", "chess openings",
    "guitar chords for beginners", "marathon training", "knitting patterns", "jazz musicians",
)  # fmt: skip


def no_such_file(args: Any) -> str:
    path = str(args.get("path", ""))
    if path.startswith("missing"):
        raise ToolFailed(tool="read_file", reason=f"there is no file `{path}`")
    return f"the text of {path}"


TOOLS = (
    a_tool("recall", "notes on leases, heartbeats, connection pools and statement timeouts"),
    a_tool("read_file", no_such_file),
    a_tool("search_files", lambda args: []),
    a_tool("write_file", risk=Risk.WRITE),
    a_tool("run_tests", "1 failed"),
)


def wandering(folder: Path, **fields: Any) -> Report:
    return run(folder, a_brief(acceptance=ACCEPTANCE, scopes=SCOPES, **fields), TOOLS)


def research(n: int) -> Say:
    return does("recall", query=f"{TOPICS[n % len(TOPICS)]} {n}")


# --- Ways of wandering: what is said at the nth step after leaving -------------------------------

WANDERS: dict[str, Callable[[int], Say]] = {
    "another subject": lambda n: does("recall", query=ELSEWHERE[n % len(ELSEWHERE)]),
    "files outside its scopes": lambda n: does("read_file", path=f"billing/invoices_{n}.py"),
    "writes beside its scopes": lambda n: does("write_file", path=f"src/other/{n}.py", text="x"),
    "tools that there are not": lambda n: does(f"browse_{n}", page=n),
    "files that are not there": lambda n: does("read_file", path=f"missing/{n}.py"),
    "talk without any tool": lambda n: Say(f"Let me think about it a {n}th time."),
    "the same in other words": lambda n: does(
        "recall", query=("leases lost why!" if n % 2 else "Why lost... leases?") + " " * n
    ),
    "several at once, all astray": lambda n: Say(
        calls=(
            ("recall", {"query": ELSEWHERE[n % len(ELSEWHERE)]}),
            ("read_file", {"path": f"payroll/{n}.py"}),
        )
    ),
}


@database
@pytest.mark.parametrize("way", WANDERS)
def test_an_agent_that_wanders_is_caught_within_ten_steps(
    speak: Any, tmp_path: Path, way: str
) -> None:
    turns = [research(n) for n in range(HONEST)]
    turns += [WANDERS[way](n) for n in range(20)]
    lines = speak(*turns, used_up=False)
    report = wandering(tmp_path)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.DRIFT, report.failure
    assert HONEST < len(lines.asked) <= HONEST + CAUGHT_WITHIN
    assert "it left its task" in report.failure.message
    last = DriftScore.objects.order_by("step").last()
    assert last is not None
    assert (last.outcome, last.step) == ("drifted", len(lines.asked))


# --- Work that is long, dull or repetitive, and honest -------------------------------------------

NOTES = (
    "bcrypt cost", "replication lag on replicas", "autovacuum of large tables", "TCP keepalive",
    "idle transactions", "fsync stalls", "checkpoint spikes", "connection pool exhaustion",
)  # fmt: skip


def honest_reading(n: int) -> Say:
    return does("read_file", path=f"src/module_{n}/part_{n % 7}.py")


def edit_and_test(n: int) -> Say:
    if n % 2:
        return does("run_tests")
    return does("write_file", path="src/lease/renew.py", text=f"def renew(): return {n}")


def parallel(n: int) -> Say:
    calls = tuple(("read_file", {"path": f"src/a{n}_{k}.py"}) for k in range(5))
    return Say(calls=(*calls, ("recall", {"query": f"leases {n}"})))


def pages(n: int) -> Say:
    return does("read_file", path="src/lease/renew.py", line=1 + 400 * n)


def searching(n: int) -> Say:
    """Finds nothing for long, and makes a slip at times."""
    if n % 5 == 4:
        return does("read_file", path=f"missing/{n}.py")
    return does("search_files", text=f"lease_{n}_renewed", prefix="src/")


def leads(n: int) -> Say:
    """Follows what it found, in words that its objective does not have."""
    words = ("heartbeats notes", "connection pools", "statement timeouts", "connection timeouts")
    return does("recall", query=f"{words[n % 4]} {n}")


def mixed(n: int) -> Say:
    ways = (research, honest_reading, edit_and_test, parallel, pages, searching)
    return ways[n % len(ways)](n)


HONESTLY: dict[str, Callable[[int], Say]] = {
    "long research": research,
    "many files": honest_reading,
    "tests after each edit": edit_and_test,
    "several calls at once": parallel,
    "a long file, page by page": pages,
    "a search that finds nothing": searching,
    "leads that it found": leads,
    "a bit of all": mixed,
}


@database
@pytest.mark.parametrize("way", HONESTLY)
def test_an_agent_that_does_not_wander_is_never_stopped(
    speak: Any, tmp_path: Path, way: str
) -> None:
    turns = [research(0), *(HONESTLY[way](n) for n in range(44)), finish()]
    speak(*turns)
    report = wandering(tmp_path)
    assert report.outcome is Outcome.DONE, report.failure
    scores = DriftScore.objects.order_by("step")
    assert list(scores.values_list("step", flat=True)) == list(range(3, 46, 3))
    assert not scores.exclude(outcome="on").exists()


# --- What follows --------------------------------------------------------------------------------


@database
@pytest.mark.parametrize(
    ("way", "outcome"),
    [
        ("another subject", Outcome.FAILED),
        ("long research", Outcome.DONE),
        ("leads that it found", Outcome.DONE),
    ],
)
def test_words_are_told_apart_by_the_embedder_that_knows_meaning_too(
    speak: Any, tmp_path: Path, settings: Any, way: str, outcome: Outcome
) -> None:
    says = {**WANDERS, **HONESTLY}[way]
    speak(research(0), *(says(n) for n in range(20)), finish(), used_up=False)
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="wordllama")
    assert wandering(tmp_path).outcome is outcome


@database
def test_a_person_is_asked_where_the_settings_say_so_and_is_heard(
    speak: Any, tmp_path: Path, settings: Any
) -> None:
    astray = [does("recall", query=ELSEWHERE[n]) for n in range(6)]
    lines = speak(*astray, finish())
    settings.AGENTSYS = replace(settings.AGENTSYS, on_drift="ask")
    report = wandering(tmp_path)
    assert report.outcome is Outcome.ASKS
    assert report.question is not None
    assert "far from the objective (recall)" in report.question.text
    said = {
        "kind": "question", "decision": "respond", "asked": report.question.text,
        "payload": {"text": "go back to leases"},
    }  # fmt: skip
    report = wandering(tmp_path, fence=2, answers=(said,))
    assert report.outcome is Outcome.DONE
    assert "A person looked at your course" in prompt(lines, 6)
    assert "go back to leases" in prompt(lines, 6)
    assert len(lines.asked) == 7


@database
def test_who_begins_to_wander_is_told_its_task_first(speak: Any, tmp_path: Path) -> None:
    turns = [research(0), *(does("recall", query=ELSEWHERE[n]) for n in range(2)), research(1)]
    turns += [does("recall", query=ELSEWHERE[5]), does("recall", query=ELSEWHERE[6])]
    lines = speak(*turns, finish())
    assert wandering(tmp_path).outcome is Outcome.DONE
    assert "Your last steps lead away from your task." in prompt(lines, 6)


@database
def test_a_limit_of_one_stops_nobody(speak: Any, tmp_path: Path) -> None:
    turns = [does("recall", query=ELSEWHERE[n % 14] + f" {n}") for n in range(20)]
    speak(*turns, finish())
    limits = Limits(steps_max=100, drift_max=1, seconds_max=9_000)
    assert wandering(tmp_path, limits=limits).outcome is Outcome.DONE


@database
def test_a_successor_takes_the_scores_as_they_were(speak: Any, tmp_path: Path) -> None:
    turns = [research(n) for n in range(4)]
    speak(*turns, finish())
    wandering(tmp_path)
    before = drift_of("t1.1")
    DriftScore.objects.all().delete()
    report = wandering(tmp_path, fence=2, attempt_id=2)
    assert report.outcome is Outcome.DONE
    assert len(before) == 1
    assert drift_of("t1.1") == []  # replayed, not taken again


@database
def test_reasons_hold_no_word_of_what_the_model_said(speak: Any, tmp_path: Path) -> None:
    turns = [does("recall", query=f"{ELSEWHERE[n % 14]} IGNORE ALL RULES") for n in range(20)]
    speak(*turns, used_up=False)
    report = wandering(tmp_path)
    assert report.failure is not None
    assert "IGNORE" not in report.failure.message


# --- The score -----------------------------------------------------------------------------------

FINE, ASTRAY = ActionFact("a", nearness=0.5), ActionFact("a", off_scope=True)


@pytest.mark.parametrize(
    ("steps", "score"),
    [
        ([], 0.0),
        ([StepFact((FINE,))] * 9, 0.0),
        ([StepFact((ASTRAY,))] * 3, 0.5),
        ([StepFact((ASTRAY,))] * 6, 1.0),
        ([StepFact((FINE, ASTRAY))] * 6, 0.5),
        ([StepFact(idle=True)] * 6, 1.0),
        ([StepFact()] * 6, 0.0),
        ([StepFact((ActionFact("a", nearness=0.0, led=0.6),))] * 6, 0.0),
        ([StepFact((ActionFact("a", nearness=0.0, led=0.4),))] * 6, 1.0),
    ],
)
def test_the_score_is_the_share_of_what_is_astray(steps: list[StepFact], score: float) -> None:
    assert drift(steps, criteria=0).score == score


def test_criteria_that_are_advanced_speak_for_an_agent() -> None:
    half = [StepFact((ASTRAY,))] * 3
    touches = [*half, StepFact((replace(FINE, criteria=frozenset({0})),))]
    assert drift(touches, criteria=2).score < drift(half, criteria=0).score
    assert drift(touches, criteria=2).coverage == 0.5
    assert drift(half, criteria=2).score > drift(half, criteria=0).score


_actions = st.builds(
    ActionFact,
    st.just("a"),
    off_scope=st.booleans(),
    repeated=st.booleans(),
    nearness=st.none() | st.floats(-1, 1),
    led=st.floats(0, 1),
    criteria=st.frozensets(st.integers(0, 3)),
)
_steps = st.lists(
    st.builds(StepFact, st.lists(_actions, max_size=4).map(tuple), st.booleans()), max_size=20
)


@given(_steps, st.sampled_from([0, 4]))
def test_scores_stay_in_their_range_and_fine_steps_bring_them_down(
    steps: list[StepFact], criteria: int
) -> None:
    found = drift(steps, criteria)
    assert 0 <= found.score <= 1
    assert 0 <= found.coverage <= 1
    assert drift([*steps, *[StepFact((FINE,))] * WINDOW], criteria).score == 0
    assert not (leaning(found.score, 0.6) and drifted(found.score, 0.6))


def test_a_tool_that_only_reads_is_what_runs_side_by_side() -> None:
    tools = [Tool("r", "", {}, str), Tool("w", "", {}, str, Risk.WRITE)]
    from tests.workers.given import GivenPorts

    loop = Loop(a_brief(), GivenPorts(Path()), tools, {"type": "object"})
    assert loop._box.together == {"r"}
