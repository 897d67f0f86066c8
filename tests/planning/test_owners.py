"""The most specific pattern rules; what is only partly owned is nobody's plan's business."""

from __future__ import annotations

import pytest

from orchestration.domain.owners import Owned, covers, owner_of, owner_over

TABLE = (
    Owned("repo:**", "everybody"),
    Owned("repo:src/auth/**", "security"),
    Owned("repo:src/auth/docs/*.md", "writers"),
    Owned("repo:src/auth/a.py", "ada"),
    Owned("deploy:*", "devops"),
    Owned("deploy:prod", "release"),
)


@pytest.mark.parametrize(
    ("resource", "role"),
    [("repo:README.md", "everybody"), ("repo:src/auth/b.py", "security"),
     ("repo:src/auth/docs/x.md", "writers"), ("repo:src/auth/docs/x.py", "security"),
     ("repo:src/auth/a.py", "ada"), ("deploy:test", "devops"), ("deploy:prod", "release")],
)  # fmt: skip
def test_the_most_specific_pattern_rules_whatever_the_order(resource: str, role: str) -> None:
    for table in (TABLE, TABLE[::-1]):
        found = owner_of(resource, table)
        assert found is not None
        assert found.role == role
    assert owner_of("table:users", TABLE) is None


@pytest.mark.parametrize(
    ("pattern", "role"),
    [("repo:src/**", "everybody"), ("repo:src/auth/**", "security"), ("repo:src/auth", "security"),
     ("repo:src/auth/b/*.py", "security"), ("repo:src/auth/docs/*.md", "writers"),
     ("deploy:prod", "release"), ("deploy:**", None), ("table:**", None)],
)  # fmt: skip
def test_a_plans_pattern_is_ruled_by_what_covers_all_of_it(pattern: str, role: str | None) -> None:
    found = owner_over(pattern, TABLE)
    assert (found.role if found else None) == role


@pytest.mark.parametrize(
    ("wide", "narrow", "yes"),
    [("repo:src/**", "repo:src/a/b.py", True), ("repo:src", "repo:src/a/*", True),
     ("repo:src/*", "repo:src/**", False), ("repo:*/a.py", "repo:src/a.py", True),
     ("repo:**/x/**", "repo:a/b/x/c", True), ("repo:a/**", "repo:b/**", False),
     ("repo:a/*.py", "repo:a/*", False), ("repo:a", "host:a", False)],
)  # fmt: skip
def test_covering_is_never_guessed(wide: str, narrow: str, yes: bool) -> None:
    assert covers(wide, narrow) is yes
