"""The web process is killed in the middle of requests; whoever asked asks again with the same key."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.contrib.auth.models import User
from knox.models import AuthToken

from orchestration.chaos import plans
from orchestration.chaos.asking import ask
from orchestration.chaos.crew import Process, wait_for
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage
from orchestration.models import Goal

CLIENTS = 3
LINES, LENGTH = 2, 2


@scenario(
    "kill-web",
    "kill -9 of the web process while goals are handed in; clients repeat with the same key",
    full=Order(tasks=400, faults=30, seconds=240),
    quick=Order(tasks=40, faults=3, seconds=20),
)
def kill_web(stage: Stage) -> None:
    stage.workers(1)
    port, token = _free_port(), ask(_token)
    web = _up(stage, port)
    goals = max(CLIENTS, stage.order.tasks // (LINES * LENGTH))
    clients = [_Client(port, token, range(n, goals, CLIENTS)) for n in range(CLIENTS)]
    threads = [threading.Thread(target=client.hand_in, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + stage.order.seconds
    while any(thread.is_alive() for thread in threads) and time.monotonic() < ends:
        if len(stage.faults.done) < stage.order.faults:
            time.sleep(stage.dice.uniform(0.02, 0.6))
            stage.hurt("kill-web", web)
            stage.crew.kill(web)
            web = _up(stage, port)
        else:
            time.sleep(0.1)
    for client in clients:
        client.stop.set()
    for thread in threads:
        thread.join(10)
    stage.until_over()
    answers = {key: pk for client in clients for key, pk in client.answers.items()}
    stored = ask(lambda: dict(Goal.objects.values_list("idempotency_key", "pk")))
    stage.notes["goals asked for, answered, there"] = [goals, len(answers), ask(Goal.objects.count)]
    stage.notes["requests that broke"] = sum(client.broken for client in clients)
    if len(answers) < goals:
        stage.wrong.append(f"{goals - len(answers)} goals were never answered")
    if answers != stored:
        stage.wrong.append(f"answered {answers}, stored {stored}")


@dataclass
class _Client:
    """Hands in goals one after the other, each until it has heard of it."""

    port: int
    token: str
    numbers: range
    answers: dict[str, int] = field(default_factory=dict)
    broken: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def hand_in(self) -> None:
        for number in self.numbers:
            while not self.stop.is_set():
                answer = self._ask(f"goal {number}")
                if answer is not None:
                    self.answers[f"goal {number}"] = answer
                    break
                self.broken += 1
                time.sleep(0.05)

    def _ask(self, key: str) -> int | None:
        """The goal's id, or None when the answer never came."""
        plan = plans.lines(LINES, LENGTH, steps=1, step_seconds=0.01, witness_every=0)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(
                "POST",
                "/api/v1/goals",
                body=json.dumps({"project": "chaos", "plan": plan}),
                headers={
                    "Authorization": f"Token {self.token}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": key,
                },
            )
            response = connection.getresponse()
            body: dict[str, Any] = json.loads(response.read() or b"{}")
            return int(body["id"]) if response.status == HTTPStatus.CREATED else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


def _up(stage: Stage, port: int) -> Process:
    web = stage.crew.web(port)
    if not wait_for(lambda: _answers(port), seconds=60.0):
        stage.wrong.append(f"the web process {web.pid} did not come up")
    return web


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _token() -> str:
    user = User.objects.create_superuser("chaos-client")
    return str(AuthToken.objects.create(user, None)[1])
