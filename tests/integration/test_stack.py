"""The stack: everything under one supervisor, started again when it dies, stopped by its lock."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from agentsys import ports, supervisor
from agentsys.doctor import parts
from agentsys.management.commands.stack import Command
from agentsys.supervisor import Layout, LogFile, Service, Supervisor
from tests.acceptance.workers import wait_for
from tests.integration.servers import command, postmaster

pytestmark = pytest.mark.timeout(300)
SERVICES = {"web", "worker-1", "beat", "flower"}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Stack:
    home: Path
    port: int
    flower_port: int

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        return command(self.home, *words)

    def up(self) -> subprocess.CompletedProcess[str]:
        ports = ("--port", str(self.port), "--flower-port", str(self.flower_port))
        return self.manage("stack", "up", "--detach", "--concurrency", "2", *ports)

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.manage("stack", "status", "--json").stdout))

    def pids(self) -> dict[str, int]:
        return {name: s["pid"] for name, s in self.status()["services"].items()}

    def supervisor_pid(self) -> int:
        return int(json.loads(Layout(self.home).state.read_text())["pid"])

    def logs(self) -> str:
        files = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"== {p.name}\n{p.read_text()[-1500:]}" for p in files)


def get(port: int, path: str, **headers: str) -> int:
    """The answer's status; 0 when nobody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Short, for sockets; made once, since making a database takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="agentsys-s-"))
    yield folder
    command(folder, "stack", "down")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stack(home: Path) -> Iterator[Stack]:
    found = Stack(home, free_port(), free_port())
    started = found.up()
    assert started.returncode == 0, started.stderr
    wait_for(lambda: get(found.port, "/readyz") == 200, seconds=60, why=found.logs)
    yield found
    found.manage("stack", "down")


def test_it_serves_brings_back_what_dies_and_ends_in_order(stack: Stack) -> None:
    found = stack.status()
    assert found["up"]
    assert [name for name, one in found["services"].items() if not one["up"]] == []
    assert stack.manage("stack", "status").returncode == 0
    assert set(found["services"]) == SERVICES
    assert found["servers"] == {"postgres": True, "valkey": True}

    serves_people_who_have_a_password(stack)
    writes_nothing_where_nothing_is_wrong(stack)
    only_one_at_a_time(stack)
    brings_back_what_was_killed(stack)

    pids = [stack.supervisor_pid(), *stack.pids().values(), postmaster(stack.home)]
    ended = stack.manage("stack", "down")
    assert ended.returncode == 0, ended.stderr
    assert "stopped" in ended.stdout
    assert [pid for pid in pids if supervisor.alive(pid)] == []
    assert stack.status()["up"] is False
    assert not Layout(stack.home).state.exists()
    assert "nothing was running" in stack.manage("stack", "down").stdout


def serves_people_who_have_a_password(stack: Stack) -> None:
    assert get(stack.port, "/healthz") == 200
    assert get(stack.port, "/admin/login/") == 200
    assert get(stack.port, "/static/admin/css/base.css") == 200
    wait_for(lambda: get(stack.flower_port, "/") == 401, why=stack.logs)
    for name in ("admin_password", "flower_password", "secret_key"):
        assert (stack.home / name).stat().st_mode & 0o777 == 0o600
        assert (stack.home / name).read_text().strip() not in stack.logs()
    password = (stack.home / "flower_password").read_text().strip()
    basic = base64.b64encode(f"admin:{password}".encode()).decode()
    assert get(stack.flower_port, "/", Authorization=f"Basic {basic}") == 200


def writes_nothing_where_nothing_is_wrong(stack: Stack) -> None:
    """What stands in the logs, `stack up` repeats to the person who watches."""
    assert get(stack.port, "/favicon.ico") == 204
    logs = {p.stem: p.read_text() for p in (stack.home / "logs").glob("*.log")}
    assert {name: logs[name] for name in ("web", "worker-1", "beat")} == {
        "web": "", "worker-1": "", "beat": "",
    }  # fmt: skip


def only_one_at_a_time(stack: Stack) -> None:
    second = stack.up()
    assert second.returncode == 7
    assert f"pid {stack.supervisor_pid()}" in second.stderr


def brings_back_what_was_killed(stack: Stack) -> None:
    before, dead = stack.pids(), postmaster(stack.home)
    for pid in (before["worker-1"], before["web"], dead):
        os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        now = stack.pids()
        return now["worker-1"] not in (None, before["worker-1"]) and now["web"] != before["web"]

    wait_for(back, seconds=60, why=stack.logs)
    wait_for(lambda: get(stack.port, "/readyz") == 200, seconds=60, why=stack.logs)
    assert postmaster(stack.home) != dead
    assert stack.pids()["beat"] == before["beat"], "what lives is left alone"


def test_what_a_killed_supervisor_leaves_ends_by_itself_and_a_new_one_starts(stack: Stack) -> None:
    pids = stack.pids()
    os.kill(stack.supervisor_pid(), signal.SIGKILL)
    wait_for(lambda: not any(map(supervisor.alive, pids.values())), seconds=60, why=stack.logs)
    assert stack.status()["up"] is False
    started = stack.up()
    assert started.returncode == 0, started.stderr


