"""The Celery application of chaos's own processes: agentsys's, with what the environment asks for.

`CHAOS_MESSAGES=DROP:SEED` puts every message into its queue twice, drops each copy with the chance
DROP, and counts both in Redis. `CHAOS_BEAT_SECONDS=S` lets beat ask for a sweep every S seconds.
`CHAOS_DEAF_AFTER=S` lets a worker's consumer consume no more after S seconds, with its connection as it was;
the worker looks every second whether it hears.
"""

from __future__ import annotations

import os
import random
import threading
import uuid
from copy import deepcopy
from typing import Any

from celery.signals import worker_ready
from kombu.transport.redis import Channel

from agentsys.celery import QUEUES, app
from orchestration import hearing

__all__ = ["app"]

MESSAGES = "CHAOS_MESSAGES"
DROPPED, DELIVERED = "chaos-dropped", "chaos-delivered"
BEAT_SECONDS = "CHAOS_BEAT_SECONDS"
DEAF_AFTER = "CHAOS_DEAF_AFTER"


def meddle(text: str) -> None:
    """From now on this process sends each message of ours twice, less those that get lost."""
    drop, _, seed = text.partition(":")
    draw = random.Random(int(seed or 0) + os.getpid())  # noqa: S311 - chooses faults
    put: Any = Channel._put

    def put_meddled(self: Any, queue: str, message: dict[str, Any], **rest: Any) -> None:
        if queue not in QUEUES:  # events and remote control are not what is lost here
            put(self, queue, message, **rest)
            return
        for _ in range(2):
            lost = draw.random() < float(drop)
            with self.conn_or_acquire() as client:
                client.incr(DROPPED if lost else DELIVERED)
            if lost:
                continue
            copy = deepcopy(message)
            copy["properties"]["delivery_tag"] = str(uuid.uuid4())
            put(self, queue, copy, **rest)

    setattr(Channel, "_put", put_meddled)  # noqa: B010 - not a method as types see it


if os.environ.get(MESSAGES):
    meddle(os.environ[MESSAGES])
if os.environ.get(BEAT_SECONDS):
    app.conf.beat_schedule = {
        "sweep": {"task": "orchestration.sweep", "schedule": float(os.environ[BEAT_SECONDS])}
    }


if os.environ.get(DEAF_AFTER):
    hearing.LOOK_SECONDS = 1.0

    def deafened(sender: Any, **_: Any) -> None:
        seconds, cancel = float(os.environ[DEAF_AFTER]), sender.task_consumer.cancel
        threading.Timer(seconds, sender.call_soon, [cancel]).start()

    worker_ready.connect(deafened, weak=False)
