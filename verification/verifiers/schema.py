"""Does the output have the form that was promised? The envelope always, a JSON Schema if declared.

Two schemas may apply: the task's own (`output_schema`) and the one of its agent. With neither,
only the envelope is checked, and the evidence says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from agentsys.kernel.hashing import canonical_of_plain
from verification.contracts import Case, Kind, VerdictDraft
from verification.verifiers.base import Verifier

OUTPUT_BYTES_MAX = 256_000
VALUE_SHOWN = 80


class SchemaVerifier(Verifier):
    name = "schema"
    kind = Kind.SCHEMA

    def judge(self, case: Case) -> VerdictDraft:
        faults = list(envelope_faults(case))
        if faults:
            return self.fails(faults, evidence={"checked": ["envelope"]})
        schemas = _declared(case)
        if not schemas:
            return self.passes(evidence={"checked": ["envelope"], "note": "no schema declared"})
        evidence = {"checked": ["envelope", *schemas]}
        try:
            for schema in schemas.values():
                faults += violations(case.report["output"], schema)
        except (SchemaError, Unresolvable) as error:
            return self.breaks(f"the declared schema cannot be used: {_first_line(error)}")
        return self.fails(faults, evidence=evidence) if faults else self.passes(evidence=evidence)


def envelope_faults(case: Case) -> Iterator[str]:
    report = case.report
    if report.get("outcome") != "done":
        yield f"the report's outcome is {report.get('outcome')!r}; only `done` can be accepted"
    output = report.get("output")
    if not isinstance(output, Mapping):
        yield f"output is {_type(output)}; expected an object"
        return
    limits = case.definition.get("limits") or {}
    allowed = limits.get("output_bytes_max") or OUTPUT_BYTES_MAX
    size = len(json.dumps(output, ensure_ascii=False).encode("utf-8", "replace"))
    if size > allowed:
        yield f"output has {size:,} bytes of {allowed:,}: hand in big results as artifacts"


def violations(output: Any, schema: Mapping[str, Any]) -> list[str]:
    """A sentence for each place where `output` breaks `schema`, in document order.

    Raises SchemaError for a schema that is none, Unresolvable for a `$ref` outside of it.
    """
    validator = _validator(canonical_of_plain(schema))
    errors = sorted(validator.iter_errors(output), key=lambda e: [str(p) for p in e.absolute_path])
    return [_sentence(error) for error in errors]


@lru_cache(maxsize=256)
def _validator(schema_text: str) -> Draft202012Validator:
    """An empty registry: without one, jsonschema would fetch a remote `$ref` over the network."""
    schema = json.loads(schema_text)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=Registry())


def _declared(case: Case) -> dict[str, Mapping[str, Any]]:
    own = case.definition.get("output_schema")
    schemas = {"output_schema": own, "agent_schema": case.agent_schema}
    return {name: schema for name, schema in schemas.items() if schema}


def _sentence(error: ValidationError) -> str:
    path = "output" + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
    )
    return f"{path}: {_shown(error)}"


def _shown(error: ValidationError) -> str:
    """jsonschema's message repeats the whole value; long ones are cut in the middle."""
    message = error.message
    if len(message) <= 3 * VALUE_SHOWN:
        return message
    return f"{message[:VALUE_SHOWN]} … {message[-2 * VALUE_SHOWN :]}"


def _first_line(error: Exception) -> str:
    message = error.message if isinstance(error, SchemaError) else str(error)
    return message.splitlines()[0][:200] if message else type(error).__name__


def _type(value: Any) -> str:
    names = {type(None): "null", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")
