"""Embedded servers: one owner at a time, adopted by the others, brought back when they die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from agentsys.embedded import postgres, valkey
from agentsys.kernel.errors import ServiceAway
from tests.integration.servers import User, clean_env, command, postmaster

INHERIT = "from agentsys import embedded; embedded.ensure(); print(1, flush=True); input()"
NOBODY = 65534
Make = Callable[..., User]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Made once, since that takes seconds; every test leaves its servers stopped."""
    folder = Path(tempfile.mkdtemp(prefix="agentsys-h-"))
    yield folder
    postgres.stop(folder / "postgres")
    valkey.stop(folder / "valkey")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def users() -> Iterator[Make]:
    """Makes users; whoever is left at the end of a test that failed is ended."""
    made: list[User] = []

    def make(home: Path, **how: Any) -> User:
        made.append(User(home, **how))
        return made[-1]

    yield make
    for user in made:
        user.kill()


def ask(url: str, statement: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return str(row[0]) if row else ""


def given() -> dict[str, str]:
    """The servers that this test session has."""
    return {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_the_servers_are_set_up_for_us_and_listen_on_no_port(home: Path, users: Make) -> None:
    user = users(home)
    urls = user.urls()
    assert ask(urls["DATABASE_URL"], "SHOW listen_addresses") == ""
    assert ask(urls["DATABASE_URL"], "SHOW fsync") == "on"
    assert ask(urls["DATABASE_URL"], "SHOW max_connections") == "200"
    assert ask(urls["DATABASE_URL"], "SHOW unix_socket_permissions") == "0700"
    assert ask(urls["DATABASE_URL"], "SELECT '[1,2]'::vector <-> '[1,2]'") == "0.0"
    with redis.Redis.from_url(urls["REDIS_URL"], decode_responses=True) as client:
        settings = client.config_get("*")
    assert settings["port"] == "0"
    assert settings["appendonly"] == "yes"
    assert settings["maxmemory-policy"] == "noeviction"
    assert valkey.socket_of(home / "valkey").parent.stat().st_mode & 0o777 == 0o700
    assert user.leave() == 0


def test_others_adopt_and_only_the_last_one_out_stops(home: Path, users: Make) -> None:
    first, second = users(home), users(home)  # at once: they must not fight
    assert first.urls() == second.urls()
    pid = postmaster(home)
    first.leave()
    assert not gone(pid)
    third = users(home)
    url = third.urls()["DATABASE_URL"]
    assert postmaster(home) == pid
    second.leave()
    assert ask(url, "SELECT 1") == "1"
    third.leave()
    assert gone(pid)
    with (
        pytest.raises(redis.ConnectionError),
        redis.Redis.from_url(valkey.url_of(home / "valkey")) as client,
    ):
        client.ping()


def test_a_child_that_inherits_the_urls_is_a_user_too(home: Path, users: Make) -> None:
    user = users(home)
    urls = user.urls()
    child = subprocess.Popen(
        [sys.executable, "-c", INHERIT],
        env={**clean_env(home), **urls}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    user.leave()
    assert ask(urls["DATABASE_URL"], "SELECT 1") == "1"
    child.communicate(b"\n", timeout=60)
    assert not postgres._lives(home / "postgres")


def test_a_killed_user_leaves_servers_that_the_next_one_adopts(home: Path, users: Make) -> None:
    user = users(home)
    execute(user.urls()["DATABASE_URL"], "CREATE TABLE kept AS SELECT 7 AS n")
    pid = postmaster(home)
    user.kill()
    assert not gone(pid)
    heir = users(home)
    assert ask(heir.urls()["DATABASE_URL"], "SELECT n FROM kept") == "7"
    assert postmaster(home) == pid
    heir.leave()
    assert gone(pid)


def test_a_killed_postmaster_is_replaced_and_rows_and_keys_survive(home: Path, users: Make) -> None:
    user = users(home)
    urls = user.urls()
    execute(urls["DATABASE_URL"], "CREATE TABLE survivor AS SELECT 8 AS n")
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        client.set("survivor", "9")
        client.execute_command("WAITAOF", 1, 0, 5000)
        valkey_pid = int(client.info("server")["process_id"])
    dead = postmaster(home)
    for pid in (dead, valkey_pid):
        os.kill(pid, signal.SIGKILL)
    assert postmaster(home) == dead, "its pid file stays behind"
    heir = users(home)
    assert heir.urls() == urls
    assert ask(urls["DATABASE_URL"], "SELECT n FROM survivor") == "8"
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        assert client.get("survivor") == b"9"
    assert postmaster(home) != dead
    user.leave()
    heir.leave()


def test_a_strangers_process_is_neither_taken_for_the_server_nor_touched(
    home: Path, users: Make
) -> None:
    """After a crash and a restart of the machine, the number in the pid file may be anybody's."""
    user = users(home)
    url = user.urls()["DATABASE_URL"]
    lines = (home / "postgres" / "postmaster.pid").read_text().splitlines()
    os.kill(int(lines[0]), signal.SIGKILL)
    user.kill()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        lines[0] = str(stranger.pid)
        (home / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        postgres.stop(home / "postgres")
        heir = users(home)
        assert heir.urls()["DATABASE_URL"] == url
        assert ask(url, "SELECT 1") == "1"
        heir.leave()
        assert stranger.poll() is None
        stranger.communicate()


def test_a_folder_half_made_by_a_killed_first_start_is_put_aside(
    tmp_path: Path, users: Make
) -> None:
    short = Path(tempfile.mkdtemp(prefix="agentsys-half-"))
    try:
        (short / "postgres").mkdir()
        (short / "postgres" / "PG_VERSION").write_text("18\n")
        user = users(short)
        assert ask(user.urls()["DATABASE_URL"], "SELECT 1") == "1"
        user.leave()
        assert len(list(short.glob("postgres.broken-*"))) == 1
    finally:
        shutil.rmtree(short, ignore_errors=True)


def test_a_home_too_deep_for_a_socket_has_its_sockets_elsewhere(
    tmp_path: Path, users: Make
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    user = users(deep)
    urls = user.urls()
    user.leave()
    again = users(deep)
    assert again.urls() == urls, "also after a stop, when there is no pid file to ask"
    again.leave()
    socket = valkey.socket_of(deep / "valkey")
    assert len(os.fsencode(socket)) <= valkey.SOCKET_BYTES_MAX
    shutil.rmtree(socket.parent)


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(ServiceAway, match="belongs to somebody else"):
        valkey._own_folder(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_has_servers_too(users: Make) -> None:
    account = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run([sys.executable, "-c", "import agentsys"], check=True, **account)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this interpreter is root's alone")
    folder = Path(tempfile.mkdtemp(prefix="agentsys-n-"))
    try:
        os.chown(folder, NOBODY, NOBODY)
        user = users(folder, account=account)
        assert set(user.urls()) == {"DATABASE_URL", "REDIS_URL"}
        assert Path(f"/proc/{postmaster(folder)}").stat().st_uid == NOBODY
        assert user.leave() == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("env", "code", "words"),
    [
        ({"DATABASE_URL": "postgresql://x:secret@127.0.0.1:1/x"}, 69, ["PostgreSQL", "unset it"]),
        ({"DATABASE_URL": "mysql://x"}, 69, ["PostgreSQL", "unset it"]),
        ({"REDIS_URL": "http://x"}, 2, ["REDIS_URL", "redis://HOST:PORT/N"]),
        ({"AGENTSYS_SANDBOX": "maybe"}, 2, ["AGENTSYS_SANDBOX=maybe", "auto, none"]),
    ],
    ids=["away", "no-url", "no-redis-url", "setting"],
)
def test_what_a_person_got_wrong_is_one_line_with_the_way_out(
    home: Path, env: dict[str, str], code: int, words: list[str]
) -> None:
    ended = command(home, "goals", "list", **{**given(), **env})
    assert ended.returncode == code
    assert ended.stdout == ""
    assert len(ended.stderr.strip().splitlines()) == 1
    assert all(word in ended.stderr for word in ("error: ", *words))
    assert "secret" not in ended.stderr


def test_what_fails_to_start_says_where_to_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = command(tmp_path / "file" / "home", "goals", "list")
    assert ended.returncode == 69
    assert "AGENTSYS_HOME" in ended.stderr


def test_starting_and_leaving_at_once_never_leaves_anybody_without(home: Path, users: Make) -> None:
    """Leaving stops the servers under the lock that starting takes."""
    problems: list[int] = []

    def come_and_go() -> None:
        for _ in range(2):
            user = users(home)
            if ask(user.urls()["DATABASE_URL"], "SELECT 1") != "1":
                problems.append(1)
            problems.extend([1] * user.leave())

    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert not postgres._lives(home / "postgres")
