"""How long a start takes: `python -m workers.sandbox.bench [--starts N]` prints it.

Measured from the call of `run` to its return, with `true` as the program, after one that chose the
level. The machine's load is given beside it: on one that is busy with other things each of the
processes waits for its turn, and the figures say more about those.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=50, help="how many (50)")
    starts = max(2, parser.parse_args().starts)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
    import django

    django.setup()
    from workers import sandbox

    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as folder:
        Path(folder).chmod(0o755)
        level = sandbox.level()
        times = sorted(_milliseconds(Path(folder)) for _ in range(starts))
    p50, p95 = times[starts // 2], times[min(starts - 1, int(starts * 0.95))]
    sys.stdout.write(
        f"{level.name}: {starts} starts, p50 {p50:.1f} ms, p95 {p95:.1f} ms, most {times[-1]:.1f} ms;"
        f" load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
    return 0


def _milliseconds(folder: Path) -> float:
    from workers import sandbox

    started = time.monotonic()
    ended = sandbox.run(["true"], cwd=folder, writable=[folder], timeout_seconds=60)
    if ended.exit_code != 0:
        raise SystemExit(f"`true` ended with {ended.exit_code}: {ended.stderr}")
    return (time.monotonic() - started) * 1000


if __name__ == "__main__":
    sys.exit(main())
