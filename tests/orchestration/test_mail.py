"""A subscriber may be a mail address: told in plain lines by a mail server, and again where it refuses."""

from __future__ import annotations

import socketserver
from collections.abc import Iterator
from email import message_from_bytes, policy
from threading import Thread
from typing import Any

import pytest

from orchestration.domain.bus import mail_of, subscription_problems
from orchestration.models import Delivery
from tests.orchestration.pump import node, pump, submit
from tests.orchestration.test_bus import due_now, subscribe, told

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "mailto:ana@example.org"


class PostOffice(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as a client needs, and keeps what it was given."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.mails: list[tuple[str, bytes]] = []
        self.refuses = 0


class Session(socketserver.StreamRequestHandler):
    server: PostOffice

    def handle(self) -> None:
        to = ""
        self._say("220 here")
        while line := self.rfile.readline():
            verb = line.split(b" ")[0].strip().upper()
            if verb == b"RCPT":
                to = line.decode().partition("<")[2].partition(">")[0]
                if self.server.refuses:
                    self.server.refuses -= 1
                    self._say("451 later")
                    continue
            if verb == b"DATA":
                self._say("354 go on")
                self.server.mails.append((to, self._text()))
            self._say("221 bye" if verb == b"QUIT" else "250 well")
            if verb == b"QUIT":
                return

    def _text(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def office(settings: Any) -> Iterator[PostOffice]:
    made = PostOffice()
    thread = Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", made.server_address[1]
    settings.DEFAULT_FROM_EMAIL = "agentsys@example.org"
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_a_mail_says_what_happened_in_plain_lines(office: PostOffice) -> None:
    subscribe(ADDRESS, "goal.succeeded")
    goal = pump(submit(node("a")))
    told()
    ((to, text),) = office.mails
    mail = message_from_bytes(text, policy=policy.default)
    assert (to, mail["From"]) == ("ana@example.org", "agentsys@example.org")
    assert mail["Subject"] == f"agentsys: goal.succeeded, goal-{goal.pk}"
    assert f"goal.succeeded of goal-{goal.pk}" in mail.get_content()
    assert Delivery.objects.get().said == "taken by 127.0.0.1"


def test_what_the_server_refuses_comes_again(office: PostOffice) -> None:
    office.refuses = 1
    subscribe(ADDRESS, "goal.succeeded")
    pump(submit(node("a")))
    told(1)
    row = Delivery.objects.get()
    assert (row.state, row.tries) == ("due", 1)
    assert "451" in row.said
    due_now()
    told()
    assert len(office.mails) == 1
    assert Delivery.objects.get().state == "delivered"


def test_without_a_mail_server_the_log_says_what_to_set(settings: Any) -> None:
    settings.EMAIL_HOST = ""
    subscribe(ADDRESS, "goal.succeeded")
    pump(submit(node("a")))
    told(1)
    row = Delivery.objects.get()
    assert (row.state, row.said) == ("due", "no mail server: set EMAIL_URL")


def test_what_others_wrote_comes_last_and_is_quoted() -> None:
    event = {
        "event": "goal.failed", "goal": 7, "seq": 12, "actor": "orchestrator", "at": "2026-11-28",
        "payload": {"reason": "line one\nSubject: forged\n\nhttps://evil.example"},
    }  # fmt: skip
    subject, text = mail_of(event, "https://agents.example.org/")
    assert "\n" not in subject
    assert "https://agents.example.org/admin/agentsys_orchestration/goal/7/change/" in text
    assert r"line one\nSubject: forged\n\nhttps://evil.example" in text


@pytest.mark.parametrize(
    "target",
    ["mailto:", "mailto:ana", "mailto:a@b, c@d", "mailto:a@b?bcc=c@d", "mailto:a@b\nTo: c@d"],
)
def test_one_address_and_nothing_else_is_a_target(target: str) -> None:
    assert list(subscription_problems(target, ["*"], "", ())) == ["target"]
    assert subscription_problems(ADDRESS, ["*"], "", ()) == {}
