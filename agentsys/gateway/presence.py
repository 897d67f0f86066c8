"""Who else calls models now, and what time it is for Redis; looked up every few seconds."""

from __future__ import annotations

import os
import socket
import threading
import time
from uuid import uuid4

import redis

from agentsys.gateway.shared import key

FRESH_SECONDS = 10.0
GONE_SECONDS = 60.0
PROCESSES_ASSUMED = 8  # when Redis never answered this process


class Presence:
    """This process among those that share limits. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown_at: float | None = None
        self._offset = 0.0
        self._processes = 0
        self._pid = 0
        self._name = ""

    def show(self, client: redis.Redis) -> None:
        """Tell that this process is here, and look who is; redis.RedisError when it is away."""
        with self._lock:
            fresh = self._shown_at is not None and time.monotonic() - self._shown_at < FRESH_SECONDS
            if fresh and self._pid == os.getpid():
                return
            self._become_self()
            before = time.time()
            seconds, micros = client.time()
            now = seconds + micros / 1e6
            self._offset = now - (before + time.time()) / 2
            pipe = client.pipeline()
            pipe.zadd(key("processes"), {self._name: now})
            pipe.zremrangebyscore(key("processes"), "-inf", now - GONE_SECONDS)
            pipe.zcard(key("processes"))
            self._processes = int(pipe.execute()[2])
            self._shown_at = time.monotonic()

    def server_time(self) -> float:
        return time.time() + self._offset

    def share(self, limit: int) -> int:
        """What of a limit this process may use for itself; at least 1."""
        return max(limit // (self._processes or PROCESSES_ASSUMED), 1)

    def _become_self(self) -> None:
        """After a fork it is another process."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._name = f"{socket.gethostname()}-{self._pid}-{uuid4().hex[:8]}"
