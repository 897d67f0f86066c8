"""Policies in the console: a superuser adds versions, and nobody edits one."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from tests.api.people import person
from verification.models import PolicyVersion

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


def test_others_neither_see_nor_add_policies() -> None:
    staff = console("staff")
    assert staff.get(reverse(f"{PAGE}changelist")).status_code == 403
    assert added(staff, RULES) == 403
    assert PolicyVersion.objects.count() == 0
