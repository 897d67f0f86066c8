"""The rows. Fields and constraints live here; rules live in `orchestration.services`.

The database repeats what must never be broken: CHECK constraints made from the tables in
`domain.lives`, partial unique indexes, and triggers (migration 0002) that refuse a change to a
frozen contract or definition, or to a ledger row.
"""

from orchestration.models.bus import Cursor, Delivery, Subscription
from orchestration.models.control import (
    ApprovalRequest,
    Budget,
    Decision,
    Directive,
    Proposal,
    Reservation,
    Scope,
    ScopeLease,
    Standstill,
)
from orchestration.models.goals import Goal, Membership, Plan, Project
from orchestration.models.ledger import LedgerEntry
from orchestration.models.readers import Reader
from orchestration.models.recovery import Outage, Recovery
from orchestration.models.schedules import Schedule
from orchestration.models.swarms import Swarm, SwarmItem, SwarmShift
from orchestration.models.tasks import Artifact, Attempt, Dependency, Task, WorkerSession, WorkHash

__all__ = [
    "ApprovalRequest",
    "Artifact",
    "Attempt",
    "Budget",
    "Cursor",
    "Decision",
    "Delivery",
    "Dependency",
    "Directive",
    "Goal",
    "LedgerEntry",
    "Membership",
    "Outage",
    "Plan",
    "Project",
    "Proposal",
    "Reader",
    "Recovery",
    "Reservation",
    "Schedule",
    "Scope",
    "ScopeLease",
    "Standstill",
    "Subscription",
    "Swarm",
    "SwarmItem",
    "SwarmShift",
    "Task",
    "WorkHash",
    "WorkerSession",
]
