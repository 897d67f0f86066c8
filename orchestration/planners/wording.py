"""Better words for a learned playbook, where a model has the role `reflection`.

It may name and describe; what the playbook does is not its to say. Its answer is only wording, put
into the same definition, and the form is compared afterwards. What goals and agents wrote reaches
the model as material, and what the model wrote reaches a person before anything else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from agentsys.gateway import Meter, profile_for, structured
from agentsys.kernel.errors import AgentsysError
from orchestration.domain.reflection import form_of
from workers.prompts import marked

ROLE = "reflection"
SHOWN_MAX = 20_000
_TEXT = {"type": "string", "minLength": 1, "maxLength": 500}
_NAME = r"^[a-z0-9][a-z0-9-]{2,59}$"

log = structlog.get_logger(__name__)


def worded(
    definition: Mapping[str, Any], *, is_taken: Callable[[str], bool], meter: Meter
) -> dict[str, Any]:
    """The definition with a model's name, description and words for its parameters; as it is where
    there is no model, it does not answer, or its answer would change more than words."""
    told = dict(definition)
    try:
        if profile_for(ROLE) is None:
            return told
        said = structured(_messages(told), _schema(told), role=ROLE, meter=meter)
    except AgentsysError as error:  # no model, no budget, no usable answer: the plain words do
        log.warning("a learned playbook keeps its plain words", error=str(error)[:200])
        return told
    parameters = {
        name: {**row, "description": said["parameters"].get(name) or row["description"]}
        for name, row in told["parameters"].items()
    }
    changed = {**told, "description": said["description"], "parameters": parameters}
    if re.fullmatch(_NAME, said["name"]) and not is_taken(said["name"]):
        changed["name"] = said["name"]
    return changed if form_of(changed) == form_of(told) else told


def _schema(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["name", "description", "parameters"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": _NAME},
            "description": _TEXT,
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(definition["parameters"], _TEXT),
            },
        },
    }


def _messages(definition: Mapping[str, Any]) -> list[dict[str, str]]:
    told = (
        "Name a procedure that was made from goals that succeeded, and say in a sentence what it is"
        " for and when to use it. Say in a few words what each parameter is. You cannot change what"
        " it does."
    )
    shown = json.dumps(definition, ensure_ascii=False, sort_keys=True)
    return [
        {"role": "system", "content": told},
        {"role": "user", "content": marked(shown, most=SHOWN_MAX)},
    ]
