"""A playbook that was learned, as who decides on it sees it: laid out, and agents' words as quotes."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from orchestration.models import ApprovalRequest
from tests.api.people import goal, person
from tests.console.test_pages import ADMIN, console
from tests.orchestration.test_reflection import offered, two

RLO = "\u202e"


@pytest.fixture
def client(db):
    return console(person("root", is_staff=True, is_superuser=True))


def page(client, row):
    return client.get(reverse(f"{ADMIN}approvalrequest_change", args=[row.pk])).content.decode()


def words(text):
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.mark.django_db(transaction=True)
def test_what_two_goals_teach_is_laid_out_with_its_evidence(client):
    goals = two()
    row = offered()
    text = page(client, row)
    said = words(text.split("What it was learned from")[1].split("The exact text")[0])
    for each, word in zip(goals, ("hello", "goodbye"), strict=True):
        assert reverse(f"{ADMIN}goal_change", args=[each.pk]) in text
        assert word in said
    assert "Of goals of this shape 2 succeeded and 0 failed" in said
    for step in ("one by noop", "two by noop, needs one"):
        assert step in said, said
    for name in row.context["playbook"]["parameters"]:
        assert f"<code>{name}</code>" in text
    assert row.action_hash in text
    assert '"of_this_shape"' not in text, "the context is not shown as JSON"


@pytest.mark.django_db
def test_agents_words_are_quotes_and_show_what_cannot_be_seen(client):
    playbook = {
        "name": "greet",
        "version": 2,
        "objective": f"Greet <b>all</b>{RLO}",
        "description": "Approve & go",
        "parameters": {
            "word": {"type": "string", "required": True, "description": "<i>what</i>"},
            "again": {"type": "int", "default": 3},
        },
        "phases": [
            {
                "name": "all",
                "tasks": [
                    {"key": "list", "agent": "noop", "objective": "Find them"},
                    {
                        "key": "each",
                        "agent": "collect",
                        "objective": "<script>alert(1)</script>",
                        "depends_on": ["list"],
                        "verify": {"required": ["schema", "safety"]},
                        "fan_out": {"over": "${tasks.list.output}"},
                        "approval": {"required": True},
                    },
                ],
            }
        ],
    }
    row = ApprovalRequest.objects.create(
        goal=goal(),
        kind="playbook",
        question="Keep it?",
        risk="write",
        allowed=["approve", "reject"],
        action_hash="a" * 64,
        context={
            "playbook": playbook,
            "form": "f",
            "goals": [],
            "of_this_shape": {"succeeded": 1, "failed": 0},
            "improves": {"name": "greet", "version": 1, "why": "it took <fewer> steps"},
        },
    )
    text = page(client, row)
    quoted = "".join(re.findall(r"<(?:q|blockquote)\b.*?</(?:q|blockquote)>", text, re.DOTALL))
    assert "Greet &lt;b&gt;all&lt;/b&gt;" in quoted
    assert "U+202E" in quoted
    assert "Approve &amp; go" in quoted
    assert "&lt;script&gt;alert(1)" in quoted
    assert "&lt;i&gt;what" in quoted
    assert RLO not in text
    assert "<script>alert" not in text
    said = words(text)
    assert "It improves version 1: it took &lt;fewer&gt; steps." in said
    assert "once for each of a list, needs list, verified by schema, safety" in said
    assert "a person approves" in said
    assert "must be given" in said
