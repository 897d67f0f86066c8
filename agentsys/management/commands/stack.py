"""`stack up|down|status|logs`: everything that runs, under one supervisor."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from agentsys import embedded, supervisor
from agentsys.kernel.errors import AgentsysError, ExitCode
from agentsys.supervisor import Layout, Supervisor


class AlreadyUp(AgentsysError):
    code = "already-up"
    template = (
        "a stack is running already (pid {pid}); `stack status` shows it, `stack down` ends it"
    )
    exit_code = ExitCode.CONFLICT


class Command(BaseCommand):
    help = "Run web, workers, beat and Flower, with the embedded servers where none are given."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        up = verbs.add_parser("up", help="start, and stay in the foreground")
        up.add_argument("--detach", action="store_true", help="go into the background")
        up.add_argument("--port", type=int, default=8000)
        up.add_argument("--flower-port", type=int, default=5555)
        up.add_argument("--workers", type=int, default=1)
        up.add_argument("--concurrency", type=int, default=8)
        verbs.add_parser("down", help="stop a stack and the embedded servers")
        status = verbs.add_parser("status", help="what is running")
        status.add_argument("--json", action="store_true")
        logs = verbs.add_parser("logs", help="the end of the logs")
        logs.add_argument("--lines", type=int, default=20)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"do_{verb}")(Layout(Path(settings.AGENTSYS.home)), **options)

    def do_up(self, layout: Layout, **options: Any) -> None:
        found = supervisor.status(layout)
        if found["up"]:
            raise AlreadyUp(pid=found["pid"])
        if options["detach"]:
            self._detach(layout, options)
            return
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
        Supervisor(layout, running, self.stderr.write).run()

    def _detach(self, layout: Layout, options: dict[str, Any]) -> None:
        argv = [sys.executable, str(settings.BASE_DIR / "manage.py"), "stack", "up"]
        argv += ["--port", str(options["port"]), "--flower-port", str(options["flower_port"])]
        argv += ["--workers", str(options["workers"]), "--concurrency", str(options["concurrency"])]
        layout.logs.mkdir(parents=True, exist_ok=True)
        with (layout.logs / "stack.log").open("ab") as log:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while not supervisor.status(layout)["up"]:
            if child.poll() is not None or time.monotonic() > deadline:
                self.stderr.write((layout.logs / "stack.log").read_text()[-2000:])
                sys.exit(ExitCode.ERROR)
            time.sleep(0.1)
        child.returncode = 0  # it lives on without us
        self.stdout.write(f"up (pid {child.pid}); `stack status`, `stack logs`, `stack down`")

    def _tell(self, layout: Layout, options: dict[str, Any]) -> None:
        user, password = _admin(layout)
        known = f"password in {layout.home / 'admin_password'}" if password else "your own password"
        self.stderr.write(
            f"console  http://127.0.0.1:{options['port']}/admin/  user {user}, {known}\n"
            f"API      http://127.0.0.1:{options['port']}/api/v1/\n"
            f"Flower   http://127.0.0.1:{options['flower_port']}/  user admin, password in"
            f" {layout.home / 'flower_password'}\n"
            f"logs     {layout.logs}\n"
            "Ctrl-C stops"
        )

    def do_down(self, layout: Layout, **options: Any) -> None:
        was_up = supervisor.stop(layout)
        embedded.down()
        self.stdout.write("stopped" if was_up else "nothing was running; embedded servers are down")

    def do_status(self, layout: Layout, **options: Any) -> None:
        found = {**supervisor.status(layout), "servers": embedded.running()}
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
            return
        self.stdout.write("stack " + ("up" if found["up"] else "down"))
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


def _admin(layout: Layout) -> tuple[str, bool]:
    """The first administrator, made with a generated password where there is none."""
    from django.contrib.auth.models import User

    first = User.objects.filter(is_superuser=True).exclude(password="").order_by("pk").first()
    usable = first is not None and first.has_usable_password()
    if usable and first is not None:
        return first.username, first.username == "admin" and (
            layout.home / "admin_password"
        ).exists()
    user, _ = User.objects.get_or_create(
        username="admin", defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(layout.secret("admin_password"))
    user.is_staff = user.is_superuser = True
    user.save()
    return "admin", True
