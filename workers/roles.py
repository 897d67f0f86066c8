"""Built-in roles with a model: the model decides what the program is to do, and the program does it.

Where a model profile of the console names the very role (never by AGENTSYS_MODEL alone), a task of
that agent is thought through by the loop first, under a persona that ships. What the model hands in
are inputs of the program, or for the coder a change in its working tree; the program's report is
the role's own, so its schema is the same and its figures are measured, not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentsys.gateway import roles as models
from workers.agents.base import Agent
from workers.agents.coder import Work
from workers.contracts import Brief, Outcome, Ports, Report
from workers.journal import Journal
from workers.loop import Loop
from workers.personas import Persona
from workers.policy import grants_of
from workers.tools import Kit

READING = ("recall", "list_files", "read_file", "search_files", "git_log")
EDITING = (
    "edit_file", "write_file", "delete_file", "apply_patch", "git_status", "git_diff",
    "run_command", "run_tests",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Role:
    """`decides` names the inputs that the model hands in, those of `must` without fail and one of
    `either`. Inputs that `settled` names say already what the program is to do: then no model is
    asked."""

    prompt: str
    tools: tuple[str, ...]
    decides: tuple[str, ...] = ()
    must: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    edits: bool = False  # its change in the working tree is the program's `patch`


ROLES: Mapping[str, Role] = {
    "coder": Role(
        "You change code. Read what you need, make the smallest change that does the task, run the"
        " tests, and finish with its `title`. What you changed in the working tree is proposed.",
        (*READING, *EDITING),
        decides=("title",),
        must=("title",),
        settled=("patch", "fixes", "revert"),
        edits=True,
    ),
    "tester": Role(
        "You decide how a commit is tested. Look at how the repository runs its tests and finish"
        " with the `command` that runs those which the task is about. It is run after you finish;"
        " its figures are the report.",
        READING,
        decides=("command",),
        must=("command",),
        settled=("command",),
    ),
    "researcher": Role(
        "You decide what a folder of documents is asked. Finish with a `question` in the words that"
        " its sentences are likely to use. The claims that answer it are taken from the documents,"
        " word for word, after you finish.",
        ("recall",),
        decides=("question", "claims_max"),
        must=("question",),
    ),
    "retriever": Role(
        "You decide what memory is asked. Try queries with `recall`, and finish with the `query`"
        " that brings what the task needs.",
        ("recall",),
        decides=("query", "k"),
        must=("query",),
    ),
    "documenter": Role(
        "You write a report. Read what it is about and finish with its `sections`, each with a"
        " heading and a text, in plain words, saying only what you have read.",
        READING,
        decides=("sections",),
        must=("sections",),
        settled=("style",),
    ),
    # Whether an action can be undone is not for a model to say: each waits for a person.
    "devops": Role(
        "You decide how operations are looked at, or what is done. Read what is known and finish"
        " with the `checks` that show what the task asks for, or with one `action` or `setting`. Checks"
        " run after you finish; the others wait for a person who sees them byte for byte.",
        READING,
        decides=("checks", "action", "setting"),
        either=("checks", "action", "setting"),
        settled=("checks", "action", "setting"),
    ),
}


def thinks(agent: str) -> bool:
    """Whether a model is configured for this very role."""
    return agent in ROLES and agent in models.profiles()


def run(agent: Agent, brief: Brief, ports: Ports) -> Report:
    """By the model and the program, or by the program alone; the report says which."""
    if agent.name not in ROLES:
        return agent.run(brief, ports)
    role = ROLES[agent.name]
    edited = any(answer.get("decision") == "edit" for answer in brief.answers)
    if edited or any(name in brief.inputs for name in role.settled) or not thinks(agent.name):
        return replace(agent.run(brief, ports), ran={"agent": agent.name, "by": "program"})
    persona = _persona(agent, role)
    report = _thought(agent, role, persona, brief, ports)
    ran = {"agent": agent.name, "by": "model", "hash": persona.facts_hash}
    return replace(report, ran=ran)


def _persona(agent: Agent, role: Role) -> Persona:
    known = agent.inputs_schema["properties"]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: known[name] for name in role.decides},
        "required": list(role.must),
        "additionalProperties": False,
        **({"oneOf": [{"required": [name]} for name in role.either]} if role.either else {}),
    }
    return Persona(agent.name, agent.description, role.prompt, role.tools, output_schema=schema)


def _thought(agent: Agent, role: Role, persona: Persona, brief: Brief, ports: Ports) -> Report:
    own = persona.on(brief)
    kit = Kit.of(own, ports, within=grants_of(role.tools))
    loop = Loop(kit.brief, ports, kit.tools, persona.handed_in, Journal.of(brief, ports))
    said = loop.run()
    if said.outcome is not Outcome.DONE:
        return said
    decided = {**brief.inputs, **said.output}
    if role.edits and kit.bench is not None and kit.bench.state != kit.bench.base:
        bench = kit.bench
        decided["patch"] = bench.repository.diff(bench.base, bench.state)
    elif role.edits:
        report = Work.of(brief, ports).report("")  # no tool makes up for what was not changed
        return replace(report, usage=said.usage, proposals=said.proposals)
    report = agent.run(replace(brief, inputs=decided), ports)
    return replace(
        report,
        usage=said.usage + report.usage,
        proposals=(*said.proposals, *report.proposals),
    )
