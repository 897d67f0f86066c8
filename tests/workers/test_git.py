"""The git wrapper: merging beside the user, and repositories that want to run code."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentsys.kernel.errors import BadInput, NotFound
from tests.workers.given import GivenRepository
from workers.errors import BranchBusy
from workers.git import MergeState, Repository

BRANCH = "agentsys/goal-1"


def changed(repo: GivenRepository, folder: Path, base: str, **files: str) -> str:
    """A commit on `base` made in a worktree."""
    opened = repo.open()
    opened.worktree_add(folder, base)
    for name, text in files.items():
        (folder / name.replace("_py", ".py")).write_text(text)
    return opened.commit_all(folder, f"change {sorted(files)}", parent=base)


def merge(repo: GivenRepository, commit: str, proposal: int) -> tuple[MergeState, str]:
    found = repo.open().merge(
        BRANCH, commit, message="merge", trailers={"Agentsys-Proposal": str(proposal)}
    )
    return found.state, found.commit


def test_what_is_no_repository_is_said(tmp_path: Path, repo: GivenRepository) -> None:
    (repo.path / "sub").mkdir()
    for path, said in [
        (tmp_path / "absent", "is not a folder"),
        (tmp_path, "is not a git repository"),
        (repo.path / "sub", "lies inside the repository"),
        (repo.path / ".git", "lies inside the repository"),
    ]:
        with pytest.raises(BadInput, match=said):
            Repository.open(path)


def test_an_empty_repository_has_no_head_and_no_branch(repo: GivenRepository) -> None:
    opened = repo.open()
    assert (opened.head(), opened.files("")) == ("", [])
    assert not opened.is_dirty()
    with pytest.raises(BadInput, match="no commit"):
        opened.branch_create(BRANCH, opened.head())


def test_dirty_means_staged_changed_or_untracked(repo: GivenRepository) -> None:
    repo.write(a_py="x = 1\n")
    assert repo.open().is_dirty()
    repo.commit()
    assert not repo.open().is_dirty()
    repo.write(a_py="x = 2\n")
    assert repo.open().is_dirty()
    repo.git("add", "-A")
    assert repo.open().is_dirty()
    before = repo.state()
    repo.open().is_dirty()
    assert repo.state() == before


def test_a_worktree_becomes_a_commit_on_its_base(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="x = 1\n", b_py="gone\n", src__c_py="")
    base = repo.commit()
    opened = repo.open()
    tree = opened.worktree_add(tmp_path / "tree", base)
    (tree / "a.py").write_text("x = 2\ny = 3\n")
    (tree / "b.py").unlink()
    (tree / "new file.py").write_text("ü\n")
    assert opened.worktree_changes(tree, base) == ["a.py", "b.py", "new file.py"]
    commit = opened.commit_all(tree, "Change it.", {"Agentsys-Attempt": "3"}, parent=base)
    assert opened.changed_paths(base, commit) == ["a.py", "b.py", "new file.py"]
    assert opened.line_counts(base, commit) == (3, 2)
    assert opened.read(commit, "new file.py") == "ü\n".encode()
    assert "-x = 1\n+x = 2\n" in opened.diff(base, commit)
    facts = repo.git("log", "-1", "--format=%an|%ce|%P|%(trailers:key=Agentsys-Attempt)", commit)
    assert facts == f"agentsys|agentsys@localhost|{base}|Agentsys-Attempt: 3"
    with pytest.raises(NotFound):
        opened.read(commit, "b.py")


def test_nothing_changed_is_no_commit(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="x = 1\n")
    base = repo.commit()
    assert changed(repo, tmp_path / "tree", base) == ""


def test_only_the_paths_asked_for_are_committed(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="1\n", b_py="1\n")
    base = repo.commit()
    opened = repo.open()
    tree = opened.worktree_add(tmp_path / "tree", base)
    (tree / "a.py").write_text("2\n")
    (tree / "b.py").write_text("2\n")
    commit = opened.commit_all(tree, "m", parent=base, paths=["a.py"])
    assert opened.changed_paths(base, commit) == ["a.py"]


def test_merges_leave_the_user_alone(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="a = 1\n", b_py="b = 1\n")
    base = repo.commit()
    repo.write(dirty_py="being written\n")
    repo.put("a.py", "a = 'in the middle of it'\n")
    before = repo.state()
    repo.open().branch_create(BRANCH, base)
    first = changed(repo, tmp_path / "1", base, a_py="a = 2\n")
    second = changed(repo, tmp_path / "2", base, b_py="b = 2\n")
    assert merge(repo, first, 1)[0] is MergeState.MERGED
    assert merge(repo, second, 2)[0] is MergeState.MERGED
    assert repo.git("show", f"{BRANCH}:a.py") == "a = 2"
    assert repo.git("show", f"{BRANCH}:b.py") == "b = 2"
    assert repo.state() == before
    assert repo.git("worktree", "list").count("\n") == 0
    repo.git("fsck", "--strict")


def test_a_merge_is_made_once_per_proposal(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="a = 1\n")
    base = repo.commit()
    repo.open().branch_create(BRANCH, base)
    commit = changed(repo, tmp_path / "1", base, a_py="a = 2\n")
    _, merged = merge(repo, commit, 7)
    assert merge(repo, commit, 7) == (MergeState.ALREADY, merged)
    assert repo.open().find_trailer(BRANCH, "Agentsys-Proposal", "7") == merged
    assert repo.open().find_trailer(BRANCH, "Agentsys-Proposal", "70") == ""
    assert repo.open().find_trailer("agentsys/other", "Agentsys-Proposal", "7") == ""


def test_both_sides_changed_the_same_line(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="a = 1\n")
    base = repo.commit()
    repo.open().branch_create(BRANCH, base)
    merge(repo, changed(repo, tmp_path / "1", base, a_py="a = 2\n"), 1)
    tip = repo.git("rev-parse", BRANCH)
    loser = changed(repo, tmp_path / "2", base, a_py="a = 3\n")
    found = repo.open().merge(BRANCH, loser, message="m", trailers={"Agentsys-Proposal": "2"})
    assert (found.state, found.conflicts) == (MergeState.CONFLICT, ("a.py",))
    assert repo.git("rev-parse", BRANCH) == tip


def test_merges_at_the_same_time_lose_nothing(repo: GivenRepository, tmp_path: Path) -> None:
    for number in range(6):
        repo.put(f"f{number}.py", "x = 1\n")
    base = repo.commit()
    repo.open().branch_create(BRANCH, base)
    commits = [changed(repo, tmp_path / f"w{n}", base, **{f"f{n}_py": "x = 2\n"}) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        states = list(pool.map(lambda n: merge(repo, commits[n], n)[0], range(6)))
    assert states == [MergeState.MERGED] * 6
    for number in range(6):
        assert repo.git("show", f"{BRANCH}:f{number}.py") == "x = 2"


def test_only_branches_of_agentsys_move(repo: GivenRepository) -> None:
    repo.write(a_py="")
    base = repo.commit()
    for name in ("main", "refs/heads/main", "agentsys/../main", "agentsys/", "agentsys/x.lock"):
        with pytest.raises(BadInput):
            repo.open().branch_create(name, base)
        with pytest.raises(BadInput):
            repo.open().merge(name, base, message="m", trailers={})
    assert repo.open().branch_create(BRANCH, base) == base
    repo.write(a_py="later\n")
    assert repo.open().branch_create(BRANCH, repo.commit()) == base


def test_a_branch_that_is_checked_out_is_not_moved(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="a = 1\n")
    base = repo.commit()
    repo.open().branch_create(BRANCH, base)
    commit = changed(repo, tmp_path / "1", base, a_py="a = 2\n")
    repo.git("checkout", "-q", BRANCH)
    with pytest.raises(BranchBusy, match="checked out"):
        merge(repo, commit, 1)
    assert repo.git("rev-parse", BRANCH) == base


def test_a_lock_left_by_a_killed_git_does_not_block_for_ever(
    repo: GivenRepository, tmp_path: Path
) -> None:
    repo.write(a_py="a = 1\n")
    base = repo.commit()
    repo.open().branch_create(BRANCH, base)
    commit = changed(repo, tmp_path / "1", base, a_py="a = 2\n")
    lock = repo.path / ".git" / "refs" / "heads" / f"{BRANCH}.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    assert merge(repo, commit, 1)[0] is MergeState.MERGED


def test_an_unreachable_commit_is_kept_by_name(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="a = 1\n")
    base = repo.commit()
    commit = changed(repo, tmp_path / "1", base, a_py="a = 2\n")
    repo.open().keep("attempt-3", commit)
    repo.git("gc", "-q", "--prune=now")
    assert repo.open().read(commit, "a.py") == b"a = 2\n"
    repo.open().release("attempt-3")
    assert repo.open().resolve("refs/agentsys/attempt-3") == ""


def test_a_patch_applies_whole_or_not_at_all(repo: GivenRepository, tmp_path: Path) -> None:
    repo.write(a_py="a = 1\n")
    base = repo.commit()
    commit = changed(repo, tmp_path / "1", base, a_py="a = 2\n", b_py="new\n")
    patch = repo.open().diff(base, commit)
    tree = repo.open().worktree_add(tmp_path / "2", base)
    repo.open().apply(tree, patch)
    assert (tree / "a.py").read_text() == "a = 2\n"
    with pytest.raises(BadInput, match=r"a\.py"):
        repo.open().apply(tree, patch)
    outside = "--- /dev/null\n+++ b/../escaped.py\n@@ -0,0 +1 @@\n+x\n"
    with pytest.raises(BadInput):
        repo.open().apply(tree, outside)
    assert not (tmp_path / "escaped.py").exists()


def test_a_hostile_repository_runs_nothing(repo: GivenRepository, tmp_path: Path) -> None:
    """Every place in a repository that can name a program names one that leaves a mark."""
    mark = tmp_path / "mark"
    evil = tmp_path / "evil.sh"
    evil.write_text(f'#!/bin/sh\necho "$0 $@" >> {mark}\ncat\n')
    evil.chmod(0o755)
    repo.write(a_py="a = 1\n", b_py="b = 1\n")
    attributes = "* filter=evil diff=evil merge=evil ident\n"
    repo.put(".gitattributes", attributes)
    repo.put(".gitmodules", '[submodule "s"]\npath = s\nurl = ext::sh -c evil\nupdate = !evil\n')
    base = repo.commit()
    for name in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
        hook = repo.path / ".git" / "hooks" / name
        hook.write_text(evil.read_text())
        hook.chmod(0o755)
    (repo.path / ".git" / "info" / "attributes").write_text(attributes)
    for key in (
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv"),
        *("diff.evil.command", "diff.external", "merge.evil.driver", "core.fsmonitor"),
        *("core.sshCommand", "core.pager", "core.editor", "gpg.program", "alias.log"),
        *("core.alternateRefsCommand", "trailer.x.command", "core.askPass", "credential.helper"),
    ):
        repo.git("config", key, str(evil))
    repo.git("config", "filter.evil.required", "true")
    repo.git("config", "commit.gpgSign", "true")
    mark.unlink(missing_ok=True)

    opened = repo.open()
    opened.is_dirty()
    opened.branch_create(BRANCH, base)
    first = changed(repo, tmp_path / "1", base, a_py="a = 2\n")
    second = changed(repo, tmp_path / "2", base, a_py="a = 3\n")
    opened.diff(base, first)
    opened.keep("attempt-1", first)
    assert merge(repo, first, 1)[0] is MergeState.MERGED
    assert merge(repo, second, 2)[0] is MergeState.CONFLICT
    assert opened.read(first, "a.py") == b"a = 2\n"
    assert not mark.exists(), mark.read_text()
    repo.put("a.py", "a = 9\n")
    subprocess.run(["git", "-C", str(repo.path), "diff"], check=False, capture_output=True)
    assert mark.exists()  # the trap is a real one


def test_a_link_in_the_repository_is_not_followed(repo: GivenRepository, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (repo.path / "out").symlink_to(victim)
    base = repo.commit()
    tree = repo.open().worktree_add(tmp_path / "tree", base)
    patch = "--- /dev/null\n+++ b/out/x.py\n@@ -0,0 +1 @@\n+x\n"
    with pytest.raises(BadInput):
        repo.open().apply(tree, patch)
    assert list(victim.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes into other users' repositories")
def test_root_leaves_nothing_of_its_own_in_a_users_repository(
    repo: GivenRepository, tmp_path: Path
) -> None:
    repo.write(a_py="a = 1\n")
    base = repo.commit()
    for path in [repo.path, *repo.path.rglob("*")]:
        os.chown(path, 1234, 1234, follow_symlinks=False)
    opened = repo.open()
    opened.branch_create(BRANCH, base)
    commit = changed(repo, tmp_path / "1", base, a_py="a = 2\n")
    opened.keep("attempt-3", commit)
    assert merge(repo, commit, 1)[0] is MergeState.MERGED
    assert {path.lstat().st_uid for path in repo.path.rglob("*")} == {1234}
