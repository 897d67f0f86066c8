"""Named places where a process may die, so that tests can make it die exactly there.

Each name marks the moment between two things that cannot be one: a commit and the message about
it, an effect and its record. `crashpoint` does nothing until it is armed: by `CRASH=C09:kill:3` in
the environment (kill -9 at the third time that C09 is reached), or by `arm` in a simulation.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from agentsys.kernel.errors import BadInput

POINTS: Mapping[str, str] = {
    "C01": "rows are committed, their message is not sent",
    "C02": "a message is sent again, nothing more is done",
    "C03": "a message is received, nothing is claimed",
    "C04": "an attempt is claimed, its agent has not begun",
    "C05": "a step's intent is committed, its call is not made",
    "C06": "a step's call is answered, the outcome is not stored",
    "C07": "a step's outcome is stored, nothing is derived from it",
    "C08": "an effect's intent is committed, the effect is not made",
    "C09": "an effect is made, its confirmation is not stored",
    "C10": "everything is written, COMMIT is not sent",
    "C11": "COMMIT was answered, nobody was told",
    "C12": "some successors are sent, others are not",
    "C13": "a verdict is stored, `settle` is not called",
    "C14": "an attempt is settled, what it unlocked is not sent",
    "C15": "a decision is committed, what it allows is not sent",
    "C16": "an artifact's bytes are stored, its report is not",
    "C17": "a merge is in the branch, its proposal is not applied",
    "C18": "a goal has ended, it is not wrapped up",
    "C19": "a sweep has taken an attempt back, its successor is not sent",
    "C20": "a lease is about to be renewed",
    "C21": "a merge is made and tested, it is in no branch",
    "C22": "a digest is written and its parts point to it, COMMIT is not sent",
    "C23": "a digest is committed, the next one is not begun",
}

_hook: Callable[[str], None] | None = None


def crashpoint(name: str) -> None:
    """Die here, if a test says so."""
    if _hook is not None:
        _hook(name)


def arm(hook: Callable[[str], None] | None) -> None:
    """Call `hook` with the name of each point that is reached; None disarms."""
    global _hook
    _hook = hook


def arm_from(text: str) -> None:
    """Arm by `POINT:kill[:HIT]`; BadInput when that is not what `text` says."""
    name, _, rest = text.partition(":")
    action, _, hit = rest.partition(":")
    if name not in POINTS or action != "kill" or not (hit or "1").isdigit():
        raise BadInput(
            what="CRASH", problems=[f"{text!r} is not POINT:kill[:HIT], as C09:kill:3 would be"]
        )
    left = int(hit or "1")

    def die(reached: str) -> None:
        nonlocal left
        if reached == name:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    arm(die)


if os.environ.get("CRASH"):
    arm_from(os.environ["CRASH"])
