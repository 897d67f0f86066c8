"""The tools that an agent's brief gives it: one place that puts them together.

What a task may use of them is for its definition to say (`tools`); what each call may do, for the
gate. Without a repository there is none that touches files; without write scopes none that changes
any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from agentsys.kernel.errors import BadInput
from agentsys.kernel.plugins import left_out
from workers.contracts import Brief, Outcome, Ports, Report, ToolGrant
from workers.policy import narrowed
from workers.tools.base import Tool
from workers.tools.bench import Bench
from workers.tools.board import board_tools
from workers.tools.editing import editing_tools
from workers.tools.fetching import fetching_tools
from workers.tools.handing import follow_up_plan, handing_tools
from workers.tools.output import READ_MORE
from workers.tools.plugins import GROUP, installed_tools
from workers.tools.reading import Checkout, reading_tools, recall_tool
from workers.tools.trees import git_tools, running_tools

NOWHERE = ["no host, until AGENTSYS_FETCH_HOSTS names one"]
TAKEN = ("finish", "ask_person", "hand_back")  # what the loop itself answers to


@dataclass(frozen=True, slots=True)
class Kit:
    """`finished` adds what the tools made to the report of the agent that used them."""

    tools: tuple[Tool, ...]
    brief: Brief
    follow_ups: list[dict[str, Any]]
    bench: Bench | None = None

    @classmethod
    def of(cls, brief: Brief, ports: Ports, within: Sequence[ToolGrant] | None = None) -> Kit:
        """`within`: all that the agent itself may use, of which the task gets what it names.
        BadInput when the task is granted a tool that there is not, or that the agent has not."""
        asked, brief = brief.tools, replace(brief, tools=narrowed(within, brief.tools))
        bench = None
        follow_ups: list[dict[str, Any]] = []
        tools = [recall_tool(brief), *board_tools(brief), *handing_tools(brief, follow_ups)]
        tools += fetching_tools(_hosts())
        if brief.repository is not None and brief.repository.base:
            bench = Bench(brief, ports)
            tools += _on(bench, brief)
        tools += installed_tools(brief, _names(tools))
        known = {tool.name for tool in tools} | {READ_MORE}
        if within is not None:
            known &= {grant.name for grant in within} | {READ_MORE}
        wrong = [g.name for g in asked or () if g.name not in known]
        if wrong:
            listed = ", ".join(sorted(known))
            left = "".join(f"; left out: {one}" for one in left_out(GROUP))
            problems = [
                f"there is no tool `{n}` for this task; there are {listed}{left}" for n in wrong
            ]
            raise BadInput(what="tools", problems=problems)
        return cls(tuple(tools), brief, follow_ups, bench)

    def finished(self, report: Report) -> Report:
        if report.appeal is not None:
            return report  # what was rejected stands as it was
        if self.follow_ups and report.outcome is Outcome.DONE:
            plan = follow_up_plan(self.brief, self.follow_ups)
            report = replace(report, artifacts=(*report.artifacts, plan))
        return report if self.bench is None else self.bench.handed_in(report)


def tool_names() -> dict[str, str]:
    """Every tool that a task of this installation may have, whatever its goal, with what it does.
    A package's tools that want to see a brief are asked with an empty one."""
    nobody = Brief(0, 0, 0, 0, 1, "", "", {}, "", "", "", {}, {})
    bench = Bench.nowhere()
    tools = [recall_tool(nobody), *board_tools(nobody), *handing_tools(nobody, [])]
    tools += fetching_tools(_hosts() or NOWHERE)
    tools += [*reading_tools(_no_checkout), *git_tools(bench), *running_tools(bench)]
    tools += editing_tools(bench)
    tools += installed_tools(nobody, _names(tools))
    return {tool.name: tool.description for tool in tools}


def _hosts() -> list[str]:
    return [h.strip() for h in settings.AGENTSYS.fetch_hosts.split(",") if h.strip()]


def _no_checkout() -> Checkout:
    raise NotImplementedError("these tools are for their names only")


def _names(tools: Sequence[Tool]) -> list[str]:
    """What no package's tool may be called."""
    return [*(tool.name for tool in tools), READ_MORE, *TAKEN]


def _on(bench: Bench, brief: Brief) -> list[Tool]:
    def checkout() -> Checkout:
        return Checkout(bench.repository, bench.state, brief.scopes)

    tools = [*reading_tools(checkout), *git_tools(bench), *running_tools(bench)]
    return [*tools, *editing_tools(bench)] if bench.patterns else tools
