"""What the sandbox keeps in: network, files, processes, memory, output, time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentsys.kernel.errors import BadInput, LeaseLost
from tests.workers.given import GivenPorts, a_brief
from workers import sandbox
from workers.contracts import FailureKind
from workers.errors import SandboxUnavailable
from workers.sandbox import bubblewrap, levels
from workers.sandbox.process import Capture
from workers.services import attempt_run


@pytest.fixture(params=[isolation.level.name for isolation in levels._working()[0][:2]])
def isolated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every level that works on this machine, one after the other."""
    found, _ = levels._working()
    only = tuple(isolation for isolation in found if isolation.level.name == request.param)
    monkeypatch.setattr(levels, "_working", lambda: (only, ()))
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir(mode=0o755)
    return folder


def run(place: Path, *argv: str, **options: Any) -> sandbox.SandboxResult:
    options = {"timeout_seconds": 20, "writable": [place], **options}
    return sandbox.run(argv, cwd=place, **options)


def python(place: Path, code: str, **options: Any) -> sandbox.SandboxResult:
    return run(place, sys.executable, "-I", "-c", code, **options)


def test_it_runs_and_says_at_which_level(place: Path, isolated: str) -> None:
    ended = run(place, "sh", "-c", "cat; echo oops >&2; exit 3", stdin=b"given")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, "given", "oops\n")
    assert (ended.level, ended.killed, ended.truncated) == (isolated, "", False)
    assert sandbox.level().name == isolated


@pytest.mark.parametrize(("argv", "code"), [(["no-such-thing"], 127), (["/etc/passwd"], 126)])
def test_what_cannot_be_started_ends_as_in_a_shell(place: Path, argv: list[str], code: int) -> None:
    ended = run(place, *argv)
    assert ended.exit_code == code
    assert argv[0] in ended.stderr


def test_there_is_no_network_not_even_loopback(place: Path, isolated: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 3)"
        assert python(place, code).exit_code != 0
        assert python(place, code, network=True).exit_code == 0