def test_a_taken_port_is_said_before_anything_starts(home: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        ended = command(home, "stack", "up", "--port", str(port))
    assert ended.returncode == 69
    assert f"port {port} of 127.0.0.1, for web, is taken" in ended.stderr
    assert 'make up ARGS="--port 8010 --flower-port 5556"' in ended.stderr
    assert "console" not in ended.stderr
    assert not supervisor.is_up(Layout(home))


@pytest.mark.parametrize("words", [("--workers", "0"), ("--port", "x"), ("--port", "70000")])
def test_numbers_that_make_no_sense_are_refused(words: tuple[str, str]) -> None:
    parser = Command().create_parser("manage.py", "stack")
    with pytest.raises(CommandError, match=words[1]):
        parser.parse_args(["up", *words])


# --- The supervisor alone ----------------------------------------------------------------------------


def supervised(tmp_path: Path, *scripts: str, say: Callable[[str], None]) -> Supervisor:
    running = [
        Service(f"worker-{n}", [sys.executable, "-c", script]) for n, script in enumerate(scripts)
    ]
    layout = Layout(tmp_path)
    layout.home.mkdir(exist_ok=True)
    return Supervisor(layout, running, say)


def test_what_ends_at_once_is_started_again_after_a_growing_pause(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = supervised(tmp_path, "print('here', flush=True); raise SystemExit(3)", say=said.append)

    def ended(times: int) -> bool:
        keeper._turn()
        return sum("ended with 3" in line for line in said) >= times

    wait_for(lambda: ended(2), seconds=20)
    keeper._end()
    assert [line[-3:] for line in said if "again in" in line][:2] == ["1 s", "2 s"]
    assert "worker-0   here" in said


def test_a_worker_is_given_time_to_finish_and_is_told_only_once(tmp_path: Path) -> None:
    """A second SIGTERM would mean haste to a program that counts them."""
    script = """
import signal, sys, threading
told = []
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: (told.append(1), threading.Timer(0.5, over.set).start()))
print("ready", flush=True)
while not over.wait(0.05): pass
print("told", len(told), flush=True)
"""
    said: list[str] = []
    keeper = supervised(tmp_path, script, say=said.append)

    def ready() -> bool:
        keeper._turn()
        return "worker-0   ready" in said

    wait_for(ready)
    keeper._end()
    assert "worker-0   told 1" in said


def test_a_port_that_is_taken_meanwhile_is_one_line_and_no_start(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = supervised(tmp_path, "print('here', flush=True)", say=said.append)
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        keeper._services[0].port = port = stranger.getsockname()[1]
        for _ in range(3):
            keeper._turn()
    keeper._end()
    assert [line for line in said if "is down" in line] == [
        f"worker-0 is down: port {port} is taken by another process; looked at again in 1 s"
    ]
    assert keeper._services[0].process is None


def test_a_state_file_that_cannot_be_written_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = supervised(tmp_path, "import time; time.sleep(60)", say=said.append)
    in_the_way = keeper._layout.state.with_suffix(".partial")
    in_the_way.mkdir()  # as a full disk would be
    for _ in range(3):
        keeper._turn()
    process = keeper._services[0].process
    assert process is not None and process.poll() is None
    in_the_way.rmdir()
    keeper._turn()
    assert json.loads(keeper._layout.state.read_text())["services"]["worker-0"]["pid"]
    keeper._end()
    assert len([line for line in said if "cannot be written" in line]) == 1


def test_a_stack_of_which_a_part_is_down_has_an_exit_code_of_its_own(
    tmp_path: Path, settings: Any
) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, home=tmp_path)
    layout = Layout(tmp_path)
    services = {
        "web": {"pid": os.getpid(), "failures": 0, "port": free_port()},
        "beat": {"pid": os.getpid(), "failures": 0, "port": None},
    }
    with supervisor.only_one(layout):
        layout.state.write_text(json.dumps({"pid": os.getpid(), "services": services}))
        out = io.StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("stack", "status", stdout=out)
        told = parts._stack()
    assert ended.value.code == 69
    assert "stack up, but web is not" in out.getvalue()
    assert (told.found, bool(told.fix), told.advice) == ("web down", True, False)


def test_a_stranger_on_the_port_is_not_taken_for_the_stack(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, home=tmp_path)
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        port = stranger.getsockname()[1]
        monkeypatch.setattr(ports, "PORTS", {"web": port})
        told = parts._stack()
    assert told.found == f"not running; port {port} taken by other programs"
    assert told.fix


def test_a_state_file_without_its_supervisor_means_down(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.state.write_text(json.dumps({"pid": os.getpid(), "services": {}}))
    assert supervisor.status(layout)["up"] is False
    assert supervisor.stop(layout) is False  # and nobody was sent a signal: this test lives on


def test_a_log_shows_whole_lines_once_and_is_put_aside_when_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "web.log"
    path.write_text("old\n")
    log = LogFile(path)
    with path.open("a") as writer:
        writer.write("one\ntw")
        writer.flush()
        assert log.news() == ["one"]
        writer.write("o\n")
        writer.flush()
        assert log.news() == ["two"]
        assert log.news() == []
        monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 10)
        writer.write("three\n")
        writer.flush()
        assert log.news() == ["three"]
        assert path.stat().st_size == 0
        writer.write("four\n")
        writer.flush()
    assert log.news() == ["four"]
    assert path.with_suffix(".log.1").read_text() == "old\none\ntwo\nthree\n"
