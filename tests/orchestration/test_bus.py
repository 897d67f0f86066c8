"""Subscribers are told of what the ledger says: all of it, signed, until they have taken it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orchestration.domain.bus import TRIES_MAX, retry_seconds, subscription_problems, wants
from orchestration.domain.events import EVENTS, problems
from orchestration.models import Delivery, Goal, Subscription
from orchestration.services import bus
from orchestration.tasks import deliver
from tests import factories as given
from tests.orchestration.pump import at_once, events, node, pump, submit

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "a secret of sixteen or more"


class Receiver:
    """An HTTP server that keeps what it was sent, and answers as it is told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, Any], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append((dict(self.headers), body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?from=agentsys"

    def events(self) -> list[str]:
        return [json.loads(body)["event"] for _, body in self.heard]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def subscribe(target: str, *patterns: str, **fields: Any) -> Subscription:
    made = Subscription.objects.create(
        project=given.project(), name=target[-60:], target=target, secret=SECRET,
        events=list(patterns) or ["*"], **fields,
    )  # fmt: skip
    bus.subscription_begin(made)
    return made


def told(turns: int = 10) -> None:
    """As the sweep and its messages do, until nothing is due."""
    for _ in range(turns):
        if not bus.subscribers_feed():
            return
        deliver()


def due_now() -> None:
    Delivery.objects.filter(state="due").update(due_at=timezone.now())


def test_every_entry_is_delivered_once_in_order_and_signed(receiver: Receiver) -> None:
    subscribe(receiver.url)
    goal = pump(submit(node("a"), node("b", "a")))
    told()
    assert receiver.events() == events(goal)
    headers, body = receiver.heard[0]
    stamp, mac = (part.partition("=")[2] for part in headers["Agentsys-Signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert mac == expected
    first = json.loads(body)
    assert (first["version"], first["id"], first["seq"]) == (1, f"goal-{goal.pk}/1", 1)
    assert set(Delivery.objects.values_list("state", "tries", "status")) == {("delivered", 1, 204)}


def test_only_what_was_asked_for_is_told(receiver: Receiver) -> None:
    subscribe(receiver.url, "goal.*", "task.accepted")
    goal = pump(submit(node("a")))
    told()
    assert receiver.events() == [e for e in events(goal) if wants(["goal.*", "task.accepted"], e)]
    assert receiver.events()


def test_it_begins_where_the_ledgers_are_and_goes_on_with_goals_under_way(
    receiver: Receiver,
) -> None:
    over, open_one = pump(submit(node("a"))), submit(node("a"))
    behind = len(events(open_one))
    subscribe(receiver.url)
    pump(open_one)
    told()
    assert receiver.events() == events(open_one)[behind:]
    assert f"goal-{over.pk}/" not in "".join(str(body) for _, body in receiver.heard)


def test_what_is_told_is_what_the_catalogue_says_of_its_version(receiver: Receiver) -> None:
    subscribe(receiver.url)
    pump(submit(node("a"), node("b", "a")))
    told()
    heard = [json.loads(body) for _, body in receiver.heard]
    assert len(heard) > 5
    for event in heard:
        assert problems(event["event"], event["payload"]) == []
        assert event["payload_version"] == EVENTS[event["event"]].version


def test_another_project_is_told_nothing(receiver: Receiver) -> None:
    subscribe(receiver.url)
    pump(submit(node("a"), project="other"))
    told()
    assert receiver.heard == []


def test_what_was_not_taken_comes_again_later_and_is_logged(receiver: Receiver) -> None:
    subscribe(receiver.url, "goal.submitted")
    receiver.answers = [500, 302]
    submit(node("a"))
    told()
    row = Delivery.objects.get()
    assert (row.state, row.tries, row.status, row.said) == ("due", 1, 500, "answered 500")
    assert row.due_at is not None
    assert row.due_at > timezone.now()
    due_now()
    told()
    assert Delivery.objects.get().status == 302, "a redirect is followed nowhere"
    due_now()
    told()
    row = Delivery.objects.get()
    assert (row.state, row.tries) == ("delivered", 3)
    assert len({body for _, body in receiver.heard}) == 1


def test_who_is_never_there_is_given_up_after_a_day_and_may_be_sent_again(
    receiver: Receiver, client: Client
) -> None:
    subscribe("http://127.0.0.1:1/nobody", "goal.submitted")
    submit(node("a"))
    for _ in range(TRIES_MAX):
        told()
        due_now()
    row = Delivery.objects.get()
    assert (row.state, row.tries) == ("given_up", TRIES_MAX)
    assert "refused" in row.said
    Subscription.objects.update(target=receiver.url)
    client.force_login(User.objects.create_superuser("ada"))
    url = "/admin/agentsys_orchestration/delivery/"
    client.post(url, {"action": "again", "_selected_action": [row.pk]})
    told()
    assert receiver.events() == ["goal.submitted"]
    assert sum(retry_seconds(n) or 0 for n in range(1, TRIES_MAX)) > 24 * 3600


def test_two_that_feed_and_two_that_deliver_at_once_tell_each_entry_once(
    receiver: Receiver,
) -> None:
    subscribe(receiver.url)
    goal = pump(submit(node("a"), node("b"), node("c")))
    at_once([bus.subscribers_feed] * 4)
    at_once([deliver] * 4)
    told()
    assert sorted(receiver.events()) == sorted(events(goal))


def test_a_delivery_whose_process_died_is_sent_again(receiver: Receiver) -> None:
    subscribe(receiver.url, "goal.submitted")
    submit(node("a"))
    bus.subscribers_feed()
    with pytest.MonkeyPatch.context() as patch:

        def dies(*_: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr(bus, "_post", dies)
        with pytest.raises(KeyboardInterrupt):
            bus.deliver()
    assert not bus.subscribers_feed(), "it is taken, for a while"
    due_now()
    told()
    assert receiver.events() == ["goal.submitted"]


@contextmanager
def offering(**functions: Any) -> Iterator[None]:
    bus.python_subscribers.cache_clear()
    bus.python_subscribers().update(functions)
    try:
        yield
    finally:
        bus.python_subscribers.cache_clear()


def test_a_function_of_a_package_may_be_the_subscriber() -> None:
    heard: list[dict[str, Any]] = []
    with offering(heard=heard.append):
        subscribe("python:heard", "goal.submitted")
        goal = submit(node("a"))
        told()
    assert [event["goal"] for event in heard] == [goal.pk]


def test_a_function_that_breaks_is_tried_again_like_everybody() -> None:
    def breaks(event: dict[str, Any]) -> None:
        raise RuntimeError("not today")

    with offering(breaks=breaks):
        subscribe("python:breaks", "goal.submitted")
        submit(node("a"))
        told()
    row = Delivery.objects.get()
    assert (row.state, row.said) == ("due", "RuntimeError: not today")


@pytest.mark.parametrize(
    ("target", "patterns", "secret", "field"),
    [
        ("ftp://x/y", ["*"], SECRET, "target"),
        ("https://", ["*"], SECRET, "target"),
        ("https://x:99999/", ["*"], SECRET, "target"),
        ("python:nobody", ["*"], "", "target"),
        ("https://x/", ["*"], "short", "secret"),
        ("https://x/", [], SECRET, "events"),
        ("https://x/", "goal.*", SECRET, "events"),
        ("https://x/", ["Goal"], SECRET, "events"),
    ],
)
def test_what_cannot_be_told_is_refused(
    target: str, patterns: Any, secret: str, field: str
) -> None:
    assert field in subscription_problems(target, patterns, secret, ["known"])


def test_in_the_console_a_subscription_is_made_checked_and_its_secret_never_shown(
    client: Client,
) -> None:
    client.force_login(User.objects.create_superuser("ada"))
    url = "/admin/agentsys_orchestration/subscription/"
    form = {
        "project": given.project().pk, "name": "ops", "target": "https://ops.example.org/hook",
        "events": '["goal.*"]', "secret": "short", "enabled": "on",
    }  # fmt: skip
    assert "at least 16 characters" in client.post(f"{url}add/", form).content.decode()
    assert client.post(f"{url}add/", {**form, "secret": SECRET}).status_code == 302
    made = Subscription.objects.get()
    assert SECRET not in client.get(f"{url}{made.pk}/change/").content.decode()
    client.post(f"{url}{made.pk}/change/", {**form, "secret": "", "name": "other"})
    made.refresh_from_db()
    assert (made.name, made.secret) == ("other", SECRET)
    assert Goal.objects.count() == 0


def test_a_secret_that_is_made_for_a_new_subscription_is_shown_once(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ada"))
    url = "/admin/agentsys_orchestration/subscription/"
    form = {
        "project": given.project().pk, "name": "ops", "target": "https://ops.example.org/hook",
        "events": '["goal.*"]', "secret": "", "enabled": "on",
    }  # fmt: skip
    shown = client.post(f"{url}add/", form, follow=True).content.decode()
    made = Subscription.objects.get()
    assert len(made.secret) > 40
    assert shown.count(made.secret) == 1
    pages = ("", f"{made.pk}/change/", f"{made.pk}/history/", "?export=csv")
    for again in pages:
        response = client.get(url + again)
        body = b"".join(response) if response.streaming else response.content
        assert made.secret not in body.decode()


def test_who_administers_no_project_sees_no_subscription(client: Client) -> None:
    client.force_login(given.person("bob", role="viewer", is_staff=True))
    assert client.get("/admin/agentsys_orchestration/subscription/").status_code == 403


def test_a_projects_administrator_sees_its_subscriptions_and_points_none_elsewhere(
    client: Client,
) -> None:
    made = subscribe("https://ops.example.org/hook")
    client.force_login(given.person("pam", role="admin", is_staff=True))
    url = f"/admin/agentsys_orchestration/subscription/{made.pk}/change/"
    shown = client.get(url)
    assert shown.status_code == 200
    assert "https://ops.example.org/hook" in shown.content.decode()
    assert SECRET not in shown.content.decode()
    assert client.post(url, {"target": "http://127.0.0.1:1/"}).status_code == 403
    made.refresh_from_db()
    assert made.target == "https://ops.example.org/hook"