def test_homes_servers_and_the_environment_are_not_there(
    place: Path, isolated: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary-5a3f")
    secret = tmp_path / "secret.txt"
    secret.write_text("canary-5a3f")
    hidden = [secret, Path.home() / ".bashrc", Path("/etc/shadow"), Path("/var/lib"), Path("/home")]
    hidden += [Path(host) for host in [_database_socket()] if host]
    code = "import os, sys; print([p for p in sys.argv[1:] if os.path.exists(p)], dict(os.environ))"
    ended = run(place, sys.executable, "-I", "-c", code, *map(str, hidden))
    assert ended.stdout.startswith("[] ")
    assert "canary" not in run(place, "sh", "-c", "env; cat /proc/*/environ").stdout


def _database_socket() -> str:
    from django.conf import settings

    host = str(settings.DATABASES["default"]["HOST"])
    return f"{host}/.s.PGSQL.5432" if host.startswith("/") else ""


def test_only_writable_folders_can_be_written(place: Path, isolated: str, tmp_path: Path) -> None:
    lent = tmp_path / "lent"
    lent.mkdir()
    (lent / "file").write_text("as it was")
    targets = [lent / "file", lent / "new", Path("/usr/x"), Path(sys.prefix) / "x", Path("/etc/x")]
    for target in targets:
        ended = run(place, "sh", "-c", f"echo changed > {target}", readable=[lent])
        assert ended.exit_code != 0, target
    assert (lent / "file").read_text() == "as it was"
    assert run(place, "sh", "-c", "echo fine > made; echo fine > /tmp/x").exit_code == 0
    assert (place / "made").read_text() == "fine\n"


def test_what_it_writes_belongs_to_the_worker(place: Path, isolated: str) -> None:
    (place / "old").write_text("old")
    run(place, "sh", "-c", "mkdir -p a/b && echo x > a/b/c && ln -s /etc/shadow a/link && rm old")
    owners = {path.lstat().st_uid for path in [place, *place.rglob("*")]}
    assert owners == {os.geteuid()}
    (place / "a" / "b" / "c").write_text("and can be changed by it")


def test_a_writable_folder_around_this_python_does_not_make_it_writable(isolated: str) -> None:
    python_folder = Path(sys.prefix)
    if python_folder.is_relative_to("/usr"):
        pytest.skip("this Python is in /usr, which is read-only anyway")
    ended = sandbox.run(
        ["sh", "-c", f"echo x > {python_folder}/canary"],
        cwd=python_folder,
        readable=[python_folder.parent],
        timeout_seconds=20,
    )
    assert ended.exit_code != 0
    assert not (python_folder / "canary").exists()


def test_this_python_may_go_by_a_link(tmp_path: Path) -> None:
    """As where releases are changed by a link that leads to the newest."""
    (tmp_path / "current").symlink_to(sys.prefix)
    code = "import django; django.setup(); from workers.sandbox import levels; levels.chosen()"
    argv = [
        str(tmp_path / "current" / "bin" / "python"),
        "-c",
        f"{code}; import sys; print(sys.prefix)",
    ]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == str(tmp_path / "current"), ended.stderr


def test_no_privilege_is_left(place: Path, isolated: str) -> None:
    status = run(place, "cat", "/proc/self/status").stdout
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert int(facts["CapEff"], 16) == 0
    assert facts["NoNewPrivs"].strip() == "1"
    assert facts["Seccomp"].strip() == "2"
    assert run(place, "unshare", "-Ur", "true").exit_code != 0
    assert run(place, "mount", "-t", "tmpfs", "x", "/tmp").exit_code != 0


def test_the_time_limit_kills_daemons_that_left_the_group(place: Path, isolated: str) -> None:
    """A double fork with a session of its own holds a pipe: its end is seen at the other side."""
    os.mkfifo(place / "alive")
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        handle = os.open('alive', os.O_WRONLY)\n"
        "        os.write(handle, b'up')\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "time.sleep(600)\n"
    )
    heard: list[bytes] = []

    def listen() -> None:
        with (place / "alive").open("rb") as fifo:
            heard.append(fifo.read())  # returns when the last writer is gone

    listener = threading.Thread(target=listen)
    listener.start()
    ended = python(place, code, timeout_seconds=1.5)
    listener.join(10)
    assert ended.timed_out
    assert ended.killed == "timeout"
    assert heard == [b"up"]


def test_it_does_not_outlive_a_worker_that_is_killed(place: Path, isolated: str) -> None:
    os.mkfifo(place / "alive")
    worker = os.fork()
    if worker == 0:
        python(place, "import time; open('alive', 'w').write('up'); time.sleep(600)")
        os._exit(0)
    with (place / "alive").open("rb") as fifo:  # opens when the program inside does
        os.kill(worker, signal.SIGKILL)
        fifo.read()  # returns when the last writer is gone
    os.waitpid(worker, 0)


def test_what_outlives_the_command_is_killed_with_it(place: Path, isolated: str) -> None:
    started = time.monotonic()
    ended = run(place, "sh", "-c", "sleep 600 & echo started")
    assert (ended.exit_code, ended.stdout) == (0, "started\n")
    assert time.monotonic() - started < 120  # and not 600


def test_long_output_keeps_its_ends_and_says_so(place: Path) -> None:
    ended = run(place, "seq", "1", "100000", output_bytes_max=200)
    assert ended.exit_code == 0
    assert ended.truncated
    assert ended.stdout.startswith("1\n2\n")
    assert ended.stdout.endswith("99999\n100000\n")
    assert "bytes left out" in ended.stdout
    assert len(ended.stdout) < 300


OUTPUT_OF_100_MB = """
import os, sys
from pathlib import Path
import django
django.setup()
from workers import sandbox
place = Path(sys.argv[1])
def most():  # the high-water mark of this process alone, unlike getrusage's after a fork
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
sandbox.run(["true"], cwd=place, timeout_seconds=60)
before = most()
code = "import os; [os.write(1, b'x' * 2**20) for _ in range(100)]"
ended = sandbox.run([sys.executable, "-I", "-c", code], cwd=place, timeout_seconds=120)
print(most() - before, ended.exit_code, ended.truncated, len(ended.stdout))
"""


