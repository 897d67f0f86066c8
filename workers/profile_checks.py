"""What keeps a profile from being an agent, by field, each with the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from agentsys.gateway import GatewayError, roles, schema_problem
from agentsys.gateway.redaction import redacted
from workers import registry
from workers.personas import Persona, limit_problem
from workers.tools.kit import tool_names
from workers.tools.output import READ_MORE

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
SCHEMA_CHARS_MAX = 20_000


def problems_of(persona: Persona, *, new: bool) -> dict[str, list[str]]:
    """Sentences by field; {} when it can run. `new`: its name is not its own yet."""
    found: dict[str, list[str]] = {}
    for field, problem in (
        *_name(persona.name, new),
        *_prompt(persona.prompt),
        *_tools(persona.tools),
        *_model(persona.model),
        *((name, p) for name, n in persona.limits.items() if (p := limit_problem(name, n))),
        *_schema("inputs_schema", persona.inputs_schema),
        *_schema("output_schema", persona.output_schema),
        *_secrets(persona),
    ):
        found.setdefault(field, []).append(problem)
    return found


def _name(name: str, new: bool) -> Iterator[tuple[str, str]]:
    if not NAME.fullmatch(name):
        yield (
            "name",
            (
                f"`{name[:60]}` is not usable: begin with a lower-case letter, go on with lower-case"
                " letters, digits, - and _, 40 at most"
            ),
        )
    elif name in registry.BUILT_IN or (new and name in registry.names()):
        yield "name", f"`{name}` is an agent that comes with the code; choose another name"


def _prompt(prompt: str) -> Iterator[tuple[str, str]]:
    if not prompt.strip():
        yield "prompt", "it is empty; say what the agent does, and how"
    if "\0" in prompt:
        yield "prompt", "it holds a NUL character; take it out"


def _tools(tools: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    known = {*tool_names(), READ_MORE}
    for name in tools:
        if not isinstance(name, str) or name not in known:
            close = get_close_matches(str(name), known, n=1)
            hint = f"did you mean `{close[0]}`? " if close else ""
            listed = ", ".join(sorted(known))
            yield "tools", f"there is no tool `{str(name)[:60]}`; {hint}There are: {listed}"


def _model(model: str) -> Iterator[tuple[str, str]]:
    if not model:
        return
    if ":" in model:
        try:
            roles.chain_needed("", model)
        except GatewayError as error:
            yield "model", str(error)
        return
    known = sorted(set(roles.profiles()) - {"*"})
    if model not in known:
        yield (
            "model",
            (
                f"there is no model profile for the role `{model[:60]}`; there are"
                f" {', '.join(known) or 'none'}. Add one to the console, or name PROVIDER:NAME"
            ),
        )


def _schema(field: str, schema: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(schema, Mapping):
        yield field, 'it is no JSON object; such as {"type": "object", "required": ["text"]}'
        return
    if len(json.dumps(schema)) > SCHEMA_CHARS_MAX:
        yield field, f"it is longer than {SCHEMA_CHARS_MAX} characters; keep what is needed"
        return
    if problem := schema_problem(schema):
        yield field, problem


def _secrets(persona: Persona) -> Iterator[tuple[str, str]]:
    """A prompt goes to a provider with every call, and its versions stay on record."""
    for field in ("description", "prompt", "model", "inputs_schema", "output_schema"):
        value = getattr(persona, field)
        text = value if isinstance(value, str) else json.dumps(value)
        if redacted(text) != text:
            shown = redacted(text).split("[redacted: ")[-1].split("]")[0]
            yield field, f"it holds what looks like a secret ({shown}); take it out"
