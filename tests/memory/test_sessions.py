"""The order of the drafts is the order of the sitting."""

from __future__ import annotations

import pytest

from memory import services as memory
from memory.models import Memory

pytestmark = pytest.mark.django_db


def test_what_was_said_in_one_sitting_is_numbered_in_the_order_of_the_drafts() -> None:
    said = [f"The {n}. thing that was said" for n in range(5)]
    drafts = [memory.MemoryDraft("project-1", "episodic", text, session="s") for text in said]
    memory.remember_many(drafts[:3])
    memory.remember_many(drafts[3:])
    assert list(Memory.objects.order_by("seq").values_list("text", flat=True)) == said
