"""The lab starts anew what gave up by itself, as whatever supervises workers does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.chaos.crew import Crew


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path, {})
    yield crew
    crew.end()


def test_a_worker_that_gave_up_is_started_again_with_what_it_was_given(crew: Crew) -> None:
    worker = crew.worker(pool="no-such-pool", DEAF="yes")
    assert worker.wait(60) > 0
    assert crew.supervise() == 1
    (again,) = crew.workers
    assert again is not worker
    assert b"DEAF=yes\0" in Path(f"/proc/{again.pid}/environ").read_bytes()


def test_one_that_was_killed_or_goes_on_is_left_alone(crew: Crew) -> None:
    doomed, well = crew.worker(), crew.worker()
    doomed.kill()
    doomed.wait(60)
    assert crew.supervise() == 0
    assert crew.workers == [doomed, well]
