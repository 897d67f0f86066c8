"""The console: Django's admin as the place to see and steer goals from.

It shows rows and calls services; it changes nothing on its own. Importing this registers its pages.
"""

from orchestration.admin import (
    approvals,
    bus,
    goals,
    ledger,
    projects,
    proposals,
    schedules,
    signing_in,
    tasks,
)

__all__ = [
    "approvals", "bus", "goals", "ledger", "projects", "proposals", "schedules", "signing_in", "tasks",
]  # fmt: skip
