"""Policies in the console: a superuser adds versions, and nobody edits one."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.api.people import person
from tests.permissions.test_console_matrix import form_of
from verification import policies
from verification.models import PolicyVersion
from verification.policyform import begun_from

pytestmark = pytest.mark.django_db

PAGE = "admin:agentsys_verification_policyversion_"
RULES = {"rules": [{"kind": "change", "required": ["execution"]}]}


def console(name: str, **rights: bool) -> Client:
    client = Client()
    client.force_login(person(name, is_staff=True, **rights))
    return client


def added(client: Client, document: object, reason: str = "because") -> int:
    given = {"document": json.dumps(document), "reason": reason}
    return client.post(reverse(f"{PAGE}add"), given).status_code


def test_a_version_is_added_with_who_and_why_and_the_next_begins_with_it() -> None:
    root = console("root", is_superuser=True)
    assert added(root, RULES) == 302
    row = PolicyVersion.objects.get()
    assert (row.document, row.made_by, row.reason) == (RULES, "root", "because")
    assert "execution" in root.get(reverse(f"{PAGE}add")).content.decode()
    assert "because" in root.get(reverse(f"{PAGE}changelist")).content.decode()


def test_what_is_wrong_with_a_document_is_said_and_nothing_is_written() -> None:
    root = console("root", is_superuser=True)
    page = root.post(
        reverse(f"{PAGE}add"),
        {"document": '{"rules": [{"required": ["shema"]}]}', "reason": "x"},
    )
    assert "did you mean `schema`?" in page.content.decode()
    assert added(root, RULES, reason="") == 200
    assert PolicyVersion.objects.count() == 0


def test_a_version_is_never_edited_or_deleted() -> None:
    root = console("root", is_superuser=True)
    added(root, RULES)
    row = PolicyVersion.objects.get()
    page = reverse(f"{PAGE}change", args=[row.pk])
    assert root.get(page).status_code == 200
    assert root.post(page, {"document": '{"rules": []}', "reason": "y"}).status_code == 403
    assert root.post(reverse(f"{PAGE}delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert PolicyVersion.objects.get().document == RULES


# --- By fields -----------------------------------------------------------------------------------

WHOLE = {
    "rules": [
        {
            "kind": "change",
            "required": ["semantic", "execution"],
            "quorum": 1,
            "voters": {},
            "votes_min": {"consensus": 2.5},
            "person": False,
            "forbid": [
                {"in": "path", "match": "infra/**", "say": "devops changes it: ask"},
                {"in": "command", "match": "curl x | sh"},
            ],
        },
        {"risk": "irreversible", "required": ["consensus"], "voters": {"consensus": 5}},
        {"kind": "plan", "person": True, "rounds_max": 3},
    ],
    "order": ["schema", "safety"],
    "advisory": [],
}


def in_force(document: object = None) -> object:
    if document is not None:
        policies.policy_add(document, by="tester", reason="as it was")
    return PolicyVersion.objects.latest("version").document


def form(client: Client, **changed: Any) -> dict[str, Any]:
    """What a browser sends of the page as it is shown; a browser sends line breaks as CR LF."""
    shown = form_of(client.get(reverse(f"{PAGE}add")))
    sent = {**shown, "reason": "because", **changed}
    return {
        name: value.replace("\n", "\r\n") if isinstance(value, str) else value
        for name, value in sent.items()
        if value != "(off)"
    }


def by_fields(client: Client, **changed: Any) -> str:
    """What the page says; "" where it was taken. `rule_0_kind` is the field `rule-0-kind`."""
    named = {re.sub(r"^rule_(\d+)_", r"rule-\1-", name): value for name, value in changed.items()}
    response = client.post(reverse(f"{PAGE}add"), form(client, **named))
    return "" if response.status_code == 302 else html.unescape(response.content.decode())


@pytest.fixture
def root() -> Client:
    return console("root", is_superuser=True)


def test_a_form_that_is_sent_as_it_is_shown_changes_nothing_of_the_document(root):
    in_force(WHOLE)
    assert by_fields(root) == ""
    assert in_force() == WHOLE


def test_a_field_changes_what_it_is_about_and_nothing_else_is_lost(root):
    in_force(WHOLE)
    assert by_fields(root, rule_1_voters="consensus=7, semantic=2", order="safety") == ""
    first, second, third = WHOLE["rules"]
    voters = {"consensus": 7, "semantic": 2}
    assert in_force() == {
        "rules": [first, {**second, "voters": voters}, third],
        "order": ["safety"],
        "advisory": [],
    }


def test_every_field_of_a_rule_can_be_set_and_taken_away(root):
    in_force(RULES)
    forbid = "path: infra/**\n> devops changes it\ntext: password = "
    said = by_fields(
        root,
        rule_1_kind="plan",
        rule_1_risk="write",
        rule_1_required=["schema", "safety"],
        rule_1_quorum="1",
        rule_1_voters="schema=2",
        rule_1_votes_min="consensus=1.5",
        rule_1_person="on",
        rule_1_rounds_max="4",
        rule_1_forbid=forbid,
        advisory="semantic",
    )
    assert said == ""
    made = {
        "kind": "plan",
        "risk": "write",
        "required": ["safety", "schema"],
        "quorum": 1,
        "voters": {"schema": 2},
        "votes_min": {"consensus": 1.5},
        "person": True,
        "rounds_max": 4,
        "forbid": [
            {"in": "path", "match": "infra/**", "say": "devops changes it"},
            {"in": "text", "match": "password ="},
        ],
    }
    after = in_force()
    after["rules"][1]["required"].sort()
    assert after == {"rules": [*RULES["rules"], made], "advisory": ["semantic"]}
    taken = {"quorum": "", "voters": "", "votes_min": "", "rounds_max": "", "forbid": ""}
    off = {f"rule_1_{name}": value for name, value in {**taken, "person": "(off)"}.items()}
    assert by_fields(root, rule_0_kind="", advisory="", **off) == ""
    kept = {name: made[name] for name in ("kind", "risk", "required")}
    after = in_force()
    after["rules"][0]["required"].sort()
    assert after == {"rules": [kept]}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("rule-0-quorum", "5", "quorum is 5; expected 1 to 1"),
        ("rule-0-voters", "shema=2", "did you mean `schema`?"),
        ("rule-0-voters", "many", "is no NAME=NUMBER"),
        ("rule-0-rounds_max", "101", "less than or equal to 100"),
        ("rule-0-forbid", "infra/**", "begins with none of path:, command:, text:"),
        ("rule-0-forbid", "path: x", "expected a glob"),
        ("rule-1-person", "on", "Choose what the rule is for"),
        ("rule-1-kind", "plan", "asks for nothing"),
        ("order", "shema", "did you mean `schema`?"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_is_written(root, field, value, said):
    in_force(RULES)
    response = root.post(reverse(f"{PAGE}add"), form(root, **{field: value}))
    errors = response.context["adminform"].form.errors
    place = "rule-1-kind" if field == "rule-1-person" else field
    assert set(errors) == {place}
    assert said in " ".join(errors[place])
    assert PolicyVersion.objects.count() == 1


def test_what_a_field_cannot_say_is_kept_and_edited_as_json(root):
    odd = {"in": "text", "match": "two\nlines"}
    document = {"rules": [{"kind": "change", "forbid": [odd], "rounds_max": 2}]}
    in_force(document)
    page = root.get(reverse(f"{PAGE}add")).content.decode()
    assert "It holds what this field cannot say" in page
    assert by_fields(root, rule_0_rounds_max="5", rule_0_forbid="path: infra/**") == ""
    assert in_force() == {"rules": [{**document["rules"][0], "rounds_max": 5}]}
    assert by_fields(root, document=json.dumps(RULES)) == ""
    assert in_force() == RULES


def test_json_and_fields_are_not_both_believed(root):
    in_force(RULES)
    said = by_fields(root, document='{"rules": []}', order="schema")
    assert "changed as JSON and by fields, too" in said
    assert in_force() == RULES


def test_nobody_undoes_a_version_that_was_put_in_force_meanwhile(root):
    in_force(RULES)
    sent = form(root, order="schema")
    in_force(WHOLE)
    response = root.post(reverse(f"{PAGE}add"), sent)
    assert "was put in force after you began" in response.content.decode()
    assert PolicyVersion.objects.count() == 2


def test_a_versions_page_says_what_it_changed(root):
    in_force(RULES)
    by_fields(root, rule_0_rounds_max="5")
    row = PolicyVersion.objects.latest("version")
    page = html.unescape(root.get(reverse(f"{PAGE}change", args=[row.pk])).content.decode())
    assert '+      "rounds_max": 5' in page
    assert '-      "kind"' not in page


def test_others_neither_see_nor_add_policies() -> None:
    staff = console("staff")
    assert staff.get(reverse(f"{PAGE}changelist")).status_code == 403
    assert added(staff, RULES) == 403
    assert PolicyVersion.objects.count() == 0


@pytest.mark.parametrize("base", ["9" * 5000, "٣", "-1", "", "\x00"])
def test_a_form_that_says_nonsense_of_where_it_began_begins_with_the_latest(base: str) -> None:
    assert begun_from({"base": base}) == policies.policy_latest()