def test_100_mb_of_output_cost_the_worker_less_than_20(place: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", OUTPUT_OF_100_MB, str(place)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "agentsys.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    cost, code, truncated, kept = ended.stdout.split()
    assert int(cost) < 20_000_000
    assert (code, truncated) == ("0", "True")
    assert int(kept) < 300_000


def test_an_endless_flood_is_ended(place: Path) -> None:
    ended = run(place, "yes", output_bytes_max=100)
    assert (ended.killed, ended.truncated, ended.timed_out) == ("output", True, False)


def test_capture_is_bounded_and_exact_below_its_limit() -> None:
    small, large = Capture(limit=10), Capture(limit=1000)
    for _ in range(1000):
        small.add(b"0123456789" * 1000)
        assert len(small.head) + len(small.tail) < 200_000
    large.add(b"a" * 600)
    large.add(b"b" * 400)
    assert large.text() == "a" * 600 + "b" * 400
    assert not large.truncated


def test_memory_is_limited(place: Path) -> None:
    ended = python(place, "x = bytearray(2 * 1024**3)", memory_bytes_max=512 * 1024**2)
    assert ended.exit_code == 1
    assert "MemoryError" in ended.stderr


def test_many_small_processes_are_held_to_the_same_limit(place: Path, isolated: str) -> None:
    code = (
        "import os, time\n"
        "for _ in range(8):\n"
        "    if os.fork() == 0:\n"
        "        x = bytearray(os.urandom(1)) * (60 * 1024**2)\n"
        "        time.sleep(600)\n"
        "time.sleep(600)\n"
    )
    ended = python(place, code, memory_bytes_max=256 * 1024**2)
    assert (ended.killed, ended.timed_out) == ("memory", False)


def test_runs_in_parallel_do_not_meet(tmp_path: Path) -> None:
    places = [tmp_path / str(number) for number in range(8)]
    for folder in places:
        folder.mkdir()
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda one: run(one, "sh", "-c", "echo $$ > f; ls; pwd"), places))
    assert [end.stdout for end in ended] == [f"f\n{folder}\n" for folder in places]


def test_a_fork_bomb_is_bounded(place: Path) -> None:
    code = (
        "import os, sys, time\n"
        "count = 0\n"
        "try:\n"
        "    while count < 5000:\n"
        "        if os.fork() == 0: time.sleep(60)\n"
        "        count += 1\n"
        "except OSError: pass\n"
        "print(count)\n"
    )
    ended = python(place, code)
    assert 0 < int(ended.stdout) < 600


def test_it_stops_when_told_and_passes_on_a_lost_lease(place: Path) -> None:
    assert run(place, "sleep", "600", should_stop=lambda: True).killed == "stopped"

    def lost() -> bool:
        raise LeaseLost(attempt_id=1, fence=1, reason="taken")

    with pytest.raises(LeaseLost):
        run(place, "sleep", "600", should_stop=lost)


@pytest.mark.parametrize("folder", ["/", "/etc", "/root", "/proc", "/usr", "/usr/bin", "/dev/shm"])
def test_the_whole_machine_is_never_lent(place: Path, folder: str) -> None:
    with pytest.raises(BadInput):
        run(place, "true", writable=[Path(folder)])
    (place / "link").symlink_to(folder)
    with pytest.raises(BadInput):
        run(place, "true", writable=[place / "link"])


def test_the_disk_is_bounded_in_sum_and_not_by_what_was_there(place: Path, isolated: str) -> None:
    (place / "old").write_bytes(b"x" * 40_000_000)
    assert run(place, "true", disk_bytes_max=20_000_000).killed == ""
    code = "for n in range(500): open(f'f{n}', 'wb').write(b'x' * 4_000_000)"
    assert python(place, code, disk_bytes_max=20_000_000).killed == "disk"


