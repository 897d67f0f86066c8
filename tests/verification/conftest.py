"""A valid case to judge, changed where a test needs it otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from verification.contracts import Case

MakeCase = Callable[..., Case]


@pytest.fixture
def make_case() -> MakeCase:
    """`artifacts` are (name, kind, text); everything else is a field of Case or of its report."""

    def make(
        *,
        output: Any = None,
        artifacts: tuple[tuple[str, str, str], ...] = (),
        claims: tuple[Mapping[str, Any], ...] = (),
        proposals: tuple[Mapping[str, Any], ...] = (),
        report: Mapping[str, Any] | None = None,
        definition: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Case:
        contents = {_sha(text): text.encode() for _, _, text in artifacts}
        facts = {
            "outcome": "done",
            "output": {"ok": True} if output is None else output,
            "artifacts": [
                {
                    "name": name,
                    "kind": kind,
                    "media_type": "text/plain",
                    "size": len(text.encode()),
                    "sha256": _sha(text),
                }
                for name, kind, text in artifacts
            ],
            "claims": list(claims),
            "proposals": list(proposals),
            "question": None,
            "failure": None,
            "usage": {},
            "summary": "",
        }
        given: dict[str, Any] = {
            "goal_id": 1,
            "task_id": 2,
            "attempt_id": 3,
            "fence": 1,
            "definition": {"agent": "command", "objective": "Do it.", **(definition or {})},
            "spec_hash": "s" * 64,
            "artifact_hash": "a" * 64,
            "report": {**facts, **(report or {})},
            "inputs": {},
            "blob": contents.__getitem__,
        }
        return Case(**{**given, **fields})

    return make


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
