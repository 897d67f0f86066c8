"""Playing one scenario in a process of its own, on a database of its own, to its outcome.

`python -m orchestration.chaos.play NAME FOLDER TASKS FAULTS SECONDS SEED` is started by the command
`chaos` with the environment of the servers; it writes `FOLDER/outcome.json`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import django

from orchestration.chaos.report import Outcome, spread


def play(name: str, folder: Path, order: tuple[int, int, float, int]) -> Outcome:
    """Set the stage, play, check."""
    from orchestration.chaos.check import check
    from orchestration.chaos.scenarios import SCENARIOS
    from orchestration.chaos.servers import Servers
    from orchestration.chaos.stage import Order, stage_of

    scenario = SCENARIOS[name]
    wanted = Order(*order)
    began = time.monotonic()
    servers = Servers(Path(os.environ["CHAOS_SERVERS"]))
    with stage_of(
        folder, wanted, {}, _say, servers=servers, concurrency=scenario.concurrency
    ) as stage:
        scenario.play(stage)
        seconds = time.monotonic() - began
    found = check(stage.witness.path)
    return Outcome(
        scenario=name,
        title=scenario.title,
        seed=wanted.seed,
        seconds=round(seconds, 1),
        settings=dict(scenario.env),
        tasks=found.tasks,
        done=found.done,
        effects=found.effects,
        calls=found.calls,
        faults=stage.faults.counts(),
        counts=found.counts,
        examples=found.examples,
        recovery=spread(stage.faults.recoveries()),
        restart=spread(stage.faults.restarts()),
        notes=stage.notes,
        wrong=stage.wrong,
    )


def _say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")


def main(words: list[str]) -> None:
    name, folder, tasks, faults, seconds, seed = words
    django.setup()
    outcome = play(name, Path(folder), (int(tasks), int(faults), float(seconds), int(seed)))
    (Path(folder) / "outcome.json").write_text(json.dumps(outcome.to_json(), default=str))


if __name__ == "__main__":
    main(sys.argv[1:])
