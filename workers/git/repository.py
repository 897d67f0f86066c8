"""A repository, opened and read."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from agentsys.kernel.errors import BadInput, NotFound
from workers.git.merging import Merging
from workers.git.plumbing import full_sha, git_run
from workers.git.searching import Searching
from workers.git.structure import structure_faults
from workers.git.worktrees import Worktrees


class Repository(Worktrees, Merging, Searching):
    """Made by `open`, which checks that it is one."""

    @classmethod
    def open(cls, path: Path | str) -> Repository:
        """BadInput when `path` is not the top folder of a git repository; says what it is."""
        try:
            folder = Path(path).expanduser()
            is_folder = folder.is_dir()
            folder = folder.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # over-long, a circle, NUL
            raise _no_repository(f"{str(path)[:200]!r} is not a folder: {error}") from error
        if not is_folder:
            raise _no_repository(f"{path} is not a folder; expected a git repository")
        words = ["--git-dir", "--git-common-dir", "--is-bare-repository", "--show-object-format"]
        ended = git_run(["rev-parse", *words], cwd=folder, env={})
        if ended.returncode != 0:
            said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
            if said and "not a git repository" not in said[0]:
                raise _no_repository(f"git cannot read {folder}: {said[0]}")
            raise _no_repository(f"{folder} is not a git repository; `git init` makes it one")
        git_dir, common_dir, bare, sha_format = ended.stdout.decode().splitlines()
        found = cls(
            path=folder,
            git_dir=(folder / git_dir).resolve(),
            common_dir=(folder / common_dir).resolve(),
            bare=bare == "true",
            sha_format=sha_format,
        )
        found._check_top()
        faults = structure_faults(folder, found.git_dir, found.common_dir, bare=found.bare)
        if problem := next(faults, ""):
            raise _no_repository(f"{folder} leads out of itself: {problem}")
        return found

    def _check_top(self) -> None:
        if self.bare:
            expected = self.git_dir
        else:
            ended = git_run(["rev-parse", "--show-toplevel"], cwd=self.path, env={})
            text = ended.stdout.decode("utf-8", "surrogateescape").rstrip("\n")
            expected = Path(text).resolve() if text else self.path.parent
        if expected != self.path:
            raise _no_repository(
                f"{self.path} lies inside the repository {expected}; give that one"
            )

    def is_dirty(self) -> bool:
        """Whether the user's working tree differs from HEAD, untracked files included."""
        if self.bare:
            return False
        head = self.head()
        with self._compared(self.path, head) as tree:
            own = self.git_dir / "index"
            if own.is_file() and not own.is_symlink():
                shutil.copy2(
                    own, tree.index
                )  # the times in it, and its own, spare reading most files
            base = head or self._empty_tree()
            staged = ["diff-index", "--cached", "--name-only", "--ignore-submodules", base, "--"]
            return bool(self._content(staged, tree=tree) or self._touched(tree))

    def files(self, commit: str) -> list[str]:
        """Paths of the regular files and links of a commit; submodules are left out."""
        if not commit:
            return []
        listed = self._content(["ls-tree", "-r", "-z", "--full-tree", full_sha(commit)])
        rows = (row.split("\t", 1) for row in listed.split("\0") if row)
        return [path for meta, path in rows if meta.split()[1] == "blob"]

    def read(self, commit: str, path: str) -> bytes:
        """A file's bytes; NotFound when the commit has no such file."""
        ended = self._content_raw(
            ["cat-file", "blob", f"{full_sha(commit)}:{path}"], ok=(0, 128), tree=None
        )
        if ended.returncode != 0:
            listing = f"git ls-tree -r {commit[:12]}"
            raise NotFound(kind="file", id=f"{path} in commit {commit[:12]}", listing=listing)
        return ended.stdout

    def diff(self, base: str, commit: str, paths: Iterable[str] = ()) -> str:
        """The change as a unified diff that `git apply` takes; bytes not UTF-8 are replaced."""
        words = ["diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames"]
        return self._between(words, base, commit, paths)

    def changed_paths(self, base: str, commit: str) -> list[str]:
        """Paths that differ; a renamed file is two of them."""
        words = ["diff-tree", "-r", "-z", "--name-only", "--no-renames"]
        return [path for path in self._between(words, base, commit, ()).split("\0") if path]

    def line_counts(self, base: str, commit: str) -> tuple[int, int]:
        """(insertions, deletions); binary files count as none."""
        listed = self._between(["diff-tree", "-r", "--numstat", "--no-renames"], base, commit, ())
        rows = [line.split("\t", 2)[:2] for line in listed.splitlines()]
        counted = [(int(plus), int(minus)) for plus, minus in rows if plus != "-"]
        return sum(plus for plus, _ in counted), sum(minus for _, minus in counted)

    def log(self, commit: str, count: int, path: str = "") -> str:
        """The latest `count` commits up to this one, of one path where it is given."""
        form = "--format=%h %as %an: %s"
        words = ["log", "--no-show-signature", "--no-color", "-n", str(count), form]
        return self._content([*words, full_sha(commit), "--", *([path] if path else [])])

    def _between(self, words: list[str], base: str, commit: str, paths: Iterable[str]) -> str:
        old = full_sha(base) if base else self._empty_tree()
        extra = ["--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none"]
        return self._content([*words, *extra, old, full_sha(commit), "--", *paths])


def _no_repository(problem: str) -> BadInput:
    return BadInput(what="repository", problems=[problem])
