"""`stack up|down|status|logs`: everything that runs, under one supervisor."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from agentsys import embedded, ports, processes, supervisor
from agentsys.kernel.errors import ExitCode
from agentsys.supervisor import Layout, Supervisor

UP_SECONDS = 180.0  # the first time makes a database
LISTEN_SECONDS = 30.0  # until web and Flower do, of a stack that is up
AS_ROOT = "as root: workers have all rights here; an ordinary account is safer\n"
NUMBERS = (
    ("--port", ports.PORTS["web"], "of the console and the API"),
    ("--flower-port", ports.PORTS["flower"], "of Flower"),
    ("--workers", 1, "worker processes"),
    ("--concurrency", 8, "threads of each worker"),
)


def _number(text: str) -> int:
    number = int(text)
    if not 0 < number < 65_536:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 65535")
    return number


class Command(BaseCommand):
    help = "Run web, workers, beat and Flower, with the embedded servers where none are given."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        up = verbs.add_parser("up", help="start, and stay in the foreground")
        up.add_argument("--detach", action="store_true", help="go into the background")
        for name, value, about in NUMBERS:
            up.add_argument(name, type=_number, default=value, help=f"{about} (default {value})")
        up.add_argument(
            "--no-follow",
            dest="follow",
            action="store_false",
            help="do not repeat here what the processes write to their logs",
        )
        verbs.add_parser("down", help="stop a stack and the embedded servers")
        status = verbs.add_parser(
            "status", help="what is running; exit code 69 when a part of the stack is down"
        )
        status.add_argument("--json", action="store_true")
        logs = verbs.add_parser("logs", help="the end of the logs")
        logs.add_argument("--lines", type=int, default=20)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"do_{verb}")(Layout(Path(settings.AGENTSYS.home)), **options)

    def do_up(self, layout: Layout, **options: Any) -> None:
        if options["detach"]:
            self._detach(layout, options)
            return
        with supervisor.only_one(layout):
            ports.port_free(options["port"], service="web", option="--port")
            ports.port_free(options["flower_port"], service="Flower", option="--flower-port")
            call_command("migrate", verbosity=0, interactive=False)
            from orchestration.planners.playbooks import playbooks_load

            playbooks_load()
            running = supervisor.services(
                layout,
                port=options["port"],
                flower_port=options["flower_port"],
                workers=options["workers"],
                concurrency=options["concurrency"],
            )
            self._tell(layout, options)
            connection.close()  # not needed while others work
            Supervisor(
                layout, running, self.stderr.write, heal=embedded.ensure, follow=options["follow"]
            ).run()

    def _detach(self, layout: Layout, options: dict[str, Any]) -> None:
        if supervisor.is_up(layout):
            raise supervisor.AlreadyUp(pid=supervisor.status(layout)["pid"])
        argv = [sys.executable, str(settings.BASE_DIR / "manage.py"), "stack", "up", "--no-follow"]
        for name in ("port", "flower_port", "workers", "concurrency"):
            argv += [f"--{name.replace('_', '-')}", str(options[name])]
        said = supervisor.LogFile(layout.logs / "stack.log")
        layout.logs.mkdir(parents=True, exist_ok=True)
        with said.path.open("ab") as log:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + UP_SECONDS
        while not supervisor.status(layout)["up"]:
            if child.poll() is not None or time.monotonic() > deadline:
                self.stderr.write("\n".join(said.news()))
                sys.exit(processes.end(child) or ExitCode.ERROR)
            time.sleep(0.1)
        listen = time.monotonic() + LISTEN_SECONDS
        while supervisor.down_of(supervisor.status(layout)) and time.monotonic() < listen:
            time.sleep(0.1)
        self._say("\n".join(said.news()))
        child.returncode = 0  # it lives on without us
        self.stdout.write(f"up (pid {child.pid}); `stack status`, `stack logs`, `stack down`")

    def _tell(self, layout: Layout, options: dict[str, Any]) -> None:
        user, password, made = _admin(layout)
        known = f"password in {password}" if password else "your own password"
        if password and made and sys.stderr.isatty():  # once, and never into a log
            known += f": {password.read_text().strip()}"
        self._say(
            f"console  http://127.0.0.1:{options['port']}/admin/  user {user}, {known}\n"
            f"API      http://127.0.0.1:{options['port']}/api/v1/\n"
            f"Flower   http://127.0.0.1:{options['flower_port']}/  user admin, password in"
            f" {layout.home / 'flower_password'}\n"
            f"logs     {layout.logs}\n"
            f"{AS_ROOT if os.geteuid() == 0 else ''}"
            "Ctrl-C stops"
        )

    def _say(self, text: str) -> None:
        """To stderr, plain: Django's own would make everything there red."""
        self.stderr.write(text, style_func=str)

    def do_down(self, layout: Layout, **options: Any) -> None:
        was_up = supervisor.stop(layout)
        embedded.down()
        self.stdout.write("stopped" if was_up else "nothing was running; embedded servers are down")

    def do_status(self, layout: Layout, **options: Any) -> None:
        found = {**supervisor.status(layout), "servers": embedded.running()}
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
        else:
            self._show_status(found)
        if supervisor.down_of(found):
            sys.exit(ExitCode.UNAVAILABLE)

    def _show_status(self, found: dict[str, Any]) -> None:
        down = supervisor.down_of(found)
        part = f", but {', '.join(down)} {'is' if len(down) == 1 else 'are'} not" if down else ""
        self.stdout.write(f"stack {'up' if found['up'] else 'down'}{part}")
        for name, service in found["services"].items():
            self.stdout.write(
                f"  {name:10} {'up' if service['up'] else 'down'}  pid {service['pid']}"
            )
        for name, up in found["servers"].items():
            self.stdout.write(f"  {name:10} {'up' if up else 'down'}  (embedded)")

    def do_logs(self, layout: Layout, **options: Any) -> None:
        for path in sorted(layout.logs.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-options["lines"] :]
            self.stdout.write("\n".join(f"{path.stem:12} {line}" for line in lines))


def _admin(layout: Layout) -> tuple[str, Path | None, bool]:
    """The first administrator: name, the file with the generated password if it has one, and
    whether it was made just now, where there was none."""
    from django.contrib.auth.models import User

    path = layout.home / "admin_password"
    for first in User.objects.filter(is_superuser=True).order_by("pk"):
        if first.has_usable_password():
            return first.username, path if path.exists() else None, False
    user, _ = User.objects.get_or_create(username="admin")
    user.set_password(layout.secret("admin_password"))
    user.is_staff = user.is_superuser = user.is_active = True
    user.save()
    return user.username, path, True
