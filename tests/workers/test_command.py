"""The agents that need no repository: noop, collect, command; and the edge around every agent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agentsys.kernel.errors import BadInput, LeaseLost, ServiceAway
from tests.workers.given import GivenPorts, GivenRepository, a_brief
from workers import registry
from workers.agents.base import Agent
from workers.contracts import Brief, FailureKind, Limits, Outcome, Ports, Report
from workers.services import attempt_run

pytestmark = pytest.mark.django_db  # whether a role has a model of its own is looked up


def valid(report: Report, agent: str) -> Report:
    """The report, whose output keeps the agent's promise."""
    Draft202012Validator(registry.agent(agent).output_schema).validate(report.to_json()["output"])
    return report


def test_noop_echoes_without_a_database(ports: GivenPorts) -> None:
    brief = a_brief("noop", {"n": 1})
    report = attempt_run(brief, ports)
    assert valid(report, "noop").output == {"echo": {"n": 1}}


def test_collect_gathers_in_key_order_and_names_what_failed(ports: GivenPorts) -> None:
    needs = {"fix-10": {"n": 10}, "fix-2": {"n": 2}, "fix-1": None}
    report = valid(attempt_run(a_brief("collect", needs=needs), ports), "collect")
    assert report.output == {"items": [{"n": 2}, {"n": 10}], "count": 2, "failed": ["fix-1"]}


def test_a_command_reports_how_it_ended(ports: GivenPorts) -> None:
    inputs = {"argv": ["sh", "-c", "cat; echo $X; echo e >&2"], "stdin": "in ", "env": {"X": "1"}}
    report = valid(attempt_run(a_brief("command", inputs), ports), "command")
    assert report.outcome is Outcome.DONE
    assert (report.output["stdout"], report.output["stderr"]) == ("in 1\n", "e\n")


def test_a_failing_command_is_a_failure_unless_allowed(ports: GivenPorts) -> None:
    inputs = {"argv": ["sh", "-c", "echo broken >&2; exit 4"]}
    report = valid(attempt_run(a_brief("command", inputs), ports), "command")
    assert report.failure is not None
    assert (report.outcome, report.failure.kind) == (Outcome.FAILED, FailureKind.BAD_OUTPUT)
    assert report.failure.message.endswith("exit code 4: broken")
    silent = attempt_run(a_brief("command", {"argv": ["sh", "-c", "exit 4"]}), ports)
    assert silent.failure is not None
    assert silent.failure.message.endswith("exit code 4")
    allowed = attempt_run(a_brief("command", {**inputs, "allow_failure": True}), ports)
    assert (allowed.outcome, allowed.output["exit_code"]) == (Outcome.DONE, 4)


def test_a_command_over_its_time_is_ended(ports: GivenPorts) -> None:
    brief = a_brief("command", {"argv": ["sleep", "600"]}, limits=Limits(seconds_max=0.3))
    report = attempt_run(brief, ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.TIMEOUT


def test_a_command_sees_the_repository_and_cannot_change_it(
    ports: GivenPorts, repo: GivenRepository
) -> None:
    repo.write(src__a_py="x = 1\n")
    repo.commit()
    inputs = {"argv": ["cat", "a.py"], "cwd": "src"}
    assert attempt_run(a_brief("command", inputs, repository=repo.ref()), ports).output[
        "stdout"
    ] == ("x = 1\n")
    inputs = {"argv": ["sh", "-c", "echo x > a.py"]}
    report = attempt_run(a_brief("command", inputs, repository=repo.ref()), ports)
    assert report.outcome is Outcome.FAILED
    inputs = {"argv": ["ls"], "cwd": "../.."}
    report = attempt_run(a_brief("command", inputs, repository=repo.ref()), ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT


@pytest.mark.parametrize("inputs", [{}, {"argv": "ls"}, {"argv": []}, {"argv": [1]}])
def test_bad_inputs_are_refused_before_anything_runs(
    ports: GivenPorts, inputs: dict[str, object]
) -> None:
    report = attempt_run(a_brief("command", inputs), ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT
    assert "argv" in report.failure.message


def test_an_unknown_agent_is_a_failed_report_with_a_hint(ports: GivenPorts) -> None:
    report = attempt_run(a_brief("comand"), ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT
    assert "did you mean `command`?" in report.failure.message


class Scripted(Agent):
    """Raises or returns what the test says."""

    name = "scripted"
    role = "testing"
    description = "For tests."
    then: Any

    def run(self, brief: Brief, ports: Ports) -> Report:
        if isinstance(self.then, BaseException):
            raise self.then
        return self.then  # type: ignore[no-any-return]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    agent = Scripted()
    monkeypatch.setitem(registry._loaded, "scripted", agent)
    return agent


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ZeroDivisionError("x"), FailureKind.CRASH),
        (BadInput(what="x", problems=["bad"]), FailureKind.BAD_INPUT),
        (ServiceAway(service="s", where="w", reason="r", way_out="o"), FailureKind.OUTAGE),
        (TimeoutError("slow"), FailureKind.TIMEOUT),
        (ConnectionResetError("gone"), FailureKind.TRANSIENT),
    ],
)
def test_what_an_agent_raises_becomes_a_failed_report(
    ports: GivenPorts, scripted: Scripted, error: Exception, kind: FailureKind
) -> None:
    scripted.then = error
    report = attempt_run(a_brief("scripted"), ports)
    assert report.failure is not None
    assert (report.outcome, report.failure.kind) == (Outcome.FAILED, kind)


@pytest.mark.parametrize("stop", [SystemExit(3), KeyboardInterrupt()])
def test_an_agent_that_ends_its_thread_has_crashed_and_a_signal_goes_through(
    ports: GivenPorts, scripted: Scripted, stop: BaseException
) -> None:
    scripted.then = stop
    with ThreadPoolExecutor() as pool:  # as a worker runs it
        failure = pool.submit(attempt_run, a_brief("scripted"), ports).result().failure
    assert failure is not None
    assert failure.kind is FailureKind.CRASH
    assert type(stop).__name__ in failure.message
    with pytest.raises(type(stop)):
        attempt_run(a_brief("scripted"), ports)


def test_what_is_no_report_is_said(ports: GivenPorts, scripted: Scripted) -> None:
    scripted.then = {"a": 1}
    failure = attempt_run(a_brief("scripted"), ports).failure
    assert failure is not None
    assert failure.message == "scripted returned dict; expected a `Report`"


def test_a_lost_lease_passes_through(ports: GivenPorts, scripted: Scripted) -> None:
    scripted.then = LeaseLost(attempt_id=1, fence=1, reason="taken")
    with pytest.raises(LeaseLost):
        attempt_run(a_brief("scripted"), ports)


def test_too_much_output_is_refused(ports: GivenPorts, scripted: Scripted) -> None:
    scripted.then = Report(outcome=Outcome.DONE, output={"text": "x" * 1000})
    brief = a_brief("scripted", limits=Limits(output_bytes_max=500))
    report = attempt_run(brief, ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_OUTPUT
    assert report.output == {}
