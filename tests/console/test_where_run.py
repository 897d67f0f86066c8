"""Who decides on an action, or looks at its effect, reads where it is run and what is kept of it."""

from __future__ import annotations

import pytest
from django.urls import reverse

from orchestration.models import Proposal
from tests.api.people import goal, held, person
from tests.console.test_pages import ADMIN, console
from workers.actions import action_apply

pytestmark = pytest.mark.django_db

THROWN_AWAY = "What it writes is not kept"
WHERE = "It is run in the sandbox"


@pytest.fixture
def client():
    return console(person("ada", "admin", is_staff=True, is_superuser=True))


def text(client, model, pk):
    response = client.get(reverse(f"{ADMIN}{model}_change", args=[pk]))
    assert response.status_code == 200
    return response.content.decode()


def test_a_request_and_its_proposal_say_that_what_an_action_writes_is_not_kept(client):
    row = held(goal())
    for model, pk in (("approvalrequest", row.pk), ("proposal", row.proposal_id)):
        said = text(client, model, pk)
        assert WHERE in said
        assert THROWN_AWAY in said
        assert "It has no network." in said


def test_folders_that_an_action_may_write_to_are_named_and_what_it_writes_there_is_kept(client):
    row = held(goal(), payload={"argv": ["touch", "x"], "writable": ["/srv/site"], "network": True})
    said = text(client, "approvalrequest", row.pk)
    assert "what it writes into these folders is: <code>/srv/site</code>." in said
    assert THROWN_AWAY not in said
    assert "It has the network." in said


def test_a_change_of_files_is_run_nowhere(client):
    row = held(goal(), payload={"argv": "no command"})
    Proposal.objects.filter(pk=row.proposal_id).update(kind="change")
    assert WHERE not in text(client, "approvalrequest", row.pk)


def test_an_effect_says_where_it_was_run(client, tmp_path):
    row = held(goal())
    assert WHERE not in text(client, "attempt", row.attempt_id)
    action_apply(
        {"argv": ["true"]}, key="proposal-1", attempt_id=row.attempt_id, fence=0, workspace=tmp_path
    )
    said = text(client, "attempt", row.attempt_id)
    assert WHERE in said
    assert THROWN_AWAY in said
