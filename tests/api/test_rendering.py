"""An answer leaves nothing behind that garbage would have to be looked for."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator

import pytest

from tests.api.people import api, goal, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_what_was_answered_is_let_go_of_when_it_is_written(no_collector: None) -> None:
    client, pk = api(person("vera", "viewer")), goal(tasks=500).pk
    seen = []
    for _ in range(3):  # the first loads what it needs
        answer = client.get(f"/api/v1/goals/{pk}")
        assert len(json.loads(answer.content)["tasks"]) == 500  # `answer.json()` would keep it
        seen.append(len(gc.get_objects()))
    assert seen[2] - seen[1] < 500  # an object a task would be more
