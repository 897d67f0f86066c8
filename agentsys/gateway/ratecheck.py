"""Proof of the shared rate limit: `python -m agentsys.gateway.ratecheck`.

Worker processes ask the loopback server as fast as they are let, over real HTTP and by the real
SDK, under one limit of requests per minute. The server's clock is the judge: of every stretch of a
window's length, it counts the requests that arrived. `--window 10` shrinks the minute, limit and
all, so that many windows pass in half a minute. Exit code 1 when the limit was exceeded by more
than `--tolerance`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence

from agentsys import embedded
from agentsys.gateway.loopback import Loopback

THREADS = 4


def main(words: Sequence[str] | None = None) -> int:
    options = _options(words)
    if options.url:
        _ask(options)
        return 0
    embedded.ensure()
    with Loopback(lambda _asked: "here") as server:
        _crew(options, server.base_url)
    times = sorted(asked.at for asked in server.asked)
    figures = _judged(times, options)
    print(json.dumps(figures))  # noqa: T201
    return int(figures["over_percent"] > options.tolerance)


def peak(times: Sequence[float], window: float) -> int:
    """The most of sorted `times` within any stretch of `window` seconds, its end left out."""
    return max((bisect_left(times, start + window) - n for n, start in enumerate(times)), default=0)


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agentsys.gateway.ratecheck")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--limit", type=int, default=600, help="requests per minute")
    parser.add_argument("--window", type=int, default=10, help="seconds that stand for a minute")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long they ask")
    parser.add_argument("--tolerance", type=float, default=2.0, help="percent over the limit")
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)  # given to the processes
    return parser.parse_args(words)


def _crew(options: argparse.Namespace, url: str) -> None:
    """The processes begin together, once all are ready."""
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "agentsys.settings",
        "AGENTSYS_MODEL": f"openai:m?base_url={url}&requests_per_minute={options.limit}",
        "AGENTSYS_MODEL_WAIT_SECONDS": str(options.window * 3),
        "REDIS_KEYPREFIX": f"ratecheck-{os.getpid()}:",
        "OPENAI_API_KEY": "none",
    }
    command = [
        sys.executable, "-m", __spec__.name if __spec__ else __name__, "--url", url,
        "--limit", str(options.limit), "--window", str(options.window),
        "--seconds", str(options.seconds),
    ]  # fmt: skip
    crew = [
        subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(options.processes)
    ]
    try:
        for one in crew:
            assert one.stdout is not None
            one.stdout.readline()
        for one in crew:
            assert one.stdin is not None
            one.stdin.write(b"go\n")
            one.stdin.flush()
        for one in crew:
            one.communicate()
    finally:
        for one in crew:
            one.kill()
            one.wait()


def _ask(options: argparse.Namespace) -> None:
    """What each process does: ask as fast as it is let, by several threads."""
    import django

    django.setup()
    from agentsys import gateway
    from agentsys.gateway import limiting

    limiting.MINUTE_SECONDS = options.window
    import langchain_openai  # noqa: F401 - most of the start, before the clock runs

    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    until = time.monotonic() + options.seconds

    def ask() -> None:
        while time.monotonic() < until:
            try:
                gateway.chat([{"role": "user", "content": "?"}], role="model")
            except gateway.RateLimited:
                continue

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _judged(times: Sequence[float], options: argparse.Namespace) -> dict[str, float]:
    allowed = options.limit * options.window // 60
    most = peak(times, float(options.window))
    lasted = times[-1] - times[0] if times else 0.0
    return {
        "processes": options.processes,
        "limit_per_minute": options.limit,
        "window_seconds": options.window,
        "requests": len(times),
        "seconds": round(lasted, 1),
        "allowed_in_a_window": allowed,
        "most_in_a_window": most,
        "over_percent": round(max(most / max(allowed, 1) - 1, 0.0) * 100, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
