"""Hostile repositories: nothing in them is run, and nothing outside of them is read or written."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agentsys.kernel.errors import AgentsysError, BadInput
from tests.workers.git_traps import ARMED, TRAPS, Given
from tests.workers.given import GivenRepository
from workers.git import Repository

BRANCH = "agentsys/goal-1"
SECRET = "canary-of-the-victim-51c8"
Trap = Callable[[Given], str | None]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    evil = tmp_path / "tools" / "evil"
    evil.parent.mkdir()
    evil.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/mark\ncat\n')
    evil.chmod(0o755)
    repo, victim = (GivenRepository(tmp_path / name) for name in ("repo", "victim"))
    for one, text in ((repo, "x = 1\n"), (victim, f"{SECRET}\n")):
        one.put("a.py", text)
        one.put("README.txt", text)
        one.commit()
    return Given(repo, evil, victim)


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below, with a hash of its content; a link with its target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)  # noqa: PTH115
        elif path.is_file():
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def everything(path: Path, commit: str, trees: Path, spoils: list[object]) -> Iterator[str]:
    """What agentsys does to a repository, each by itself; yields the refusals. What was read goes
    to `spoils`."""
    repository = Repository.open(path)
    read = Reading(repository, commit, spoils)
    acts = (read.files, read.dirty, read.tree(trees / "1"), read.changed(trees / "2"), read.others)
    for act in acts:
        try:
            act()
        except AgentsysError as error:
            yield str(error)


class Reading:
    def __init__(self, repository: Repository, commit: str, spoils: list[object]) -> None:
        self.repository = repository
        self.commit = commit or repository.head()
        self.spoils = spoils

    def files(self) -> None:
        for name in self.repository.files(self.commit):
            self.spoils.append(self.repository.read(self.commit, name))

    def dirty(self) -> None:
        self.repository.is_dirty()

    def tree(self, folder: Path) -> Callable[[], None]:
        def act() -> None:
            self.repository.worktree_add(folder, self.commit)
            self.repository.worktree_changes(folder, self.commit)

        return act

    def changed(self, folder: Path) -> Callable[[], None]:
        def act() -> None:
            repository = self.repository
            repository.branch_create(BRANCH, self.commit)
            repository.worktree_add(folder, self.commit)
            (folder / "a.py").unlink(missing_ok=True)
            (folder / "a.py").write_text("x = 2\n")
            first = repository.commit_all(folder, "change", parent=self.commit)
            repository.keep("attempt-1", first)
            self.spoils.append(repository.diff(self.commit, first))
            self.spoils.append(repository.changed_paths(self.commit, first))
            trailers = {"Agentsys-Proposal": "1"}
            repository.merge(BRANCH, first, message="merge", trailers=trailers)
            (folder / "a.py").write_text("x = 3\n")
            second = repository.commit_all(folder, "other", parent=self.commit)
            repository.merge(BRANCH, second, message="m", trailers={"Agentsys-Proposal": "2"})
            repository.release("attempt-1")

        return act

    def others(self) -> None:
        """Objects by the names that they have at the victim's."""
        victim = GivenRepositoryReader(self.repository.path.parent / "victim")
        with suppress(AgentsysError):
            self.spoils.append(self.repository.read(victim.head(), "a.py"))
        self.repository.resolve("1234567890" * 4)
        self.repository.resolve("refs/heads/gone")


