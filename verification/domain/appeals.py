"""When a worker may answer a rejection with new evidence instead of a new try.

A worker has the least authority: its evidence is judged by the same verifiers, its word is not
heard. Once a task; what a person refused, or a veto, is not for a worker to contest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from verification.contracts import Rule, Ruling, RulingOutcome, VerdictOutcome
from verification.domain.verdicts import VerdictView

CONTESTED = (Rule.FAIL, Rule.UNPROVEN, Rule.UNANIMITY)


def appealable(ruling: Ruling, verdicts: Sequence[VerdictView]) -> tuple[str, ...]:
    """The verifiers whose verdicts may be appealed; none where a veto stands or a person said no."""
    if ruling.outcome is not RulingOutcome.REJECT or ruling.rule not in CONTESTED:
        return ()
    against = [v for v in verdicts if v.counts_as is not VerdictOutcome.PASS]
    if any(v.vetoes or v.is_overridden for v in against):
        return ()
    return tuple(dict.fromkeys(v.verifier for v in against))


def evidence_problem(before: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """What is wrong with `given` as new evidence for the rejected report; "" when it is."""
    bytes_of = {a["name"]: a["sha256"] for a in before["artifacts"]}
    replaced = [
        a["name"] for a in given["artifacts"] if bytes_of.get(a["name"], a["sha256"]) != a["sha256"]
    ]
    if replaced:
        return f"its artifact `{replaced[0]}` would replace one that was judged; name it otherwise"
    known = set(bytes_of.values())
    new_bytes = any(a["sha256"] not in known for a in given["artifacts"])
    if new_bytes or any(claim not in before["claims"] for claim in given["claims"]):
        return ""
    return "it brings no claim and no artifact that is new"


def appealed(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The report that is judged: what was rejected, as it was, with the new evidence in front."""
    names = {a["name"] for a in given["artifacts"]}
    return {
        **given,
        **({"ran": before["ran"]} if "ran" in before else {}),
        "output": before["output"],
        "proposals": before["proposals"],
        "artifacts": [
            *given["artifacts"],
            *(a for a in before["artifacts"] if a["name"] not in names),
        ],
        "claims": [*given["claims"], *(c for c in before["claims"] if c not in given["claims"])],
    }
