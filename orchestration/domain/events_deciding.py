"""The catalogue's events of proposals, approvals, verdicts and conflicts; the notation is in
`domain.payloads`."""

from __future__ import annotations

from orchestration.domain.payloads import event

DECIDING = (
    event(
        "proposal.opened",
        "A change or an action is proposed; `edits` is the proposal that a person changed into it.",
        {"proposal": int, "hash": str, "risk?": str, "edits?": int},
    ),
    event("proposal.review_asked", "A person must decide on it.", {"proposal": int}),
    event(
        "proposal.approved",
        "It is to be applied: people decided so on `hash`, or a `rule` does.",
        {"proposal": int, "approval?": int, "hash?": str, "rule?": str},
    ),
    event("proposal.applied", "It is in the world.", {"proposal": int, "result": dict}),
    event("proposal.rejected", "A person refused it.", {"proposal": int, "reason": str}),
    event(
        "proposal.staled",
        "It cannot be applied: a `reason`, the paths that conflict, or the `result` of an action that"
        " failed.",
        {"proposal": int, "reason?": str, "conflicts?": [str], "result?": dict},
    ),
    event("proposal.withdrawn", "Nobody needs it any more.", {"proposal": int, "reason?": str}),
    event(
        "proposal.took_place",
        "It was withdrawn while it took place: it is in the world, and counts for nothing.",
        {"proposal": int, "result": dict},
    ),
    event(
        "approval.requested",
        "A person is asked; `quorum` is how many must approve.",
        {"approval": int, "kind": str, "risk": str, "quorum": int},
    ),
    event(
        "approval.decided",
        "A person decided, with what they changed in `payload`; `state` is what the question is now.",
        {
            "approval": int, "decision": str, "reason": str, "payload": dict | None,
            "action_hash": str, "state": str,
        },
    ),
    event("approval.expired", "Nobody decided in time.", {"approval": int}),
    event(
        "approval.escalated", "Nobody decided in time; administrators may.",
        {"approval": int, "due_at": str},
    ),
    event(
        "approval.withdrawn", "The question is void.", {"approval": int, "why?": str}
    ),
    event(
        "verdict.given",
        "A verifier, the actor, has spoken about these bytes under this definition.",
        {"outcome": str, "veto": bool, "artifact_hash": str, "spec_hash": str},
    ),
    event(
        "verdict.overruled",
        "A person's word counts in place of the verifier's.",
        {"verifier": str, "outcome": str, "reason": str},
    ),
    event(
        "verdict.appealed",
        "New evidence against the verifier's refusal; it judges again.",
        {"verifier": str, "because": str},
    ),
    event(
        "conflict.merge",
        "A change lost against others in the branch, for the `time`th time: proposal `loser`, who won, the"
        " rule and the paths.",
        {
            "loser": int, "winner": str, "winners": [str], "rule": str, "paths": [str], "time": int,
        },
    ),
    event(
        "setting.changed",
        "An approved proposal changed a setting; the actor is who approved it. null: the setting was not,"
        " or is no longer, there.",
        {"proposal": int, "setting": str, "old": object, "new": object},
    ),
    event(
        "conflict.owner",
        "An owner's change won over one made upon its files. In the winner's goal with `gave_way`; in the"
        " loser's with the proposal `loser`, and `kept`, which keeps its work.",
        {"winner": str, "rule": str, "gave_way?": str, "loser?": int, "kept?": int},
    ),
    event(
        "conflict.ordered",
        "After a second conflict: the task runs alone over its repository.",
        {"reason": str},
    ),
)  # fmt: skip
