"""Where `limits` keeps its moving windows: our Redis, by our client and by the server's clock."""

from __future__ import annotations

import redis
from limits.storage import RedisStorage

from agentsys.gateway.presence import Presence
from agentsys.gateway.shared import key


class SharedWindow(RedisStorage):
    """Entries carry the time of Redis instead of this host's, so that hosts may differ in theirs."""

    STORAGE_SCHEME: list[str] = []  # registered for no URL

    def __init__(self, client: redis.Redis, presence: Presence) -> None:
        self._presence = presence
        super().__init__(
            "redis://", connection_pool=client.connection_pool, key_prefix=key("limits")
        )

    def now(self) -> float:
        return self._presence.server_time()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        done = self.lua_acquire_moving_window(
            [self.prefixed_key(key)], [self.now(), limit, expiry, amount]
        )
        return bool(done)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        now = self.now()
        window = self.lua_moving_window([self.prefixed_key(key)], [now - expiry, limit])
        return (float(window[0]), int(window[1])) if window else (now, 0)
