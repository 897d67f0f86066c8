"""Two scopes that some path falls under both must be seen to overlap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.domain.scopes import literal_head, matches, resources_overlap
from workers.patterns import matches as workers_match

NAMES = st.sampled_from(["a", "b", "ab", "src", "x.py", "y.py"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "ab",
            "src",
            "*",
            "**",
            "*.py",
            "a*",
            "*b",
            "?",
            "a?",
            "a**",
            "**b",
            "a**b",
            "s*c",
        ]
    ),
    min_size=1,
    max_size=4,
).map("/".join)


@settings(max_examples=600, deadline=None)
@given(one=PATTERNS, other=PATTERNS, path=PATHS)
def test_what_falls_under_two_patterns_makes_them_overlap(one: str, other: str, path: str) -> None:
    if matches(f"repo:{one}", f"repo:{path}") and matches(f"repo:{other}", f"repo:{path}"):
        assert resources_overlap(f"repo:{one}", f"repo:{other}")
        assert resources_overlap(f"repo:{other}", f"repo:{one}")


@settings(max_examples=300, deadline=None)
@given(one=PATTERNS, path=PATHS)
def test_what_an_agent_may_write_is_what_the_scope_covers(one: str, path: str) -> None:
    assert workers_match(path, [one]) == matches(f"repo:{one}", f"repo:{path}")


@settings(max_examples=300, deadline=None)
@given(one=PATTERNS, other=PATTERNS)
def test_patterns_overlap_only_when_one_literal_head_begins_the_other(one: str, other: str) -> None:
    if resources_overlap(f"repo:{one}", f"repo:{other}"):
        a, b = literal_head(f"repo:{one}"), literal_head(f"repo:{other}")
        assert a[: len(b)] == b or b[: len(a)] == a


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("repo:src/**", "repo:src/a.py", True),
        ("repo:src/**", "repo:docs/**", False),
        ("repo:src", "repo:src/a.py", True),
        ("repo:.", "repo:anything/at/all", True),
        ("repo:src", "repo:srcs", False),
        ("repo:*", "repo:src/**", False),
        ("repo:src/*", "repo:src/pkg/**", False),
        ("repo:src/*", "repo:src/pkg", True),
        ("repo:src/**/a.py", "repo:src/a.py", True),
        ("repo:*.py", "repo:*.md", False),
        ("repo:a*", "repo:*b", True),
        ("repo:src/*.py", "repo:src/deep/*.py", False),
        ("repo:src/**", "memory:src/**", False),
        ("repo:src/a[1].py", "repo:src/a[1].py", True),
        ("repo:src/a[1].py", "repo:src/a1.py", False),
    ],
)
def test_overlap_of_resources(one: str, other: str, overlap: bool) -> None:
    assert resources_overlap(one, other) is overlap
    assert resources_overlap(other, one) is overlap
