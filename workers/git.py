"""The only place that calls git, hardened against the repository it is called on.

A repository is untrusted: its config, hooks and attributes can name programs that git runs when it
checks out, adds, compares or merges. So git is run in two ways.

*References* (`_refs`): on the repository's own git directory, only for plumbing that reads and
writes references, with hooks, fsmonitor and transports switched off.

*Content* (`_content`): on an empty git directory of ours, with `GIT_OBJECT_DIRECTORY` pointing at
the repository's objects. The repository's config, hooks, info/attributes and index do not exist
there: no filter, textconv, merge driver, alias or submodule command can be defined, whatever
`.gitattributes` asks for.

A worktree here is a folder with files and an index beside it, not an entry in the repository's
`.git/worktrees`. The user's branch, index and working tree are never touched, and branches outside
`agentsys/` are never moved. Objects become reachable by `agentsys/` branches and `refs/agentsys/`.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agentsys.kernel.errors import BadInput, NotFound
from workers.errors import BranchBusy, GitFailed

TIMEOUT_SECONDS = 120.0
MERGE_TRIES_MAX = 8
TRAILER_WALK_MAX = 20_000
PREFIX = "agentsys/"
NAME, EMAIL = "agentsys", "agentsys@localhost"
_HARDENED = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.filesRefLockTimeout", "3000"),
    ("core.quotePath", "false"),
    ("protocol.allow", "never"),
    ("safe.directory", "*"),
    ("commit.gpgSign", "false"),
    ("log.showSignature", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("diff.renames", "true"),
)
_SHA = re.compile(r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")


class MergeState(StrEnum):
    MERGED = "merged"
    ALREADY = "already"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class MergeResult:
    """`commit` is the branch's merge commit; "" for a conflict, whose paths are in `conflicts`."""

    state: MergeState
    commit: str
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repository:
    """Opened by `open`. `top` is the working tree's folder, or the git directory of a bare one."""

    top: Path
    git_dir: Path
    common_dir: Path
    bare: bool
    sha_format: str

    @classmethod
    def open(cls, path: Path | str) -> Repository:
        """BadInput when `path` is not the top folder of a git repository; says what it is."""
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise _no_repository(f"{path} is not a folder; expected a git repository")
        folder = folder.resolve()
        words = ["--git-dir", "--git-common-dir", "--is-bare-repository", "--show-object-format"]
        ended = _run(["rev-parse", *words], cwd=folder, env={})
        if ended.returncode != 0:
            said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
            if said and "not a git repository" not in said[0]:
                raise _no_repository(f"git cannot read {folder}: {said[0]}")
            raise _no_repository(f"{folder} is not a git repository; `git init` makes it one")
        git_dir, common_dir, bare, sha_format = ended.stdout.decode().splitlines()
        found = cls(
            top=folder,
            git_dir=(folder / git_dir).resolve(),
            common_dir=(folder / common_dir).resolve(),
            bare=bare == "true",
            sha_format=sha_format,
        )
        found._check_top()
        return found

    def _check_top(self) -> None:
        if self.bare:
            expected = self.git_dir
        else:
            ended = _run(["rev-parse", "--show-toplevel"], cwd=self.top, env={})
            text = ended.stdout.decode("utf-8", "surrogateescape").rstrip("\n")
            expected = Path(text).resolve() if text else self.top.parent
        if expected != self.top:
            raise _no_repository(f"{self.top} lies inside the repository {expected}; give that one")

    # --- Reading ---------------------------------------------------------------------------------

    def head(self) -> str:
        """The commit checked out, or "" in a repository without commits."""
        return self.resolve("HEAD")

    def resolve(self, ref: str) -> str:
        """The commit that `ref` names, or ""."""
        ended = self._refs(
            ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"],
            ok=(0, 1, 128),
        )
        sha = ended.strip()
        return sha if _SHA.match(sha) else ""

    def is_dirty(self) -> bool:
        """Whether the user's working tree differs from HEAD, untracked files included."""
        if self.bare:
            return False
        with tempfile.TemporaryDirectory(prefix="agentsys-index-") as folder:
            index = Path(folder) / "index"
            own = self.git_dir / "index"
            if own.exists():
                shutil.copyfile(own, index)
            tree = _Tree(self.top, index)
            head = self.head()
            base = head or self._empty_tree()
            cached = ["diff-index", "--cached", "--name-only", "--ignore-submodules", base, "--"]
            return bool(self._content(cached, tree=tree) or self._touched(tree))

    def files(self, commit: str) -> list[str]:
        """Paths of the regular files and links of a commit; submodules are left out."""
        if not commit:
            return []
        listed = self._content(["ls-tree", "-r", "-z", "--full-tree", _sha(commit)])
        rows = (row.split("\t", 1) for row in listed.split("\0") if row)
        return [path for meta, path in rows if meta.split()[1] == "blob"]

    def read(self, commit: str, path: str) -> bytes:
        """A file's bytes; NotFound when the commit has no such file."""
        ended = self._content_raw(
            ["cat-file", "blob", f"{_sha(commit)}:{path}"], ok=(0, 128), tree=None
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

    def _between(self, words: list[str], base: str, commit: str, paths: Iterable[str]) -> str:
        old = _sha(base) if base else self._empty_tree()
        extra = ["--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none"]
        return self._content([*words, *extra, old, _sha(commit), "--", *paths])

    # --- Worktrees -------------------------------------------------------------------------------

    def worktree_add(self, path: Path, at: str) -> Path:
        """The files of commit `at` in the new or empty folder `path`; its index lies beside it."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise BadInput(what="worktree", problems=[f"{path} is not empty"])
        tree = _Tree.at(path)
        tree.index.unlink(missing_ok=True)
        if at:
            self._content(["read-tree", _sha(at)], tree=tree)
            self._content(["checkout-index", "--all", "--force", "--quiet", "-u"], tree=tree)
        return path

    def worktree_remove(self, path: Path) -> None:
        """Remove the folder and its index. Nothing to remove is fine."""
        tree = _Tree.at(Path(path))
        for leftover in (tree.index, tree.index.with_name(tree.index.name + ".lock")):
            leftover.unlink(missing_ok=True)
        if tree.folder.is_symlink():
            tree.folder.unlink()
        elif tree.folder.exists():
            shutil.rmtree(tree.folder)

    def prune(self) -> None:
        """Nothing to do: worktrees leave no trace in the repository. Kept for callers' symmetry."""

    def worktree_changes(self, path: Path) -> list[str]:
        """Paths that were changed, added or removed in a worktree since it was made."""
        return self._touched(_Tree.at(Path(path)))

    def commit_all(
        self,
        worktree: Path,
        message: str,
        trailers: Mapping[str, str] | None = None,
        *,
        parent: str = "",
        paths: Iterable[str] | None = None,
    ) -> str:
        """Commit the worktree's changes (only `paths`, when given) on `parent`.

        Returns "" when there are none. No reference moves: see `keep` and `merge`.
        """
        tree = _Tree.at(Path(worktree))
        wanted = self._touched(tree)
        if paths is not None:
            allowed = set(paths)
            wanted = [path for path in wanted if path in allowed]
        if wanted:
            listed = "\0".join(wanted).encode("utf-8", "surrogateescape")
            update = ["update-index", "--add", "--remove", "-z", "--stdin"]
            self._content(update, tree=tree, stdin=listed)
        written = self._content(["write-tree"], tree=tree).strip()
        before = self._tree_of(parent) if parent else self._empty_tree()
        if written == before:
            return ""
        return self._commit(written, [parent] if parent else [], message, trailers or {})

    def apply(self, worktree: Path, patch: str) -> list[str]:
        """Apply a unified diff to a worktree's files, all or nothing; returns the changed paths.

        BadInput with git's words when it does not apply. Git refuses paths outside the worktree.
        """
        tree = _Tree.at(Path(worktree))
        words = ["apply", "--whitespace=nowarn", "-"]
        content = patch if patch.endswith("\n") else patch + "\n"
        ended = self._content_raw(
            words, tree=tree, stdin=content.encode("utf-8", "surrogateescape"), ok=(0, 1, 128)
        )
        if ended.returncode != 0:
            said = ended.stderr.decode("utf-8", "replace").strip()
            raise BadInput(what="patch", problems=[said or "git cannot apply it"])
        return self._touched(tree)

    def _touched(self, tree: _Tree) -> list[str]:
        if tree.index.exists():
            self._content_raw(["update-index", "-q", "--refresh"], tree=tree, ok=(0, 1))
            words = ["ls-files", "-z", "--modified", "--deleted"]
            changed = set(self._content(words, tree=tree).split("\0"))
        else:
            changed = set()
        new = self._content(["ls-files", "-z", "--others", "--exclude-standard"], tree=tree)
        changed |= {path for path in new.split("\0") if not path.endswith("/")}
        return sorted(path for path in changed - {""} if not self._is_submodule(tree, path))

    @staticmethod
    def _is_submodule(tree: _Tree, path: str) -> bool:
        """A tracked folder can only be a submodule; an untouched one is an empty folder."""
        try:
            return stat.S_ISDIR((tree.folder / path).lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    # --- References ------------------------------------------------------------------------------

    def branch_create(self, name: str, at: str) -> str:
        """Create branch `agentsys/…` at a commit unless it exists; returns the commit it is at."""
        ref = _branch(name)
        if existing := self.resolve(ref):
            return existing
        if not at:
            raise BadInput(what="branch", problems=[f"{name}: the repository has no commit yet"])
        try:
            self._refs(["update-ref", ref, _sha(at), self._zero()])
        except GitFailed:
            if existing := self.resolve(ref):  # another worker was faster
                return existing
            raise
        return at

    def keep(self, name: str, commit: str) -> None:
        """Keep a commit from garbage collection as `refs/agentsys/NAME`."""
        self._refs(["update-ref", f"refs/agentsys/{name}", _sha(commit)])

    def release(self, name: str) -> None:
        self._refs(["update-ref", "-d", f"refs/agentsys/{name}"])

    def find_trailer(self, branch: str, key: str, value: str) -> str:
        """The commit on `branch` that carries the trailer `KEY: VALUE`, or "".

        Looks at what agentsys itself committed there, newest first, and stops at the first commit
        of anyone else: that is where the branch began.
        """
        if not self.resolve(_branch(branch)):
            return ""
        form = f"--format=%H%x1f%ce%x1f%(trailers:key={key},valueonly,separator=%x1e)%x00"
        words = ["log", "--first-parent", f"--max-count={TRAILER_WALK_MAX}", form]
        listed = self._content([*words, self.resolve(_branch(branch)), "--"])
        for row in listed.split("\0"):
            sha, _, rest = row.strip("\n").partition("\x1f")
            email, _, values = rest.partition("\x1f")
            if email != EMAIL:
                return ""
            if value in (found.strip() for found in values.split("\x1e")):
                return sha
        return ""

    def merge(
        self,
        branch: str,
        commit: str,
        *,
        message: str,
        trailers: Mapping[str, str],
    ) -> MergeResult:
        """Merge a commit into branch `agentsys/…` without touching any working tree.

        Safe to call again after a crash: a commit on the branch with the same first trailer means
        that it is done. The branch moves by compare-and-set and the merge is made anew when another
        merge came in between. Raises BranchBusy when the branch is checked out somewhere.
        """
        ref = _branch(branch)
        for _ in range(MERGE_TRIES_MAX):
            tip = self.resolve(ref)
            if not tip:
                raise NotFound(kind="branch", id=branch, listing="git branch --list 'agentsys/*'")
            probe = next(iter(trailers.items()), None)
            if probe and (done := self.find_trailer(branch, *probe)):
                return MergeResult(MergeState.ALREADY, done)
            self._refuse_checked_out(ref)
            tree, conflicts = self._merge_tree(tip, _sha(commit))
            if conflicts:
                return MergeResult(MergeState.CONFLICT, "", tuple(conflicts))
            merged = self._commit(tree, [tip, commit], message, trailers)
            if self._move(ref, merged, tip):
                return MergeResult(MergeState.MERGED, merged)
        raise BranchBusy(branch=branch, reason=f"it moved {MERGE_TRIES_MAX} times meanwhile")

    def _move(self, ref: str, new: str, old: str) -> bool:
        try:
            self._refs(["update-ref", "-m", "agentsys: merge", ref, new, old])
        except GitFailed:
            if self.resolve(ref) == old:
                raise  # it did not move: the failure is another one
            return False
        return True

    def _refuse_checked_out(self, ref: str) -> None:
        heads = [self.common_dir / "HEAD", *self.common_dir.glob("worktrees/*/HEAD")]
        for head in heads:
            if head.is_file() and head.read_text(errors="replace").strip() == f"ref: {ref}":
                raise BranchBusy(
                    branch=ref.removeprefix("refs/heads/"),
                    reason=f"it is checked out ({head}); switch that working tree to another one",
                )

    def _merge_tree(self, ours: str, theirs: str) -> tuple[str, list[str]]:
        words = ["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs]
        ended = self._content_raw(words, ok=(0, 1), tree=None)
        parts = ended.stdout.decode("utf-8", "surrogateescape").split("\0")
        conflicts = sorted({path for path in parts[1:] if path}) if ended.returncode else []
        return parts[0].strip(), conflicts

    # --- Objects ---------------------------------------------------------------------------------

    def _commit(
        self, tree: str, parents: list[str], message: str, trailers: Mapping[str, str]
    ) -> str:
        lines = [f"{key}: {_one_line(value)}" for key, value in trailers.items()]
        text = message.strip() + "\n" + ("\n" + "\n".join(lines) + "\n" if lines else "")
        words = ["commit-tree", tree]
        for parent in parents:
            words += ["-p", _sha(parent)]
        return self._content([*words, "-F", "-"], stdin=text.encode()).strip()

    def _tree_of(self, commit: str) -> str:
        return self._content(["rev-parse", "--verify", f"{_sha(commit)}^{{tree}}"]).strip()

    def _empty_tree(self) -> str:
        return self._content(["hash-object", "-t", "tree", "-w", "--stdin"]).strip()

    def _zero(self) -> str:
        return "0" * (64 if self.sha_format == "sha256" else 40)

    # --- Running git -----------------------------------------------------------------------------

    def _refs(self, words: list[str], ok: tuple[int, ...] = (0,)) -> str:
        env = {"GIT_DIR": str(self.git_dir)}
        ended = _run(words, cwd=self.git_dir, env=env)
        return self._checked(words, ended, ok).stdout.decode("utf-8", "surrogateescape")

    def _content(self, words: list[str], *, tree: _Tree | None = None, stdin: bytes = b"") -> str:
        ended = self._content_raw(words, tree=tree, stdin=stdin)
        return ended.stdout.decode("utf-8", "surrogateescape")

    def _content_raw(
        self,
        words: list[str],
        *,
        tree: _Tree | None,
        stdin: bytes = b"",
        ok: tuple[int, ...] = (0,),
    ) -> subprocess.CompletedProcess[bytes]:
        ours = _own_git_dir(self.sha_format)
        env = {"GIT_DIR": str(ours), "GIT_OBJECT_DIRECTORY": str(self.common_dir / "objects")}
        if (shallow := self.common_dir / "shallow").exists():
            env["GIT_SHALLOW_FILE"] = str(shallow)
        if tree is not None:
            env |= {"GIT_WORK_TREE": str(tree.folder), "GIT_INDEX_FILE": str(tree.index)}
        cwd = tree.folder if tree is not None else ours
        return self._checked(words, _run(words, cwd=cwd, env=env, stdin=stdin), ok)

    def _checked(
        self, words: list[str], ended: subprocess.CompletedProcess[bytes], ok: tuple[int, ...]
    ) -> subprocess.CompletedProcess[bytes]:
        if ended.returncode not in ok:
            stderr = ended.stderr.decode("utf-8", "replace").strip()[-500:]
            raise GitFailed(
                command=words[0], path=str(self.top), status=ended.returncode, stderr=stderr
            )
        return ended


@dataclass(frozen=True, slots=True)
class _Tree:
    """A working tree and its index, which lies beside it, out of a sandboxed program's reach."""

    folder: Path
    index: Path

    @classmethod
    def at(cls, folder: Path) -> _Tree:
        folder = folder.absolute()
        return cls(folder=folder, index=folder.parent / f".{folder.name}.index")


def _run(
    words: list[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    options = [part for key, value in _HARDENED for part in ("-c", f"{key}={value}")]
    try:
        return subprocess.run(
            ["git", "--no-pager", "--no-replace-objects", "--literal-pathspecs", *options, *words],
            cwd=cwd,
            env={**_ENV, **env},
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        problem = "git is not installed; install it (`apt install git`)"
        raise BadInput(what="repository", problems=[problem]) from error
    except subprocess.TimeoutExpired as error:
        raise GitFailed(
            command=words[0], path=str(cwd), status="none", stderr=f"over {TIMEOUT_SECONDS:.0f} s"
        ) from error


_ENV = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ASKPASS": "/bin/false",
    "GIT_EDITOR": "/bin/false",
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
    "TZ": "UTC",
}


def _own_git_dir(sha_format: str) -> Path:
    """An empty git directory of ours; nothing is ever written to it after it was made."""
    from django.conf import settings

    folder: Path = Path(settings.AGENTSYS.home) / "git" / sha_format
    if (folder / "HEAD").exists():
        return folder
    version = 1 if sha_format == "sha256" else 0
    config = f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n"
    config += "[extensions]\n\tobjectformat = sha256\n" if version else ""
    for name in ("objects", "refs/heads"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _write_whole(folder / "config", config)
    _write_whole(folder / "HEAD", "ref: refs/heads/none\n")  # last: it says that all is there
    return folder


def _write_whole(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)


def _branch(name: str) -> str:
    """The full reference of one of our branches; BadInput for any other."""
    short = name.removeprefix("refs/heads/")
    good = short.startswith(PREFIX) and re.fullmatch(r"[A-Za-z0-9._/-]+", short)
    if not good or ".." in short or "//" in short or short.endswith(("/", ".lock", ".")):
        problem = f"`{name}` is not a branch of agentsys; expected {PREFIX}NAME"
        raise BadInput(what="branch", problems=[problem])
    return f"refs/heads/{short}"


def _sha(commit: str) -> str:
    if not _SHA.match(commit):
        raise BadInput(what="commit", problems=[f"`{commit}` is not a full commit hash"])
    return commit


def _one_line(value: str) -> str:
    return " ".join(str(value).split())


def _no_repository(problem: str) -> BadInput:
    return BadInput(what="repository", problems=[problem])
