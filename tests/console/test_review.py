"""A proposal's page: its diff both ways, the checks beside it, and the record of who decided what."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestration.domain.lives import ACTION_FAILED
from orchestration.models import ApprovalRequest, Goal, Proposal
from orchestration.services.approvals import approval_decide
from tests.api.people import goal, held, person
from tests.console.test_deciding import failed_verdict
from tests.console.test_pages import ADMIN, console

pytestmark = pytest.mark.django_db


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def change(tmp_path: Path) -> ApprovalRequest:
    """A request about a commit that changes one file and brings another."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "x.py").write_text("total = 1\nkeep = True\n")
    git(tmp_path, "add", "x.py")
    git(tmp_path, "commit", "-q", "-m", "start")
    base = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "branch", "agentsys/goal")
    (tmp_path / "x.py").write_text("total = 2\nkeep = True\n")
    (tmp_path / "y.py").write_text("<script>alert(1)</script>\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "change")
    commit = git(tmp_path, "rev-parse", "HEAD")
    row = held(
        goal(repository=str(tmp_path), branch="agentsys/goal"),
        payload={"commit": commit, "base": base, "paths": ["x.py", "y.py"]},
        quorum=2,
        risk="write",
    )
    Proposal.objects.filter(pk=row.proposal_id).update(kind="change", risk="write")
    return row


def page(client: Any, row: ApprovalRequest, **query: str) -> str:
    response = client.get(reverse(f"{ADMIN}proposal_change", args=[row.proposal_id]), query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def staff(name: str, role: str, **more: Any) -> Any:
    return console(person(name, role, is_staff=True, **more))


def test_a_diff_is_shown_one_below_the_other_with_numbers_and_addresses(change):
    text = page(staff("ada", "approver"), change)
    assert "2 files, 2 lines added, 1 removed" in text
    assert "<code>-total = 1</code>" in text
    assert '<td class="as-ln" id="f1-n1"><a href="#f1-n1">1</a></td>' in text
    assert '<details class="as-file" id="f2" open>' in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text


def test_a_diff_is_shown_side_by_side_with_what_differs_marked(change):
    text = page(staff("ada", "approver"), change, view="split")
    assert "as-split" in text
    assert "<code>-total = <u>1</u></code>" in text
    assert "<code>+total = <u>2</u></code>" in text
    assert "One below the other" in text
    assert "Side by side" in page(staff("amy", "approver"), change, view="nonsense")


def test_checks_stand_beside_the_diff_those_that_failed_unfolded(change):
    failed_verdict(change)
    text = page(staff("ada", "approver"), change)
    assert '<details class="as-check" open>' in text
    assert "veto" in text
    assert "U+202E" in text


def test_a_second_approver_is_asked_for_until_there_is_one(change):
    ada = person("ada", "approver", is_staff=True)
    client = console(ada)
    assert "Another approver is needed: 0 of 2 agree" in page(client, change)
    approval_decide(change.pk, user=ada, decision="approve", reason="reads well")
    assert "Another approver is needed: 1 of 2 agree" in page(client, change)
    approval_decide(change.pk, user=person("abe", "admin"), decision="approve")
    text = page(client, change)
    assert "Another approver" not in text
    assert "by ada" in text
    assert "reads well" in text
    assert "by abe" in text
    assert "Approve…" not in text


def test_answers_are_reached_from_the_proposal_and_chosen_on_arrival(change):
    client = staff("ada", "approver")
    place = reverse(f"{ADMIN}approvalrequest_change", args=[change.pk])
    assert f'href="{place}?do=reject#as-decide"' in page(client, change)
    text = client.get(place, {"do": "reject"}).content.decode()
    assert 'value="reject" required checked' in text
    assert "Approve…" not in page(staff("vera", "viewer"), change)


def test_a_branch_that_moved_is_said_before_anybody_decides(change):
    client = staff("ada", "approver")
    assert "has moved since" not in page(client, change)
    folder = Path(Goal.objects.get().repository)
    git(folder, "checkout", "-q", "agentsys/goal")
    git(folder, "commit", "-q", "--allow-empty", "-m", "another was faster")
    assert "agentsys/goal has moved since this was made" in page(client, change)
    request = client.get(reverse(f"{ADMIN}approvalrequest_change", args=[change.pk]))
    assert "has moved since" in request.content.decode()
    Proposal.objects.update(state="stale", reason="it conflicts in x.py")
    assert "it was not applied: it conflicts in x.py" in page(client, change)


def test_a_setting_that_moved_is_said():
    moved = held(
        goal(),
        proposed={"kind": "configuration", "base_hash": "of another value"},
        payload={"setting": "policy.x", "old": None, "new": 1, "diff": "-null\n+1\n", "why": ""},
    )
    assert "policy.x was changed since this was made" in page(staff("ada", "admin"), moved)


def test_after_the_decision_the_record_is_only_read(change):
    ada = person("ada", "approver", is_staff=True)
    approval_decide(change.pk, user=ada, decision="reject", reason="not like this")
    client = console(ada)
    text = page(client, change)
    assert "not like this" in text
    assert "by ada" in text
    assert "<form" not in text.split('class="as-page"')[1].split("</main>")[0]
    url = reverse(f"{ADMIN}proposal_change", args=[change.proposal_id])
    assert client.post(url, {"title": "another"}).status_code in (200, 403)
    assert Proposal.objects.get().title == "Remove the build folder"


def test_a_proposals_page_costs_the_same_however_much_was_decided(change):
    client = staff("ada", "approver")
    page(client, change)
    with CaptureQueriesContext(connection) as few:
        page(client, change)
    ApprovalRequest.objects.filter(pk=change.pk).update(
        state="withdrawn", decided_at=timezone.now()
    )
    for number in range(5):
        again = ApprovalRequest.objects.create(
            goal=change.goal, task=change.task, attempt=change.attempt, proposal=change.proposal,
            kind="proposal", question=f"again {number}", allowed=["approve", "reject"], quorum=9,
        )  # fmt: skip
        for name in "abc":
            user = person(f"{name}{number}", "approver")
            approval_decide(again.pk, user=user, decision="approve")
        ApprovalRequest.objects.filter(pk=again.pk).update(
            state="withdrawn", decided_at=timezone.now()
        )
    with CaptureQueriesContext(connection) as many:
        page(client, change)
    assert len(many) <= len(few) <= 50, [q["sql"] for q in many.captured_queries]


def test_the_list_of_proposals_is_saved_as_it_is_filtered(change):
    client = staff("ada", "approver")
    url = reverse(f"{ADMIN}proposal_changelist")
    assert "export=csv" in client.get(url, {"kind": "change"}).content.decode()
    for kind, count in (("change", 1), ("action", 0)):
        response = client.get(url, {"kind": kind, "export": "jsonl"})
        lines = b"".join(response.streaming_content).splitlines()
        assert [json.loads(line)["id"] for line in lines] == [change.proposal_id] * count
    stranger = staff("eve", "admin", where="beta")
    assert not b"".join(stranger.get(url, {"export": "jsonl"}).streaming_content)


def test_what_a_person_edited_says_who_and_of_what() -> None:
    row, ada = held(goal()), person("ada", "approver", is_staff=True)
    edit = {"argv": ["ls", "-l"]}
    approval_decide(row.pk, user=ada, decision="edit", reason="only look", payload=edit)
    edited, client = Proposal.objects.latest("pk"), console(ada)
    text = address(client, edited)
    assert "decided by policy" not in text
    assert "an edit of <a " in text
    assert f">{row.proposal}</a>" in text
    assert "by ada" in text
    assert "only look" in text
    assert "What would be done" in text
    before = address(client, row.proposal)
    assert "What was proposed" in before
    assert f">{edited}</a>" in before


@pytest.mark.parametrize(
    ("fields", "heading"),
    [
        ({"state": "applied", "applied_at": timezone.now()}, "What was done"),
        ({"state": "stale", "reason": f"{ACTION_FAILED}: exit 2"}, "What was tried"),
        ({"state": "stale", "reason": "it conflicts"}, "What was proposed"),
    ],
)
def test_its_heading_says_what_became_of_it(fields: dict[str, Any], heading: str) -> None:
    row = held(goal())
    Proposal.objects.update(**fields)
    text = address(staff("ada", "approver"), row.proposal)
    assert f"{heading}</h2>" in text
    assert ("Its base moved" in text) == (fields.get("reason") == "it conflicts")


def test_an_action_that_ran_and_failed_is_called_failed_and_not_stale() -> None:
    row = held(goal())
    Proposal.objects.update(state="stale", reason=f"{ACTION_FAILED}: exit 2")
    text = address(staff("ada", "approver"), row.proposal)
    assert "</span> failed</span>" in text
    assert "</span> stale</span>" not in text
    assert "The action that was approved failed" in text


def address(client: Any, proposal: Any) -> str:
    response = client.get(reverse(f"{ADMIN}proposal_change", args=[proposal.pk]))
    return " ".join(response.content.decode().split())
