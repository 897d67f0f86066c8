"""`python -m tests.simulation`: many seeds, or one with its trace. Ends with 1 at a violation."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter


def main() -> int:
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of texts are gone through in one order
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    import agentsys.testing  # noqa: F401 - starts the servers

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
    import django

    django.setup()
    from tests.simulation.database import own_database

    with own_database():
        return _play(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many, one after the other")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="say all that happened")
    return parser.parse_args()


def _play(options: argparse.Namespace) -> int:
    from tests.simulation.rig import rigged
    from tests.simulation.simulation import simulate
    from tests.simulation.telling import told

    first, number = options.first, options.seeds
    if options.seed is not None:
        first, number = options.seed, 1
    faults: Counter[str] = Counter()
    goals: Counter[str] = Counter()
    began = said = time.monotonic()
    rounds = 0
    with rigged() as rig:
        for done, seed in enumerate(range(first, first + number), 1):
            result = simulate(seed, rig)
            faults, goals = faults + result.faults, goals + result.goals
            rounds = max(rounds, result.rounds)
            if options.trace:
                say("\n".join(result.trace))
            if result.violations:
                say(told(result, trace=not options.trace))
                return 1
            if time.monotonic() - said > 10 or done == number:
                said = time.monotonic()
                left = (said - began) / done * (number - done)
                say(f"{done} of {number} seeds, {left:.0f} s left")
    say(f"no violation in seeds {first} … {first + number - 1}; at most {rounds} rounds to rest")
    say("goals: " + ", ".join(f"{n} {state}" for state, n in sorted(goals.items())))
    say("faults: " + ", ".join(f"{n} {kind}" for kind, n in sorted(faults.items())))
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
