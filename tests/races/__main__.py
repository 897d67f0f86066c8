"""`python -m tests.races`: many races over approvals. Ends with 1 when one decided twice."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.races", description=__doc__)
    parser.add_argument("--races", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="chooses who takes part and when")
    options = parser.parse_args()
    import agentsys.testing  # noqa: F401 - starts the servers

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
    import django

    django.setup()
    from tests.simulation.database import own_database

    with own_database(), tempfile.TemporaryDirectory(prefix="agentsys-races-") as folder:
        from orchestration.services.sessions import session_close

        try:
            return _play(options, Path(folder))
        finally:
            session_close()  # its connection would hold the database


def _play(options: argparse.Namespace, folder: Path) -> int:
    from tests.races.racing import Tally, race

    began, tally = time.monotonic(), Tally()
    for tally in race(options.races, folder, seed=options.seed):
        left = (time.monotonic() - began) / tally.races * (options.races - tally.races)
        say(f"{tally.races} of {options.races} races, {left:.0f} s left")
        if tally.violations:
            say("\n".join(tally.violations))
            return 1
    ended = ", ".join(f"{n} {state}" for state, n in sorted(tally.outcomes.items()))
    say(f"{tally.races} races, one decision each, none applied twice or unapproved: {ended}")
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
