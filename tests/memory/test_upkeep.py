"""`memory consolidate|audit|forget --subject|simulate|prune` speak as the other verbs do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from agentsys.kernel.errors import BadInput
from memory import services as memory

pytestmark = pytest.mark.django_db


def said(*words: str) -> str:
    out = StringIO()
    call_command("memory", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def told(*words: str) -> Any:
    return json.loads(said(*words, "--json"))


def test_digests_are_written_for_all_that_is_over_and_shown() -> None:
    at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    memory.remember(
        "project-1", "episodic", "Keller sold pump 7 to Basel", occurred_at=at, session="call"
    )
    (planned,) = told("consolidate", "--until", "2026-02-10", "--dry-run")
    assert [d["period"] for d in planned["written"]] == ["2026-01-05 call"]
    (done,) = told("consolidate", "--namespace", "project-1", "--until", "2026-02-10")
    assert [(d["level"], d["period"]) for d in done["written"]] == [
        (1, "2026-01-05 call"), (2, "2026-01-05"), (3, "2026-W02"), (4, "2026-01"),
    ]  # fmt: skip
    with pytest.raises(BadInput, match="expected a date"):
        said("consolidate", "--until", "soon")


def test_an_audit_names_what_is_wrong() -> None:
    ids = [
        memory.remember("project-1", "semantic", "Keller sold pump 7", trust=trust)
        for trust in ("verified", "unverified")
    ]
    (found,) = told("audit")
    assert (found["live"], found["junk"]) == (2, 0.5)
    assert found["findings"][0] == {
        "what": "exact duplicates", "rows": 1, "share": 0.5, "ids": [ids[1]],
    }  # fmt: skip
    assert "recall loops" in said("audit", "--namespace", "project-1")


def test_a_subject_is_forgotten_with_a_proof() -> None:
    memory.remember("project-1", "semantic", "Greta Weiss sold pump 7")
    words = ("forget", "--subject", "Greta Weiss", "--namespace", "project-1", "--reason", "asked")
    assert len(told(*words, "--dry-run")["memories"]) == 1
    proof = told(*words)
    assert (len(proof["memories"]), proof["left"], proof["found"]) == (1, 0, [])
    assert "backups_until" in proof


@pytest.mark.parametrize(
    "words",
    [
        ("forget", "--reason", "x"),
        ("forget", "7", "--subject", "Ann", "--reason", "x"),
        ("forget", "--subject", "Ann", "--reason", "x"),
        ("forget", "7", "--dry-run", "--reason", "x"),
        ("simulate", "--days", "0"),
        ("prune", "project-1", "--rows-max", "-1"),
        ("consolidate", "--until", "soon"),
        ("consolidate", "--until", "0001-01-01T00:00+23:59"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...]) -> None:
    memory.remember("project-1", "semantic", "Greta Weiss sold pump 7")
    with pytest.raises(BadInput):
        said(*words)
