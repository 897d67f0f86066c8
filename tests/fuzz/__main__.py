"""`python -m tests.fuzz`: a live server with rows in it, and schemathesis against its schema.

What is looked for: answers of 500 and more, statuses that the schema does not have, and routes that answer
without asking who is there. Ends with 1 when there is any. A database of its own is made and dropped; the
server listens on loopback.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CHECKS = "not_a_server_error,status_code_conformance,ignored_auth"
PHASES = "examples,coverage,fuzzing"
STARTING_SECONDS = 60.0


def main() -> int:
    options = _options()
    os.environ.setdefault("AGENTSYS_API_PER_MINUTE", "1000000")
    import agentsys.testing  # noqa: F401 - starts the servers

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
    import django

    django.setup()
    from tests.simulation.database import own_database

    with own_database():
        return _play(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="at least so many requests")
    parser.add_argument("--schemathesis", default="schemathesis", help="the program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="a regular expression of paths")
    parser.add_argument("--report", type=Path, help="a folder for the requests and answers")
    parser.add_argument("rest", nargs="*", help="more words for schemathesis, after --")
    return parser.parse_args()


def _play(options: argparse.Namespace) -> int:
    token, operations = _seeded()
    with TemporaryDirectory() as folder, _served(Path(folder)) as url:
        argv = [
            options.schemathesis, "run", f"{url}/api/v1/schema", "-H", f"Authorization: Token {token}",
            "--checks", CHECKS, "--phases", PHASES, "--seed", str(options.seed),
            "--max-examples", str(max(1, -(-options.cases // operations))),
            "--continue-on-failure", "--no-color",
        ]  # fmt: skip
        argv += ["--include-path-regex", options.only] if options.only else []
        argv += (
            ["--report", "ndjson", "--report-dir", str(options.report)] if options.report else []
        )
        env = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.reach"}
        ended = subprocess.run(
            [*argv, *options.rest], text=True, capture_output=True, check=False, env=env
        )
        said = (Path(folder) / "web.log").read_text(errors="replace")
    broken = _tracebacks(said)
    away = [line for line in said.splitlines() if "database_away" in line]
    sys.stdout.write(ended.stdout + ended.stderr)
    cases = _cases(ended.stdout)
    sys.stdout.write(f"{operations} operations, {cases} cases, {len(broken)} tracebacks\n")
    sys.stdout.write("".join(f"\n{one}\n" for one in [*broken[:10], *away[:10]]))
    few = cases < options.cases and not options.only
    return 1 if ended.returncode or broken or few else 0


def _cases(text: str) -> int:
    """How many requests schemathesis says that it made."""
    found = re.search(r"^\s*(\d[\d,]*) generated", text, re.MULTILINE)
    return int(found[1].replace(",", "")) if found else 0


def _tracebacks(text: str) -> list[str]:
    return [one.strip()[-1500:] for one in text.split("Traceback (most recent call last):")[1:]]


def _seeded() -> tuple[str, int]:
    """Rows of everything, and the token of an administrator; and how many operations there are."""
    from django.contrib.auth.models import User
    from drf_spectacular.generators import SchemaGenerator
    from knox.models import AuthToken

    from tests.api.people import goal, held
    from tests.api.stocked import stocked

    root = User.objects.create_user("root", is_superuser=True, is_staff=True)
    stocked("default", decider=root)
    for number in range(20):
        held(goal("default", objective=f"Goal {number}"))
    schema: Any = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    operations = sum(len(one) for one in schema["paths"].values())
    return AuthToken.objects.create(root)[1], operations


@contextmanager
def _served(folder: Path) -> Any:
    """The URL of a web process that uses the database that is current here."""
    from django.db import connection

    from agentsys import processes

    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    name = connection.settings_dict["NAME"]
    env = {
        **os.environ,
        "DATABASE_URL": re.sub(r"^(\w+://[^/]*)/[^?]*", rf"\1/{name}", os.environ["DATABASE_URL"]),
        "AGENTSYS_HOME": str(folder / "home"),
    }
    argv = [sys.executable, "-m", "uvicorn", "agentsys.asgi:application", "--port", str(port)]
    log = folder / "web.log"
    process = processes.start([*argv, "--log-level", "warning"], log, env=env)
    try:
        _wait(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.end(process)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"the web process did not start:\n{log.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
