"""Health checks in parallel, and actions that wait for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from agentsys.kernel.errors import BadInput
from workers.actions import Action
from workers.agents.base import Agent, done, stopper
from workers.checks import CHECKS, check
from workers.contracts import Brief, Ports, ProposalDraft, Report, Risk

PARALLEL_MAX = 8
TEXT = {"type": "string"}
CHECK = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "argv": {"type": "array", "items": TEXT, "minItems": 1},
        "tcp": {"type": "string", "pattern": r"^.+:\d+$"},
        "disk": TEXT,
        "min_free_mb": {"type": "number", "minimum": 0},
        "http": {"type": "string", "pattern": "^https?://"},
        "remote": {"type": "boolean"},
        "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 120},
    },
    "required": ["name"],
    "oneOf": [{"required": [kind]} for kind in CHECKS],
}
ACTION = {
    "type": "object",
    "properties": {
        "argv": {"type": "array", "items": TEXT, "minItems": 1},
        "why": TEXT,
        "resource": {"type": "string", "pattern": r"^[a-z][a-z0-9_-]*:\S.*$", "maxLength": 300},
        "writable": {"type": "array", "items": TEXT},
        "network": {"type": "boolean"},
        "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 3600},
    },
    "required": ["argv", "why"],
}


SETTING = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 310},
        "value": {},
        "why": TEXT,
        "base": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "required": ["name", "value", "why"],
    "additionalProperties": False,
}


class DevopsAgent(Agent):
    name = "devops"
    role = "operations"
    description = (
        "Runs checks in parallel (a command in the sandbox, a TCP port, free disk space, an HTTP "
        "address on this machine), or proposes an action, or a change of a setting, that a person "
        "must approve."
    )
    inputs_schema: ClassVar = {
        "type": "object",
        "properties": {
            "checks": {"type": "array", "items": CHECK, "minItems": 1, "maxItems": 200},
            "action": ACTION,
            "setting": SETTING,
            "irreversible": {"type": "boolean"},
        },
        "not": {
            "anyOf": [
                {"required": ["checks", "action"]},
                {"required": ["checks", "setting"]},
                {"required": ["action", "setting"]},
            ]
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "properties": {
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": TEXT,
                        "ok": {"type": "boolean"},
                        "detail": TEXT,
                        "duration_seconds": {"type": "number", "minimum": 0},
                    },
                    "required": ["name", "ok", "detail", "duration_seconds"],
                },
            },
            "ok": {"type": "boolean"},
            "failed": {"type": "array", "items": TEXT},
            "proposed": {"type": "object"},
        },
        "oneOf": [{"required": ["results", "ok", "failed"]}, {"required": ["proposed"]}],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        if "action" in brief.inputs:
            return _propose(brief)
        if "setting" in brief.inputs:
            return _propose_setting(brief.inputs["setting"])
        if "checks" not in brief.inputs:
            way_out = "give one, or a model profile to the role devops, which then decides"
            raise BadInput(
                what="devops", problems=[f"no `checks`, `action` or `setting`; {way_out}"]
            )
        return _check_all(brief.inputs["checks"], ports)


def _check_all(checks: Sequence[Mapping[str, Any]], ports: Ports) -> Report:
    workspace, still_ours = ports.workspace(), stopper(ports)
    results = []
    with ThreadPoolExecutor(max_workers=PARALLEL_MAX, thread_name_prefix="check") as pool:
        try:
            for result in pool.map(lambda one: check(one, workspace), checks):
                results.append(result)
                still_ours()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    bad = [result["name"] for result in results if not result["ok"]]
    summary = f"{len(results) - len(bad)} of {len(results)} checks passed"
    if bad:
        summary += f"; failed: {', '.join(bad[:5])}"
    return done({"results": results, "ok": not bad, "failed": bad}, summary)


def _propose(brief: Brief) -> Report:
    """An action never runs here: it is a proposal, and the orchestrator applies it."""
    action = dict(brief.inputs["action"])
    Action.of(action).check_folders()  # BadInput now rather than after a person approved it
    proposal = ProposalDraft(
        kind="action",
        title=str(action["why"])[:200],
        payload=action,
        risk=Risk.IRREVERSIBLE if brief.inputs.get("irreversible", True) else Risk.WRITE,
    )
    command = " ".join(action["argv"])[:120]
    return done({"proposed": action}, f"proposed: `{command}`", proposals=(proposal,))


def _propose_setting(wanted: Mapping[str, Any]) -> Report:
    """What it is now, and whether there is such a setting, the orchestrator says. `base` is the hash
    of the value that is meant to be changed, and of no other."""
    payload = {"setting": wanted["name"], "new": wanted["value"], "why": wanted["why"]}
    proposal = ProposalDraft(
        kind="configuration",
        title=f"Change {wanted['name']} to {json.dumps(wanted['value'], sort_keys=True)}"[:200],
        payload=payload,
        base_hash=wanted.get("base", ""),
    )
    summary = f"proposed: a change of {wanted['name']}"[:200]
    return done({"proposed": payload}, summary, proposals=(proposal,))
