"""The catalogue of all events that a ledger may hold: version, meaning and payload of each.

Whoever reads a ledger, a subscription or the stream of events may rely on it. Nothing is checked
where entries are written; the tests check every entry that they and the simulation write, and that
the code writes no event that is missing here and that none is here that it does not write.

To change a payload, add a form after the others of its event and write `"v": N` into it everywhere;
`fold` and whatever else reads it then goes by the version. To add an optional field is a change too.
`docs/events.md` is generated from this; `tests/golden/events.json` holds what was.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from orchestration.domain.events_deciding import DECIDING
from orchestration.domain.events_goals import GOALS
from orchestration.domain.events_swarms import SWARMS
from orchestration.domain.events_tasks import TASKS
from orchestration.domain.payloads import Event, problems_of, version_of

AREAS: Mapping[str, tuple[Event, ...]] = {
    "Goals, plans and budgets": GOALS,
    "Tasks and attempts": TASKS,
    "Proposals, approvals, verdicts and conflicts": DECIDING,
    "Swarms": SWARMS,
}
EVENTS: Mapping[str, Event] = MappingProxyType(
    {event.name: event for area in AREAS.values() for event in area}
)


def problems(event: str, payload: Mapping[str, Any]) -> list[str]:
    """What is wrong with an entry by the version that its payload says, a sentence each."""
    found = EVENTS.get(event)
    if found is None:
        return [
            f"{event}: no such event in the catalogue; add it to orchestration/domain/events.py"
        ]
    return [f"{event}: {problem}" for problem in problems_of(found, payload)]


def written_problems(event: str, payload: Mapping[str, Any]) -> list[str]:
    """The same for an entry that was written today, which has the newest version."""
    found = problems(event, payload)
    if not found and (version := version_of(payload)) != (newest := EVENTS[event].version):
        return [f"{event}: written in version {version}; the newest is {newest}"]
    return found
