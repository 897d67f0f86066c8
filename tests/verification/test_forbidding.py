"""What a policy forbids is found where it says, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from verification.contracts import Forbidden
from verification.domain.forbidding import forbidden_in

REPORT: dict[str, Any] = {
    "summary": "Cleaned up the Billing tables",
    "output": {
        "note": "see infra/prod.tf",
        "hidden": "the ｓｅｃ\u200bret\n\tplan",
        "argv": ["psql", "-c", "DROP   TABLE invoices"],
    },
    "claims": [{"text": "The contract ends in May", "quote": "a secret merger"}],
    "proposals": [
        {"kind": "change", "payload": {"paths": ["infra/prod.tf", "src/a.py"]}},
        {"kind": "action", "payload": {"argv": ["kubectl", "delete", "ns"], "why": "old"}},
    ],
}


@pytest.mark.parametrize(
    ("place", "match", "found"),
    [
        ("path", "infra/**", ["`infra/prod.tf`"]),
        ("path", "infra", ["`infra/prod.tf`"]),
        ("path", "*.tf", []),  # a star stays within a folder
        ("path", "docs/**", ["`docs/x.md`"]),  # only git said so
        ("command", "drop table", ["output.argv"]),
        ("command", "kubectl  DELETE", ["proposal 2.argv"]),
        ("text", "secret plan", ["output.hidden"]),
        ("command", "billing", []),
        ("text", "billing tables", ["summary"]),
        ("text", "ends in may", ["claim 1"]),
        ("text", "merger", []),  # a source may say anything
        ("text", "infra/prod", ["output.note", "proposal 1.paths[0]"]),
    ],
)
def test_it_is_looked_for_where_the_rule_says(place: str, match: str, found: list[str]) -> None:
    said = list(forbidden_in(REPORT, [Forbidden(place, match)], ["docs/x.md"]))
    assert [sentence.split(": ")[0] for sentence in said] == found
    assert all(f"policy forbids `{match}`" in sentence for sentence in said)


def test_the_reason_is_the_policys_own() -> None:
    rule = Forbidden("path", "infra/**", "devops changes it")
    assert list(forbidden_in(REPORT, [rule])) == ["`infra/prod.tf`: devops changes it"]
