"""A model agent made of words: the loop under a persona's instructions, tools and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from agentsys.kernel.errors import AgentsysError, LeaseLost
from workers.agents.base import Agent
from workers.attempting import failure_of
from workers.contracts import Brief, Outcome, Ports, Report
from workers.journal import Journal
from workers.loop import Loop
from workers.personas import Persona, both
from workers.policy import grants_of
from workers.tools import Kit

WRITING = frozenset({"edit_file", "write_file", "delete_file", "apply_patch"})


class ProfiledAgent(Agent):
    """Made by `made_of`, one class for each version of a profile."""

    thinks = True
    persona: ClassVar[Persona]
    version: ClassVar[int]

    def run(self, brief: Brief, ports: Ports) -> Report:
        """Under the version that the attempt began with, whoever takes it over."""
        from workers import profiles  # it makes these agents

        journal = Journal.of(brief, ports)
        began = journal.step("profile", self.name, {}, lambda: {"version": self.version})
        ours = profiles.version(self.name, began["version"])
        assert isinstance(ours, ProfiledAgent)
        return ours.work(brief, ports, journal)

    def work(self, brief: Brief, ports: Ports, journal: Journal) -> Report:
        ran = {"agent": self.name, "by": "model", "version": self.version}
        brief = self.persona.on(brief)
        try:
            kit = Kit.of(brief, ports, within=grants_of(self.persona.tools))
            schema = both(self.persona.handed_in, brief.output_schema)
            report = kit.finished(Loop(kit.brief, ports, kit.tools, schema, journal).run())
        except LeaseLost:
            raise
        except AgentsysError as error:
            failure = failure_of(error)
            report = Report(Outcome.FAILED, failure=failure, summary=failure.message[:200])
        return replace(report, ran={**ran, "hash": self.persona.facts_hash})


def made_of(persona: Persona, version: int) -> Agent:
    """The agent of one version of a profile."""
    facts: dict[str, Any] = {
        "name": persona.name,
        "role": "custom",
        "description": persona.description,
        "inputs_schema": _object(persona.inputs_schema),
        "output_schema": persona.handed_in,
        "scope_mode": "write" if WRITING & set(persona.tools) else "read",
        "tools": persona.tools,
        "limits_max": persona.limits,
        "persona": persona,
        "version": version,
    }
    made: Agent = type("ProfiledAgent", (ProfiledAgent,), facts)()
    return made


def _object(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return schema or {"type": "object"}
