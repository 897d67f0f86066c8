"""Checks in parallel, and actions that are proposed, approved and carried out once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentsys.kernel.errors import BadInput
from tests.workers.given import GivenPorts, a_brief
from tests.workers.test_command import valid
from workers.actions import EffectInDoubt, EffectRefused, action_apply
from workers.contracts import FailureKind, Outcome, Risk
from workers.models import Effect
from workers.services import attempt_run, effect_begin, effect_refuse


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/fine" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving.server_port
        serving.shutdown()
        thread.join()


def test_each_check_says_what_it_found(ports: GivenPorts, server: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    checks = [
        {"name": "command", "argv": ["echo", "hello"]},
        {"name": "bad command", "argv": ["sh", "-c", "exit 3"]},
        {"name": "slow", "argv": ["sleep", "600"], "timeout_seconds": 0.3},
        {"name": "port", "tcp": f"127.0.0.1:{server}"},
        {"name": "no port", "tcp": f"127.0.0.1:{free}"},
        {"name": "disk", "disk": "/", "min_free_mb": 0},
        {"name": "no disk", "disk": "/", "min_free_mb": 10**12},
        {"name": "page", "http": f"http://127.0.0.1:{server}/fine"},
        {"name": "no page", "http": f"http://127.0.0.1:{server}/broken"},
        {"name": "far page", "http": "http://169.254.169.254/latest", "remote": True},
        {"name": "far port", "tcp": "192.0.2.1:80"},
    ]
    report = valid(attempt_run(a_brief("devops", {"checks": checks}), ports), "devops")
    assert report.outcome is Outcome.DONE
    found = {result["name"]: result["ok"] for result in report.output["results"]}
    assert [name for name, ok in found.items() if ok] == ["command", "port", "disk", "page"]
    assert list(found) == [check["name"] for check in checks]
    assert not report.output["ok"]
    details = {result["name"]: result["detail"] for result in report.output["results"]}
    assert details["command"] == "exit code 0: hello"
    assert "set `remote`" in details["far port"]
    assert "never checked" in details["far page"]


pytestmark = pytest.mark.django_db  # whether a model serves the role is looked up


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"checks": []},
        {"checks": [{"name": "both", "argv": ["true"], "disk": "/"}]},
        {"checks": [{"name": "none"}]},
        {"action": {"argv": ["true"]}},
        {"action": {"argv": ["true"], "why": "w", "writable": ["/no/such/folder"]}},
    ],
)
def test_bad_inputs_are_refused(ports: GivenPorts, inputs: dict[str, Any]) -> None:
    report = attempt_run(a_brief("devops", inputs), ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT


def test_an_action_is_proposed_and_does_not_run(ports: GivenPorts, tmp_path: Path) -> None:
    action = {"argv": ["touch", "mark"], "why": "to see", "writable": [str(tmp_path)]}
    report = valid(attempt_run(a_brief("devops", {"action": action}), ports), "devops")
    (proposal,) = report.proposals
    assert (proposal.kind, proposal.risk) == ("action", Risk.IRREVERSIBLE)
    assert proposal.payload == action
    assert list(ports.workspace().iterdir()) == []


def apply(payload: dict[str, Any], folder: Path, fence: int = 1) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return action_apply(payload, key="proposal-7", attempt_id=3, fence=fence, workspace=folder)


@pytest.mark.django_db
def test_an_approved_action_is_carried_out_once(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    code = f"echo done >> {outside}/mark; cat {outside}/mark"
    payload = {"argv": ["sh", "-c", code], "why": "x", "writable": [str(outside)]}
    first = apply(payload, tmp_path / "w")
    assert (first["exit_code"], first["stdout"]) == (0, "done\n")
    assert apply(payload, tmp_path / "w", fence=2) == first
    assert (outside / "mark").read_text() == "done\n"
    effect = Effect.objects.get()
    assert (effect.state, effect.level) == ("confirmed", first["level"])


@pytest.mark.django_db
def test_an_action_that_fails_is_a_result(tmp_path: Path) -> None:
    assert apply({"argv": ["sh", "-c", "exit 5"]}, tmp_path / "w")["exit_code"] == 5


@pytest.mark.django_db
def test_an_action_that_was_only_begun_is_in_doubt_and_stays_so(tmp_path: Path) -> None:
    request = {"argv": ["touch", "mark"], "writable": [], "network": False, "timeout_seconds": 300}
    effect_begin(key="proposal-7", kind="action", request=request, attempt_id=2, fence=1)
    for _ in range(2):
        with pytest.raises(EffectInDoubt, match="attempt 2"):
            apply({"argv": ["touch", "mark"]}, tmp_path / "w")
        assert Effect.objects.get().state == "doubtful"
    assert list((tmp_path / "w").iterdir()) == []
    effect_refuse("proposal-7", "it did not happen")
    with pytest.raises(EffectRefused, match="it did not happen"):
        apply({"argv": ["touch", "mark"]}, tmp_path / "w")


@pytest.mark.django_db
@pytest.mark.parametrize("payload", [{}, {"argv": "ls"}, {"argv": [1]}])
def test_a_bad_action_leaves_nothing_on_record(tmp_path: Path, payload: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        apply(payload, tmp_path / "w")
    assert not Effect.objects.exists()