class GivenRepositoryReader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def head(self) -> str:
        words = ["git", "-C", str(self.path), "rev-parse", "main"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def test_there_are_enough_traps() -> None:
    assert len(TRAPS) >= 20


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_a_hostile_repository_gets_nothing(given: Given, trap: Trap, tmp_path: Path) -> None:
    main = given.repo.git("rev-parse", "main")
    commit = trap(given) or main
    if (given.repo.path / ".git").is_dir() and not (given.repo.path / ".git").is_symlink():
        with suppress(subprocess.CalledProcessError):
            main = given.repo.git("rev-parse", "main")
    mark = tmp_path / "mark"
    mark.unlink(missing_ok=True)
    before = snapshot(given.victim.path)
    trees, spoils = tmp_path / "trees", list[object]()
    trees.mkdir()

    with suppress(BadInput):  # refused whole
        list(everything(given.repo.path, commit, trees, spoils))

    assert not mark.exists(), mark.read_text()
    assert snapshot(given.victim.path) == before
    assert SECRET not in str(spoils)
    ours = {"repo", "victim", "trees", "tools", "home", "raw-tree", "raw-blob", "more.config"}
    assert {path.name for path in tmp_path.iterdir()} <= ours
    for path in trees.rglob("*"):
        assert path.is_symlink() or path.resolve().is_relative_to(trees.resolve())
        assert path.name.lower().strip(" .") != ".git"
    own = given.repo.path / ".git"
    if own.is_dir() and not own.is_symlink() and not (own / "commondir").exists():
        plain = ["git", "--git-dir", str(own), "rev-parse", "main"]
        ended = subprocess.run(plain, check=False, capture_output=True, text=True)
        if ended.returncode == 0:
            assert ended.stdout.strip() == main, "the user's own branch moved"


@pytest.mark.parametrize("trap", ARMED, ids=lambda trap: trap.__name__)
def test_the_trap_is_a_real_one(given: Given, trap: Trap, tmp_path: Path) -> None:
    """Plain git falls into it: what holds above is not for want of a trap."""
    commit = trap(given) or given.repo.git("rev-parse", "main")
    (tmp_path / "mark").unlink(missing_ok=True)
    for side, text in (("side", "x = 5\n"), ("other", "x = 6\n")):
        with suppress(subprocess.CalledProcessError):  # what the program says may not please git
            given.repo.git("checkout", "-q", "-B", side, commit)
            given.repo.put("a.py", text)
            given.repo.git("diff")
            given.repo.git("commit", "-q", "-am", "change")
    with suppress(subprocess.CalledProcessError):
        given.repo.git("merge", "-q", "side")
    assert (tmp_path / "mark").exists()


def test_what_other_repositories_lend_is_refused_with_the_way_out(given: Given) -> None:
    path = given.repo.path / ".git" / "objects" / "info" / "alternates"
    path.write_text(f"{given.victim.path}/.git/objects\n")
    with pytest.raises(BadInput, match="git repack -a -d"):
        Repository.open(given.repo.path)
    given.repo.git("repack", "-q", "-a", "-d")
    path.unlink()
    assert Repository.open(given.repo.path).head()


def test_linked_worktrees_and_submodules_of_gits_own_are_fine(given: Given, tmp_path: Path) -> None:
    given.repo.git("worktree", "add", "-q", str(tmp_path / "linked"))
    assert Repository.open(tmp_path / "linked").head() == given.repo.git("rev-parse", "main")
    allowed = ["-c", "protocol.file.allow=always"]
    given.repo.git(*allowed, "submodule", "--quiet", "add", str(given.victim.path), "sub")
    assert Repository.open(given.repo.path / "sub").head() == given.victim.git("rev-parse", "main")
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", given.repo.path, bare], check=True)
    assert Repository.open(bare).head() == given.repo.git("rev-parse", "main")


def test_missing_objects_are_fetched_from_nowhere(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a git too old to know the switch against it."""
    from tests.workers.git_traps import missing_objects
    from workers.git import plumbing

    missing_objects(given)
    monkeypatch.delitem(plumbing.ENV, "GIT_NO_LAZY_FETCH")
    opened = Repository.open(given.repo.path)
    with suppress(AgentsysError):  # that it cannot fetch may end git
        opened.resolve("refs/heads/gone")
    with pytest.raises(AgentsysError):
        opened.branch_create(BRANCH, "1234567890" * 4)
    assert not (given.repo.path.parent / "mark").exists()
