"""The catalogue's events of swarms; the notation is in `domain.payloads`. Items are named by
their ids, as [first, last] of each stretch."""

from __future__ import annotations

from orchestration.domain.payloads import event

RANGES = [(int, int)]
BECAME = {"open?": RANGES, "failed?": RANGES}

SWARMS = (
    event(
        "swarm.opened",
        "A swarm's items are there, for micro agents `micro`.",
        {"items": int, "items_hash": str, "micro": str},
    ),
    event("swarm.reopened", "What had failed of it is tried again.", {"again": RANGES}),
    event("swarm.claimed", "A shift took items.", {"shift": int, "items": RANGES}),
    event(
        "swarm.settled",
        "A shift handed in what became of items; `spawned` is how many it added.",
        {"shift": int, "answered?": RANGES, **BECAME, "outputs_hash": str, "spawned?": int},
    ),
    event(
        "swarm.given_back",
        "A shift gave items back; `lost`: its worker was. Those in `failed` have killed too many.",
        {"shift": int, "items": RANGES, "lost": bool, "failed?": RANGES},
    ),
    event(
        "swarm.inspected",
        "Verifiers looked at answers: at a sample of `sampled`, or at all where that is 0.",
        {"sampled": int, "defects": int, "accepted?": RANGES, **BECAME},
    ),
    event("swarm.failed", "It cannot be had.", {"reason": str}),
    event(
        "swarm.reduced",
        "All items have ended, and what they came to is one result.",
        {"count": int, "accepted": int, "failed": int, "items_sha256": str, "result_hash": str},
    ),
)
