"""Working trees of our own: made from a commit, changed by tools, turned into a commit.

A worktree is a folder and nothing else: no index lies about, where a sandboxed program could reach
it or a crash would leave it. What changed is found by comparing with the commit again.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agentsys.kernel.errors import BadInput
from workers.git.plumbing import Plumbing, Tree, full_sha
from workers.workspaces import folder_remove, scratch


class Worktrees(Plumbing):
    def worktree_add(self, path: Path, at: str) -> Path:
        """The files of commit `at` ("": none) in the new or empty folder `path`."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput(what="worktree", problems=[f"{folder} is not empty"])
        with self._compared(folder, at) as tree:
            if at:
                self._content(["checkout-index", "--all", "--force", "--quiet"], tree=tree)
        return folder

    def worktree_remove(self, path: Path) -> None:
        """Remove the folder. Nothing to remove is fine."""
        folder_remove(Path(path))

    def worktree_changes(self, path: Path, base: str) -> list[str]:
        """Paths that differ from commit `base`: changed, added or removed; ignored files not."""
        with self._compared(Path(path), base) as tree:
            return self._touched(tree)

    def worktree_restore(self, path: Path, at: str, paths: Iterable[str]) -> None:
        """Give these paths, which commit `at` has, back the content that it gives them."""
        listed = "\0".join(paths).encode("utf-8", "surrogateescape")
        if listed:
            with self._compared(Path(path), at) as tree:
                words = ["checkout-index", "--force", "--quiet", "-z", "--stdin"]
                self._content(words, tree=tree, stdin=listed)

    def commit_all(
        self,
        worktree: Path,
        message: str,
        trailers: Mapping[str, str] | None = None,
        *,
        parent: str,
        paths: Iterable[str] | None = None,
    ) -> str:
        """Commit how the worktree (only `paths`, when given) differs from `parent`, its base.

        Returns "" when it does not. No reference moves: see `keep` and `merge`.
        """
        with self._compared(Path(worktree), parent) as tree:
            wanted = self._touched(tree)
            if paths is not None:
                allowed = set(paths)
                wanted = [path for path in wanted if path in allowed]
            if not wanted:
                return ""
            listed = "\0".join(wanted).encode("utf-8", "surrogateescape")
            update = ["update-index", "--add", "--remove", "-z", "--stdin"]
            self._content(update, tree=tree, stdin=listed)
            written = self._content(["write-tree"], tree=tree).strip()
        if written == (self._tree_of(parent) if parent else self._empty_tree()):
            return ""
        return self._commit(written, [parent] if parent else [], message, trailers or {})

    def commit_paths(
        self, worktree: Path, paths: Iterable[str], message: str, *, at: str, parent: str
    ) -> str:
        """Commit on `parent` what commit `at` holds, but these paths as the worktree has them. No
        other file is looked at. Returns "" when that is no difference to `parent`."""
        listed = "\0".join(paths).encode("utf-8", "surrogateescape")
        with self._compared(Path(worktree), at) as tree:
            update = ["update-index", "--add", "--remove", "-z", "--stdin"]
            self._content(update, tree=tree, stdin=listed)
            written = self._content(["write-tree"], tree=tree).strip()
        if written == self._tree_of(parent):
            return ""
        return self._commit(written, [parent], message, {})

    def worktree_ignores(self, path: Path, base: str, name: str) -> bool:
        """Whether the repository ignores this file of the worktree, which `base` does not have."""
        words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", name]
        with self._compared(Path(path), base) as tree:
            return not self._content(words, tree=tree)

    def apply(self, worktree: Path, patch: str) -> None:
        """Apply a unified diff to a worktree's files, all or nothing.

        BadInput with git's words when it does not apply. Git itself refuses paths that lead out of
        the worktree, through links as well.
        """
        content = (patch if patch.endswith("\n") else patch + "\n").encode(
            "utf-8", "surrogateescape"
        )
        with self._compared(Path(worktree), "") as tree:
            words = ["apply", "--whitespace=nowarn", "-"]
            ended = self._content_raw(words, tree=tree, stdin=content, ok=(0, 1, 128))
        if ended.returncode != 0:
            said = ended.stderr.decode("utf-8", "replace").strip()
            raise BadInput(what="patch", problems=[said or "git cannot apply it"])

    @contextmanager
    def _compared(self, folder: Path, base: str) -> Iterator[Tree]:
        """The folder with a throw-away index that holds commit `base`."""
        with scratch("index") as place:
            tree = Tree(folder=folder.absolute(), index=place / "index")
            self._content(["read-tree", full_sha(base) if base else "--empty"], tree=tree)
            yield tree

    def _touched(self, tree: Tree) -> list[str]:
        self._content_raw(["update-index", "-q", "--refresh"], tree=tree, ok=(0, 1))
        changed = self._content(["ls-files", "-z", "--modified", "--deleted"], tree=tree)
        new = self._content(["ls-files", "-z", "--others", "--exclude-standard"], tree=tree)
        # A repository inside the tree is listed with a slash; it is not part of this one.
        paths = {*changed.split("\0"), *(path for path in new.split("\0") if path[-1:] != "/")}
        return sorted(path for path in paths - {""} if not _is_folder(tree.folder / path))


def _is_folder(path: Path) -> bool:
    """A tracked folder can only be a submodule, which is left as it is."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
