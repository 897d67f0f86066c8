"""Carries out an approved action: an argv in the sandbox, at most once, on record as an effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import BadInput
from workers import sandbox
from workers.errors import EffectInDoubt, EffectRefused
from workers.models import EffectState
from workers.services import effect_begin, effect_confirm, effect_doubt

__all__ = ["Action", "EffectInDoubt", "EffectRefused", "action_apply"]

TIMEOUT_SECONDS = 300.0
TIMEOUT_SECONDS_MAX = 86_400.0
FIELDS = ("argv", "writable", "network", "timeout_seconds", "resource", "why")  # of a payload


def action_apply(
    payload: Mapping[str, Any], *, key: str, attempt_id: int, fence: int, workspace: Path
) -> dict[str, Any]:
    """Run the payload (see Action) in `workspace`; returns a SandboxResult as a dictionary.

    `key` names this one action for ever. When it was carried out before, the recorded result is
    returned and nothing runs. When it was begun and its end is not on record, EffectInDoubt: it
    may have happened. A command that runs and fails is a result, not an error. Nothing is on record
    when BadInput or SandboxUnavailable is raised.
    """
    action = Action.of(payload)
    action.check_folders()
    level = sandbox.level().name
    effect = effect_begin(
        key=key,
        kind="action",
        request=asdict(action),
        attempt_id=attempt_id,
        fence=fence,
        level=level,
    )
    if effect.state == EffectState.CONFIRMED:
        return dict(effect.result)
    if effect.state == EffectState.REFUSED:
        raise EffectRefused(key=key, note=(effect.result or {}).get("note", ""))
    if not effect.fresh:
        effect_doubt(key, "begun before, and its end is not on record")
        raise EffectInDoubt(key=key, attempt_id=effect.attempt_id)
    crashpoint("C08")
    ended = sandbox.run(
        action.argv,
        cwd=workspace,
        writable=[workspace, *map(Path, action.writable)],
        network=action.network,
        timeout_seconds=action.timeout_seconds,
        output_bytes_max=50_000,
    )
    result = asdict(ended)
    crashpoint("C09")
    effect_confirm(key, result, level=ended.level)
    return result


@dataclass(frozen=True, slots=True)
class Action:
    """What a person approved: every field of it is in the proposal's payload, for them to see."""

    argv: tuple[str, ...]
    writable: tuple[str, ...] = ()  # folders outside the workspace
    network: bool = False
    timeout_seconds: float = TIMEOUT_SECONDS

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Action:
        """BadInput names everything that makes it no action."""
        problems = []
        for name in ("argv", "writable"):
            value = payload.get(name, [])
            if not isinstance(value, list | tuple) or any(not isinstance(w, str) for w in value):
                problems.append(f"{name} is {value!r}; expected a list of strings")
        if not isinstance(payload.get("resource", ""), str):
            problems.append(f"resource is {payload['resource']!r}; expected one, as deploy:prod")
        network = payload.get("network", False)
        if not isinstance(network, bool):
            problems.append(f"network is {str(network)[:50]!r}; expected true or false")
        if not payload.get("argv"):
            problems.append("argv is empty; expected the words of a command")
        seconds = payload.get("timeout_seconds", TIMEOUT_SECONDS)
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not 0 < seconds <= TIMEOUT_SECONDS_MAX:
            problems.append(
                f"timeout_seconds is {str(seconds)[:50]!r};"
                f" expected a number of seconds up to {TIMEOUT_SECONDS_MAX:.0f}"
            )
        if problems:
            raise BadInput(what="action", problems=problems)
        return cls(
            argv=tuple(payload["argv"]),
            writable=tuple(payload.get("writable", ())),
            network=network,
            timeout_seconds=float(seconds),
        )

    def check_folders(self) -> None:
        """BadInput when a folder that it may write to is not there, or is another one than it
        says: what a person approved is what is lent, not what a link leads to meanwhile."""
        problems = [problem for path in self.writable if (problem := _folder_fault(path))]
        if problems:
            raise BadInput(what="action", problems=problems)


def _folder_fault(path: str) -> str:
    try:
        if not Path(path).is_dir():
            return f"{path} is not a folder"
        real = Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        return f"{path[:200]!r} is not a folder: {error}"
    return "" if str(real) == path.rstrip("/") else f"{path} is {real}; name that one"