def test_keys_and_passwords_are_hidden_when_they_lie_in_what_is_lent(
    tmp_path: Path, isolated: str, settings: Any
) -> None:
    """As where agentsys works on its own checkout, with its home in it."""
    home = settings.AGENTSYS.home
    work = home / "work" / "attempt"
    work.mkdir(parents=True)
    (home / "secret_key").write_text("canary")
    (tmp_path / "code.py").write_text("pass")
    words = f"ls {home}; cat {home}/secret_key; echo > {home}/new; echo fine > {work}/made; ls"
    ended = run(tmp_path, "sh", "-c", words, writable=[tmp_path, work])
    assert ended.stdout.split() == ["work", "code.py", "home"]
    assert sorted(path.name for path in home.iterdir()) == ["secret_key", "work"]
    assert (work / "made").read_text() == "fine\n"


def test_abstract_sockets_of_the_machine_are_closed_with_a_network_too(place: Path) -> None:
    """They belong to the network's namespace; Landlock closes them from Linux 6.12 on."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0agentsys-test-abstract")
        server.listen()
        code = "import socket; socket.socket(socket.AF_UNIX).connect('\\0agentsys-test-abstract')"
        ended = python(place, code, network=True)
        if landlock_abi() < 6:
            pytest.skip(f"this kernel's Landlock has ABI {landlock_abi()}, and 6 is needed")
        assert "PermissionError" in ended.stderr


def landlock_abi() -> int:
    import ctypes

    return int(ctypes.CDLL(None).syscall(444, None, 0, 1))


def test_without_isolation_it_refuses(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "_working", lambda: ((), ("bwrap: not allowed",)))
    with pytest.raises(SandboxUnavailable, match="AGENTSYS_SANDBOX=none"):
        run(place, "true")


def test_agents_that_need_it_refuse_without_isolation(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a matter of policy: trying again does not help, and a person is told the way out."""
    monkeypatch.setattr(levels, "_working", lambda: ((), ("bwrap: not allowed",)))
    brief = a_brief("command", {"argv": ["touch", "made"]})
    report = attempt_run(brief, GivenPorts(place))
    assert report.failure is not None
    assert report.failure.kind is FailureKind.POLICY
    assert "AGENTSYS_SANDBOX=none" in report.failure.message
    assert list(place.iterdir()) == []


def test_none_is_said_out_loud(place: Path, settings: Any) -> None:
    from dataclasses import replace

    settings.AGENTSYS = replace(settings.AGENTSYS, sandbox="none")
    ended = run(place, "sh", "-c", "pwd; sleep 600 &")
    assert (ended.level, ended.stdout) == ("none", f"{place}\n")
    assert run(place, "sleep", "600", timeout_seconds=0.3).timed_out


def test_a_folder_that_is_gone_meanwhile_hides_no_error(tmp_path: Path) -> None:
    """An attempt that is taken back loses its workspace while its command still runs."""
    folder = tmp_path / "work"
    (folder / "below").mkdir(parents=True)

    def broken_off() -> None:
        with bubblewrap.lent(folder, os.getuid()):
            shutil.rmtree(folder)
            raise LeaseLost(attempt_id=1, fence=1, reason="it was taken back")

    with pytest.raises(LeaseLost):
        broken_off()


@pytest.mark.skipif(os.getuid() != 0, reason="folders change hands only as root")
def test_a_folder_is_lent_to_one_at_a_time(place: Path) -> None:
    """Else the second one's user id took it from under the first one."""
    code = "echo one > $0.new && sleep 0.5 && mv $0.new $0 && echo two >> $0"
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda n: run(place, "sh", "-c", code, f"f{n}"), range(4)))
    assert [(e.exit_code, e.stderr) for e in ended] == [(0, "")] * 4
    assert {path.name for path in place.iterdir()} == {f"f{n}" for n in range(4)}
    assert {path.stat().st_uid for path in (place, *place.iterdir())} == {0}
