"""From a call to the facts about it: grants, bounds on arguments, scopes, provenance."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentsys.gateway import violations
from workers.contracts import Brief, Owner, Risk, ScopeGrant, ToolGrant
from workers.patterns import matches, owned_by_others, write_patterns
from workers.policy.deciding import Facts
from workers.policy.grants import fixed, host_matches
from workers.policy.kinds import Kind, leaves
from workers.policy.provenance import Provenance, host_of


@dataclass(frozen=True, slots=True)
class Rule:
    """What whoever installed a tool says about it."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    risk: Risk = Risk.READ
    repeatable: bool = True
    proposes: bool = False
    approvable: bool = False
    hosts: tuple[str, ...] | None = None  # None: the installation bounds no hosts


@dataclass(slots=True)
class Policy:
    """One task's: `grants` None gives every tool that the agent offers."""

    grants: Mapping[str, ToolGrant] | None
    scopes: tuple[ScopeGrant, ...]
    provenance: Provenance
    owners: tuple[Owner, ...] = ()

    @classmethod
    def of(cls, brief: Brief) -> Policy:
        grants = None if brief.tools is None else {g.name: g for g in brief.tools}
        provenance = Provenance(people_said(brief), came_from_elsewhere(brief))
        return cls(grants, brief.scopes, provenance, brief.owners)

    def offers(self, name: str) -> bool:
        return self.grants is None or name in self.grants

    def facts(self, rule: Rule, args: Mapping[str, Any]) -> Facts:
        """`said` and `asks_left` are for the caller to fill in."""
        grant = (self.grants or {}).get(rule.name, ToolGrant(rule.name))
        wrong = violations(dict(args), rule.parameters)
        for bounds in grant.args if not wrong else ():
            wrong = wrong or [
                f"{p} (the task's own bounds)" for p in violations(dict(args), bounds)
            ]
        hosts = _hosts(rule, grant)
        return Facts(
            tool=rule.name,
            offered=self.offers(rule.name),
            wrong=tuple(wrong),
            outside=() if wrong else tuple(self._outside(rule, args, hosts)),
            tainted=() if wrong else tuple(self._tainted(rule, grant, args, hosts or ())),
            risk=rule.risk,
            repeatable=rule.repeatable,
            proposes=rule.proposes,
            approvable=rule.approvable,
            unasked=not grant.ask,
        )

    def _outside(
        self, rule: Rule, args: Mapping[str, Any], hosts: Sequence[str] | None
    ) -> Iterable[str]:
        for name, kind in rule.kinds.items():
            for text in leaves(args.get(name)):
                if kind in (Kind.PATH, Kind.WRITE_PATH) and (why := path_problem(text)):
                    yield f"`{name}` {text[:100]!r} {why}"
                elif kind is Kind.WRITE_PATH and not matches(text, write_patterns(self.scopes)):
                    named = ", ".join(write_patterns(self.scopes)) or "none"
                    yield f"`{name}` {text[:100]!r} is outside of the write scopes ({named})"
                elif kind is Kind.WRITE_PATH and (why := owned_by_others(text, self.owners)):
                    yield why
                elif (
                    kind is Kind.URL
                    and hosts is not None
                    and not host_matches(host_of(text), hosts)
                ):
                    yield f"the host of {text[:100]!r} is not granted ({', '.join(hosts) or 'none'})"

    def _tainted(
        self, rule: Rule, grant: ToolGrant, args: Mapping[str, Any], hosts: Sequence[str]
    ) -> Iterable[str]:
        for name, kind in rule.kinds.items():
            if name in args and not fixed(grant.args, name):
                granted = hosts if kind in (Kind.URL, Kind.COMMAND, Kind.MESSAGE) else ()
                if self.provenance.tainted(args[name], kind, granted):
                    yield name


def path_problem(path: str) -> str:
    """Why a path is none of a file in the repository; "" when it is."""
    if not path or path in (".", "./"):
        return "names no file"
    if "\0" in path or "\\" in path or any(ord(c) < 32 for c in path):
        return "holds characters that no path here has"
    if path.startswith(("/", "~")):
        return "is absolute; paths count from the top of the repository"
    if posixpath.normpath(path) != path or path.startswith(".."):
        return "is not in its shortest form; write it without `.`, `..` and doubled slashes"
    if any(part.rstrip(". ").casefold() in (".git", "git~1") for part in path.split("/")):
        return "leads into git's own folder"
    return ""


def people_said(brief: Brief) -> list[str]:
    """Texts that people wrote: what they name is named."""
    task = [brief.objective, *brief.acceptance, *brief.non_goals, *leaves(brief.stated)]
    return [
        *leaves(brief.contract),
        *brief.directives,
        *(task if brief.authored else ()),
        *(str(a.get("reason") or "") for a in brief.answers),
        *(text for a in brief.answers for text in leaves(a.get("payload"))),
    ]


def came_from_elsewhere(brief: Brief) -> list[str]:
    """Texts in the brief that others wrote: outputs, memory, notes, reasons that quote them."""
    same = brief.authored and brief.inputs == brief.stated
    resolved = [] if same else [brief.objective, *leaves(brief.inputs)]
    return [
        *leaves({k: v for k, v in brief.needs.items() if v is not None}),
        *(m.text for m in brief.recalled),
        *(text for note in brief.board for text in (note.key, note.text)),
        *brief.reasons,
        *resolved,
    ]


def _hosts(rule: Rule, grant: ToolGrant) -> tuple[str, ...] | None:
    """The hosts that installation and task both allow; None where neither bounds any."""
    if rule.hosts is None or grant.hosts is None:
        return rule.hosts if grant.hosts is None else grant.hosts
    return tuple(h for h in grant.hosts if h in rule.hosts or host_matches(h, rule.hosts))
