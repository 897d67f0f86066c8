"""Calling the git program, hardened: see the package's docstring for the two ways."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agentsys.kernel.errors import BadInput
from workers.errors import GitFailed

TIMEOUT_SECONDS = 120.0
NAME, EMAIL = "agentsys", "agentsys@localhost"
HARDENED = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.protectHFS", "true"),  # names that are `.git` on the file systems of others
    ("core.protectNTFS", "true"),
    ("core.sshCommand", "/bin/false"),
    ("core.alternateRefsCommand", "/bin/false"),
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

ENV = {
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
    # Unlike protocol.allow, this cannot be set aside by protocol.NAME.allow in a repository.
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ASKPASS": "/bin/false",
    "GIT_EDITOR": "/bin/false",
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
    "TZ": "UTC",
}


@dataclass(frozen=True, slots=True)
class Tree:
    """A working tree and the index to compare it with."""

    folder: Path
    index: Path


@dataclass(frozen=True)
class Plumbing:
    """A repository's places. `path` is the working tree's folder, or a bare repository's own."""

    path: Path
    git_dir: Path
    common_dir: Path
    bare: bool
    sha_format: str

    def _refs(self, words: list[str], ok: tuple[int, ...] = (0,)) -> str:
        env = {"GIT_DIR": str(self.git_dir)}
        ended = git_run(words, cwd=self.git_dir, env=env)
        return self._checked(words, ended, ok).stdout.decode("utf-8", "surrogateescape")

    def _content(self, words: list[str], *, tree: Tree | None = None, stdin: bytes = b"") -> str:
        ended = self._content_raw(words, tree=tree, stdin=stdin)
        return ended.stdout.decode("utf-8", "surrogateescape")

    def _content_raw(
        self,
        words: list[str],
        *,
        tree: Tree | None,
        stdin: bytes = b"",
        ok: tuple[int, ...] = (0,),
        seconds: float = TIMEOUT_SECONDS,
    ) -> subprocess.CompletedProcess[bytes]:
        ours = own_git_dir(self.sha_format)
        env = {"GIT_DIR": str(ours), "GIT_OBJECT_DIRECTORY": str(self.common_dir / "objects")}
        if (shallow := self.common_dir / "shallow").exists():
            env["GIT_SHALLOW_FILE"] = str(shallow)
        if tree is not None:
            env |= {"GIT_WORK_TREE": str(tree.folder), "GIT_INDEX_FILE": str(tree.index)}
        cwd = tree.folder if tree is not None else ours
        ended = git_run(words, cwd=cwd, env=env, stdin=stdin, seconds=seconds)
        return self._checked(words, ended, ok)

    def _checked(
        self, words: list[str], ended: subprocess.CompletedProcess[bytes], ok: tuple[int, ...]
    ) -> subprocess.CompletedProcess[bytes]:
        if ended.returncode not in ok:
            stderr = ended.stderr.decode("utf-8", "replace").strip()[-500:]
            raise GitFailed(
                command=words[0], path=str(self.path), status=ended.returncode, stderr=stderr
            )
        return ended

    def _give_back(self) -> None:
        """As root in another user's repository: let them own what was written to it, or their own
        git could no longer add to those folders."""
        owner = self.common_dir.stat()
        if os.geteuid() != 0 or owner.st_uid == 0:
            return
        for name in ("objects", "refs", "logs"):
            for _, folders, files, handle in os.fwalk(self.common_dir / name):
                for entry in (*folders, *files):
                    with suppress(FileNotFoundError):  # a temporary file of a git still running
                        found = os.stat(entry, dir_fd=handle, follow_symlinks=False)
                        if found.st_uid == 0:
                            os.chown(
                                *(entry, owner.st_uid, owner.st_gid),
                                dir_fd=handle,
                                follow_symlinks=False,
                            )

    def _commit(
        self, tree: str, parents: list[str], message: str, trailers: Mapping[str, str]
    ) -> str:
        lines = [f"{key}: {one_line(value)}" for key, value in trailers.items()]
        text = message.strip() + "\n" + ("\n" + "\n".join(lines) + "\n" if lines else "")
        words = ["commit-tree", tree]
        for parent in parents:
            words += ["-p", full_sha(parent)]
        return self._content([*words, "-F", "-"], stdin=text.encode()).strip()

    def _tree_of(self, commit: str) -> str:
        return self._content(["rev-parse", "--verify", f"{full_sha(commit)}^{{tree}}"]).strip()

    def _empty_tree(self) -> str:
        return self._content(["hash-object", "-t", "tree", "-w", "--stdin"]).strip()

    def _zero(self) -> str:
        return "0" * (64 if self.sha_format == "sha256" else 40)


def git_run(
    words: list[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes = b"",
    seconds: float = TIMEOUT_SECONDS,
) -> subprocess.CompletedProcess[bytes]:
    options = [part for key, value in HARDENED for part in ("-c", f"{key}={value}")]
    try:
        return subprocess.run(
            ["git", "--no-pager", "--no-replace-objects", "--literal-pathspecs", *options, *words],
            cwd=cwd,
            env={**ENV, **env},
            input=stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        problem = "git is not installed; install it (`apt install git`)"
        raise BadInput(what="repository", problems=[problem]) from error
    except subprocess.TimeoutExpired as error:
        raise GitFailed(
            command=words[0], path=str(cwd), status="none", stderr=f"over {seconds:.0f} s"
        ) from error


def own_git_dir(sha_format: str) -> Path:
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


def is_sha(text: str) -> bool:
    return _SHA.match(text) is not None


def full_sha(commit: str) -> str:
    if not is_sha(commit):
        raise BadInput(what="commit", problems=[f"`{commit}` is not a full commit hash"])
    return commit


def one_line(value: str) -> str:
    return " ".join(str(value).split())
