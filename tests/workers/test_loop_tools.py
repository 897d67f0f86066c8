"""Tool calls of one answer: side by side where they only read, in order always, paid for once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsys.gateway.scripted import Say
from agentsys.kernel.errors import LeaseLost
from tests.workers.given import GivenPorts, GivenRepository
from tests.workers.speaking import a_brief, a_tool, does, finish, prompt, run
from workers.contracts import FailureKind, Outcome, Risk
from workers.conversation import Conversation
from workers.errors import StepsTooMany
from workers.journal import Journal
from workers.models import Step
from workers.parallel import side_by_side
from workers.tools import ToolFailed

pytestmark = pytest.mark.django_db(transaction=True)


def reads(*names: str) -> Say:
    return Say(calls=tuple(("read_file", {"path": name}) for name in names))


def test_calls_that_only_read_run_side_by_side_and_keep_their_order(
    speak: Any, tmp_path: Path
) -> None:
    together = threading.Barrier(3, timeout=30)  # breaks unless three are under way at once
    made: list[str] = []

    def read(args: Any) -> str:
        together.wait()
        made.append(args["path"])
        return f"text of {args['path']}"

    lines = speak(reads("a", "b", "c"), finish())
    report = run(tmp_path, a_brief(), [a_tool("read_file", read)])
    assert report.usage.tool_calls == 3
    heard = [m.content for m in lines.asked[1] if m.type == "tool"]
    assert [f"text of {name}" in text for name, text in zip("abc", heard, strict=True)] == [
        True
    ] * 3
    rows = Step.objects.filter(kind="tool").order_by("index")
    assert [row.request["path"] for row in rows] == ["a", "b", "c"]
    run(tmp_path, a_brief(fence=2, attempt_id=2), [a_tool("read_file", read)])
    assert len(made) == 3  # a replay calls nothing
    assert len(lines.asked) == 2


def test_what_changes_something_runs_alone(speak: Any, tmp_path: Path) -> None:
    under_way: list[str] = []

    def write(args: Any) -> str:
        under_way.append(args["path"])
        assert threading.current_thread() is threading.main_thread()
        return "ok"

    calls = tuple(("write_file", {"path": str(n)}) for n in range(3))
    speak(Say(calls=calls), finish())
    run(tmp_path, a_brief(), [a_tool("write_file", write, Risk.WRITE)])
    assert under_way == ["0", "1", "2"]


def test_one_that_fails_does_not_spoil_the_others(speak: Any, tmp_path: Path) -> None:
    def read(args: Any) -> str:
        if args["path"] == "b":
            raise ToolFailed(tool="read_file", reason="no such file")
        return "text"

    lines = speak(reads("a", "b", "c"), finish())
    assert run(tmp_path, a_brief(), [a_tool("read_file", read)]).outcome is Outcome.DONE
    first, second, third = [str(m.content) for m in lines.asked[1] if m.type == "tool"]
    assert "text" in first
    assert second == "failed: read_file: no such file"
    assert "text" in third


def test_a_lease_that_is_lost_in_a_thread_goes_through_and_nothing_is_paid_twice(
    speak: Any, tmp_path: Path
) -> None:
    made: list[str] = []

    def read(args: Any) -> str:
        made.append(args["path"])
        return "text"

    class Cut(GivenPorts):
        guards = 0

        def guard(self) -> None:
            self.guards += 1
            if self.guards > 4:  # the prompt, the model, two of the three calls
                raise LeaseLost(attempt_id=1, fence=1, reason="test")

    lines = speak(reads("a", "b", "c"), finish())
    brief = a_brief()
    with pytest.raises(LeaseLost):
        run(tmp_path, brief, [a_tool("read_file", read)], Cut(tmp_path))
    assert len(made) == 2
    report = run(tmp_path, replace(brief, fence=2, attempt_id=2), [a_tool("read_file", read)])
    assert report.outcome is Outcome.DONE
    assert sorted(made) == ["a", "b", "c"]
    assert len(lines.asked) == 2


def test_a_call_that_came_twice_counts_once_and_ids_are_told_apart() -> None:
    talk = Conversation("system")
    call = {"id": "x", "name": "read", "args": {"path": "a"}}
    own = talk.answer("", [call, dict(call), {**call, "args": {"path": "b"}}])
    assert [(c["id"], c["args"]["path"]) for c in own] == [("x", "a"), ("x-2", "b")]
    assert talk.answer("", [call])[0]["id"] == "x-3"


def test_an_agent_can_hand_its_task_back(speak: Any, tmp_path: Path) -> None:
    speak(does("hand_back", reason="there is no access to production"))
    report = run(tmp_path, a_brief(), [])
    assert report.failure is not None
    assert report.failure.kind is FailureKind.HANDED_BACK
    assert "no access to production" in report.failure.message


def test_a_place_holds_one_step_and_what_differs_leaves_its_siblings_alone() -> None:
    for fence, names in ((1, "abc"), (2, "axc")):
        journal = Journal("t9", fence, fence, lambda: None)
        for place, name in zip(journal.places(3), names, strict=True):
            with journal.at(place):
                assert journal.step("tool", name, {}, lambda name=name: name) == name
    assert journal.replayed == 2
    assert [s.name for s in Step.objects.filter(lineage="t9").order_by("index")] == ["a", "x", "c"]
    with journal.at(journal.places(1)[0]):
        journal.step("tool", "y", {}, lambda: 1)
        with pytest.raises(StepsTooMany):
            journal.step("tool", "z", {}, lambda: 2)


def test_all_end_before_an_error_is_raised_and_the_first_is() -> None:
    ended: list[int] = []

    def call(n: int) -> int:
        if n == 1:
            raise ValueError(str(n))
        ended.append(n)
        return n

    with pytest.raises(ValueError, match="1"):
        side_by_side([lambda n=n: call(n) for n in range(4)])
    assert 0 in ended
    assert side_by_side([lambda n=n: n for n in range(9)]) == list(range(9))


# --- Claims --------------------------------------------------------------------------------------


def claiming(*claims: dict[str, Any]) -> Say:
    return does("finish", text="done", claims=list(claims))


def test_a_claim_carries_its_evidence_and_its_source_goes_with_it(
    speak: Any, tmp_path: Path, repo: GivenRepository
) -> None:
    repo.put("notes.md", "Leases last 30 s.\nThey are renewed each 5 s.\n")
    repo.commit()
    speak(
        does("read_file", path="x"),
        claiming(
            {"text": "renewed often", "source": "notes.md", "quote": "renewed each 5 s"},
            {"text": "read so", "source": "call-1-0", "quote": "ok", "start": 10_000},
        ),
    )
    report = run(tmp_path / "w", a_brief(repository=repo.ref()), [a_tool("read_file")])
    assert report.output == {"text": "done"}
    first, second = report.claims
    text = "Leases last 30 s.\nThey are renewed each 5 s.\n"
    assert text[first.start : first.end] == first.quote == "renewed each 5 s"
    sources = {a.name: a.content.decode() for a in report.artifacts if a.kind == "data"}
    assert sources["notes.md"] == text
    assert sources["call-1-0"][second.start : second.end] == "ok"


@pytest.mark.parametrize(
    ("claim", "problem"),
    [
        ({"text": "t", "source": "notes.md", "quote": "invented"}, "its quote does not stand in"),
        ({"text": "t", "source": "../etc/passwd", "quote": "root"}, "there is no source"),
        ({"text": "t", "source": "notes.md"}, "'quote' is a required property"),
    ],
)
def test_a_claim_that_does_not_stand_is_given_back(
    speak: Any, tmp_path: Path, repo: GivenRepository, claim: dict[str, Any], problem: str
) -> None:
    repo.put("notes.md", "Leases last 30 s.")
    repo.commit()
    lines = speak(claiming(claim), finish())
    report = run(tmp_path / "w", a_brief(repository=repo.ref()), [])
    assert (report.outcome, report.claims) == (Outcome.DONE, ())
    assert problem in prompt(lines, 1)
