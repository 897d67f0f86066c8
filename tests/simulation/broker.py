"""A broker that keeps messages in a list, for the scheduler to deliver, lose, double or reorder.

Celery's canvases are taken at the edge where they would be sent. A chain's next link goes out when
the one before it was executed; a chord's callback when as many headers were *executed* as it has,
so that a doubled header calls it too early and a lost one never: nothing may depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from celery.canvas import Signature, _chain, _chord
from kombu.exceptions import OperationalError


@dataclass(slots=True)
class Gathering:
    """A chord under way."""

    missing: int
    callback: Message


@dataclass(frozen=True, slots=True)
class Message:
    """One call of one Celery task, and what the broker does when it was executed."""

    name: str
    args: tuple[Any, ...]
    then: Message | None = None
    gathering: Gathering | None = None

    def __str__(self) -> str:
        return f"{self.name.rpartition('.')[2]}{self.args}"


class Broker:
    """`copies` says how often each message that is sent arrives; `away`, that none can be sent."""

    def __init__(self, copies: Callable[[Message], int]) -> None:
        self.queue: list[Message] = []
        self.away = False
        self._copies = copies

    def send(self, message: Message) -> None:
        self.queue += [message] * self._copies(message)

    def executed(self, message: Message) -> None:
        """Send what follows from the execution of `message`."""
        if message.then is not None:
            self.send(message.then)
        if message.gathering is not None:
            message.gathering.missing -= 1
            if message.gathering.missing == 0:
                self.send(message.gathering.callback)

    def publish(self, signature: Signature) -> None:
        if self.away:
            raise OperationalError("the broker is away")
        for message in messages_of(signature):
            self.send(message)


def messages_of(signature: Signature) -> list[Message]:
    """The messages that go out at once, with what follows them."""
    if isinstance(signature, _chord):
        gathering = Gathering(len(signature.tasks), _flat(signature.body))
        return [_flat(header, gathering=gathering) for header in signature.tasks]
    if isinstance(signature, _chain):
        following: Message | None = None
        for link in reversed(signature.tasks):
            following = _flat(link, then=following)
        return [following] if following else []
    return [_flat(signature)]


def _flat(signature: Signature, **rest: Any) -> Message:
    return Message(signature.task, tuple(signature.args), **rest)


@contextmanager
def captured(publish: Callable[[Signature], None]) -> Iterator[None]:
    """Hand every canvas to `publish` instead of sending it."""

    def apply_async(self: Signature, *_: Any, **__: Any) -> None:
        publish(self)

    with (
        mock.patch.object(Signature, "apply_async", apply_async),
        mock.patch.object(_chain, "apply_async", apply_async),
        mock.patch.object(_chord, "apply_async", apply_async),
    ):
        yield
