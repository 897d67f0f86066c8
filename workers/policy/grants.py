"""What a task may use: tools by name, each with bounds on its arguments and hosts.

A grant can only be narrowed: what a task hands on to another is never more than it has.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from workers.contracts import ToolGrant


def grants_of(rows: Sequence[Any] | None) -> tuple[ToolGrant, ...] | None:
    """The `tools` of a definition; None where it names none, which is the agent's usual set."""
    return None if rows is None else tuple(_grant(row) for row in rows)


def _grant(row: Any) -> ToolGrant:
    if isinstance(row, str):
        return ToolGrant(row)
    return ToolGrant(
        name=row["name"],
        args=(row["args"],) if row.get("args") else (),
        hosts=None if row.get("hosts") is None else tuple(row["hosts"]),
        ask=bool(row.get("ask", True)),
    )


def row_of(grant: ToolGrant) -> Any:
    """A grant as a definition's `tools` have it."""
    if grant == ToolGrant(grant.name):
        return grant.name
    row: dict[str, Any] = {"name": grant.name, "ask": grant.ask}
    if grant.hosts is not None:
        row["hosts"] = list(grant.hosts)
    if grant.args:
        row["args"] = {"allOf": list(grant.args)} if len(grant.args) > 1 else dict(grant.args[0])
    return row


def narrowed(
    parent: Sequence[ToolGrant] | None, child: Sequence[ToolGrant] | None
) -> tuple[ToolGrant, ...] | None:
    """What the child gets of what it asks for: never more than the parent has."""
    if parent is None:
        return None if child is None else tuple(child)
    if child is None:
        return tuple(parent)
    have = {grant.name: grant for grant in parent}
    return tuple(_both(have[want.name], want) for want in child if want.name in have)


def _both(have: ToolGrant, want: ToolGrant) -> ToolGrant:
    return ToolGrant(
        name=have.name,
        args=(*have.args, *(schema for schema in want.args if schema not in have.args)),
        hosts=_hosts(have.hosts, want.hosts),
        ask=have.ask or want.ask,
    )


def _hosts(have: tuple[str, ...] | None, want: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if have is None or want is None:
        return want if have is None else have
    return tuple(
        pattern
        for pattern in want
        if pattern in have or (not pattern.startswith("*.") and host_matches(pattern, have))
    )


def host_matches(host: str, patterns: Sequence[str]) -> bool:
    """Exact names, and `*.example.org` for all below it. An address is never below a name."""
    host = host.casefold().rstrip(".")
    for pattern in patterns:
        wanted = pattern.casefold().rstrip(".")
        if host == wanted:
            return True
        if wanted.startswith("*.") and host.endswith(wanted[1:]) and not _is_address(host):
            return True
    return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def fixed(schemas: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a person wrote down the very values that this argument may have."""
    for schema in schemas:
        bounds = schema.get("properties", {}).get(name, {})
        if isinstance(bounds, Mapping) and ("const" in bounds or "enum" in bounds):
            return True
    return False
