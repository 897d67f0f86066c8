"""Whether this worker still hears its broker; one that does not ends, so that a new one is started.

After a broker has been restarted, Celery's consumer may be connected and consume nothing, for good
(celery #8030, #8091, #10205). Such a worker beats and sweeps like any other, so nobody takes over what it
does not do. It is deaf when messages wait in its queues, it works on nothing and receives none, at `LOOKS`
looks in a row: a minute, longer than Celery waits before it connects anew. A broker that is away, or an
empty queue, says nothing about it.
"""

from __future__ import annotations

import os
import threading

import structlog
from celery import Celery
from celery.worker import state
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
LOOKS = 12
EXIT_CODE = 75  # EX_TEMPFAIL: try again


class Hearing(threading.Thread):
    """Looks every `LOOK_SECONDS`; ends the process when it is deaf. It holds no work then, and whatever
    its rows say is what they say after a kill."""

    def __init__(self, app: Celery) -> None:
        super().__init__(name="agentsys-hearing", daemon=True)
        self._app = app
        self._ended = threading.Event()
        self._received = 0
        self._deaf = 0  # looks in a row

    def run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._deaf = self._deaf + 1 if self._nothing_heard() and self._waiting() else 0
            if self._deaf >= LOOKS:
                log.critical(
                    "messages wait and none is received; this worker ends to be started again"
                )
                os._exit(EXIT_CODE)

    def stop(self) -> None:
        self._ended.set()

    def _nothing_heard(self) -> bool:
        before, self._received = self._received, state.all_total_count[0]
        return self._received == before and not state.reserved_requests

    def _waiting(self) -> int:
        """Messages in the queues of this worker; 0 where the broker cannot be asked."""
        queues = self._app.amqp.queues.consume_from
        with self._app.connection_for_read() as connection:
            try:
                channel = connection.default_channel
                return sum(
                    queue.bind(channel).queue_declare().message_count
                    for queue in tuple(queues.values())
                )
            except (OperationalError, *connection.connection_errors):
                return 0
