"""What a planner is given and what it must give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentsys.gateway import Meter
from orchestration.domain.owners import Owned
from orchestration.domain.plan import PlanDraft
from workers.services import AgentInfo


@dataclass(frozen=True, slots=True)
class PlanRequest:
    objective: str
    document: Any
    playbook: str | None
    params: Mapping[str, Any]
    namespace: str
    agents: Mapping[str, AgentInfo]
    verifiers: tuple[str, ...]
    tasks_max: int
    meter: Meter | None = None  # who pays, where a model is asked
    owned: tuple[Owned, ...] = ()  # what belongs to which role


class Planner(Protocol):
    def plan(self, request: PlanRequest) -> PlanDraft:
        """A draft of good form; BadInput where there is none. Content is checked afterwards."""
