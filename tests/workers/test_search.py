"""Searching a commit: texts and patterns, by name and case, bounded, within what a task may see."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.workers.given import GivenRepository
from workers.contracts import ScopeGrant
from workers.tools.base import ToolFailed
from workers.tools.reading import FILE_BYTES_MAX, MATCHES_MAX, Checkout


@pytest.fixture
def world(repo: GivenRepository) -> GivenRepository:
    repo.put("src/a.py", "def alpha(n):\n    return Lease[n]\n")
    repo.put("src/deep/b.py", "def beta2():\n    return lease\n")
    repo.put("docs/c.md", "A lease: `alpha(1)`\n  odd:name\twith tab\n")
    repo.put("odd: na\tme.txt", "lease\n")
    repo.path.joinpath("bin.dat").write_bytes(b"lease\0lease")
    repo.commit()
    return repo


def search(repo: GivenRepository, text: str, *scopes: str, **args: object) -> list[str]:
    grants = tuple(ScopeGrant(f"repo:{scope}", "read") for scope in scopes)
    checkout = Checkout(repo.open(), repo.open().head(), grants)
    return checkout.search({"text": text, **args})


def test_a_text_is_found_as_it_stands(world: GivenRepository) -> None:
    assert search(world, "Lease[n]") == ["src/a.py:2:     return Lease[n]"]
    assert search(world, "odd:name") == ["docs/c.md:2:   odd:name\twith tab"]
    assert search(world, "lease") == [
        "docs/c.md:1: A lease: `alpha(1)`",
        "odd: na\tme.txt:1: lease",
        "src/deep/b.py:2:     return lease",
    ]
    assert search(world, "-e") == []


def test_a_pattern_is_perls_and_case_may_be_left_out(world: GivenRepository) -> None:
    assert search(world, r"^def \w+\d\(", regex=True) == ["src/deep/b.py:1: def beta2():"]
    assert len(search(world, "LEASE", ignore_case=True)) == 4
    assert search(world, r"def \w+", "src/a.py", regex=True) == ["src/a.py:1: def alpha(n):"]


@pytest.mark.parametrize(
    ("narrow", "files"),
    [
        ({"glob": "*.py"}, ["src/a.py", "src/deep/b.py"]),
        ({"glob": "src/*.py"}, ["src/a.py"]),
        ({"glob": "src/**"}, ["src/a.py", "src/deep/b.py"]),
        ({"prefix": "./src/de"}, ["src/deep/b.py"]),
        ({"glob": "*.md", "prefix": "src/"}, []),
    ],
)
def test_names_narrow_it(world: GivenRepository, narrow: dict[str, str], files: list[str]) -> None:
    found = search(world, "lease", ignore_case=True, **narrow)
    assert [line.split(":")[0] for line in found] == files


def test_a_task_finds_only_what_it_may_see(world: GivenRepository) -> None:
    assert search(world, "lease", "docs/**") == ["docs/c.md:1: A lease: `alpha(1)`"]


@pytest.mark.parametrize(
    ("text", "args", "says"),
    [
        ("(", {"regex": True}, "missing closing parenthesis"),
        (" ", {}, "is empty"),
        ("a\nb", {}, "one line"),
        ("a\0b", {}, "one line"),
    ],
)
def test_what_cannot_be_looked_for_is_said(
    world: GivenRepository, text: str, args: dict[str, bool], says: str
) -> None:
    with pytest.raises(ToolFailed, match=says):
        search(world, text, **args)


def test_results_are_bounded_and_say_so(repo: GivenRepository) -> None:
    repo.put("a.txt", "x\n" * (MATCHES_MAX - 1))
    repo.put("b.txt", "y" * 1000 + "x\nx\nx\n")
    repo.put("c.txt", "x\n")
    repo.put("d.txt", "z x\n" * (FILE_BYTES_MAX // 4 + 1))
    repo.commit()
    found = search(repo, "x")
    assert len(found) == MATCHES_MAX + 1
    assert len(found[-2]) < 300
    assert found[-1] == "(stopped after 2 of 4 files that have it)"
    assert search(repo, "z x") == ["d.txt: has it, and is too large to be shown"]


def test_a_pattern_that_would_take_for_ever_comes_to_an_end(repo: GivenRepository) -> None:
    repo.put("a.txt", "a" * 5000 + "!\n")
    repo.commit()
    with suppress(ToolFailed):  # the engine says that it gave up
        assert search(repo, r"^(a+)+$", regex=True) == []
