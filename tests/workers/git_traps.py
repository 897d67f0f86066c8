"""Repositories that want to run a program, or to have something read or written outside of them.

Each trap is given a repository with a commit, a program that leaves a mark, and a victim: another
repository beside it. It returns the commit to work from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.workers.given import GivenRepository

HOOKS = (
    *("pre-commit", "post-checkout", "post-merge", "reference-transaction", "post-index-change"),
    *("pre-auto-gc", "post-rewrite", "applypatch-msg", "pre-applypatch", "commit-msg", "update"),
    *("prepare-commit-msg", "post-commit", "pre-merge-commit", "fsmonitor-watchman", "pre-push"),
)


@dataclass(frozen=True)
class Given:
    repo: GivenRepository
    evil: Path  # a program that leaves a mark, and copies its input
    victim: GivenRepository

    @property
    def git(self) -> Path:
        return self.repo.path / ".git"

    def config(self, **values: str) -> None:
        """Settings by name, with `__` for a dot."""
        for name, value in values.items():
            self.repo.git("config", name.replace("__", "."), value)

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """A commit of a tree that git itself would not write: (mode, name, content or object)."""
        raw = b""
        for mode, name, content in entries:
            sha = content if mode in ("40000", "160000") else self.blob(content)
            raw += f"{mode} {name}".encode() + b"\0" + bytes.fromhex(sha)
        path = self.repo.path.parent / "raw-tree"
        path.write_bytes(raw)
        words = ["hash-object", "--literally", "-w", "-t", "tree", str(path)]
        return self.repo.git("commit-tree", "-m", "made by hand", self.repo.git(*words))

    def subtree(self, name: str, content: str) -> str:
        path = self.repo.path.parent / "raw-tree"
        path.write_bytes(f"100644 {name}".encode() + b"\0" + bytes.fromhex(self.blob(content)))
        return self.repo.git("hash-object", "--literally", "-w", "-t", "tree", str(path))

    def blob(self, content: str) -> str:
        path = self.repo.path.parent / "raw-blob"
        path.write_text(content)
        return self.repo.git("hash-object", "-w", str(path))


def hooks(given: Given) -> None:
    for name in HOOKS:
        shutil.copy(given.evil, given.git / "hooks" / name)


def hooks_elsewhere(given: Given) -> None:
    folder = given.repo.path / "tools"
    folder.mkdir()
    for name in HOOKS:
        shutil.copy(given.evil, folder / name)
    given.config(core__hooksPath="tools")


def filters(given: Given) -> str:
    given.repo.put(".gitattributes", "* filter=evil\n")
    commit = given.repo.commit()
    for key in ("clean", "smudge", "process"):
        given.repo.git("config", f"filter.evil.{key}", str(given.evil))
    given.config(filter__evil__required="true")
    return commit


def filters_beside_the_tree(given: Given) -> None:
    (given.git / "info" / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    given.config(filter__evil__clean=str(given.evil), filter__evil__smudge=str(given.evil))


def textconv(given: Given) -> str:
    given.repo.put(".gitattributes", "* diff=evil\n")
    commit = given.repo.commit()
    given.config(diff__evil__textconv=str(given.evil), diff__evil__command=str(given.evil))
    given.config(diff__external=str(given.evil))
    return commit


def merge_driver(given: Given) -> str:
    given.repo.put(".gitattributes", "* merge=evil\n")
    commit = given.repo.commit()
    given.config(merge__evil__driver=f"{given.evil} %O %A %B", merge__default="evil")
    return commit


def fsmonitor(given: Given) -> None:
    given.config(core__fsmonitor=str(given.evil), core__fsmonitorHookVersion="2")


def included(given: Given) -> None:
    path = given.repo.path.parent / "more.config"
    path.write_text(f"[core]\n\tfsmonitor = {given.evil}\n\thooksPath = {given.evil.parent}\n")
    given.config(include__path=str(path))


def included_if(given: Given) -> None:
    included(given)
    given.repo.git("config", "--unset", "include.path")
    path = str(given.repo.path.parent / "more.config")
    given.repo.git("config", f"includeIf.gitdir:{given.repo.path}/.path", path)


def worktree_settings(given: Given) -> None:
    given.config(core__repositoryFormatVersion="1", extensions__worktreeConfig="true")
    (given.git / "config.worktree").write_text(f"[core]\n\tfsmonitor = {given.evil}\n")


def programs(given: Given) -> None:
    """Every other setting that names one."""
    for key in (
        *("core.sshCommand", "core.pager", "core.editor", "core.askPass", "core.gitProxy"),
        *("core.alternateRefsCommand", "gpg.program", "gpg.ssh.program", "alias.log"),
        *("credential.helper", "sequence.editor", "trailer.x.command", "trailer.x.cmd"),
        *("uploadpack.packObjectsHook", "interactive.diffFilter", "pager.log", "pager.diff"),
        *("mergetool.x.cmd", "difftool.x.cmd", "browser.x.cmd", "man.x.cmd", "tar.x.command"),
    ):
        given.repo.git("config", key, str(given.evil))
    given.config(commit__gpgSign="true", log__showSignature="true", tag__gpgSign="true")


def submodules(given: Given) -> str:
    url = f"ext::sh -c {given.evil}"
    text = f'[submodule "s"]\n\tpath = s\n\turl = {url}\n\tupdate = !{given.evil}\n'
    given.repo.put(".gitmodules", text)
    head = given.repo.git("rev-parse", "HEAD")
    given.repo.git("update-index", "--add", "--cacheinfo", f"160000,{head},s")
    given.repo.git("add", ".gitmodules")
    given.repo.git("commit", "-q", "-m", "a submodule")
    given.config(submodule__recurse="true", submodule__s__url=url, protocol__ext__allow="always")
    given.config(submodule__s__update=f"!{given.evil}", submodule__s__active="true")
    return given.repo.git("rev-parse", "HEAD")


def submodule_out(given: Given) -> str:
    given.repo.put(".gitmodules", '[submodule "../../x"]\n\tpath = s\n\turl = -u./evil\n')
    return given.repo.commit()


def missing_objects(given: Given) -> None:
    """A partial clone fetches what is missing, from whatever `url` names."""
    given.config(core__repositoryFormatVersion="1", extensions__partialClone="o")
    given.config(remote__o__promisor="true", remote__o__url=f"ext::sh -c {given.evil}")
    given.config(protocol__ext__allow="always", remote__o__uploadpack=str(given.evil))
    (given.git / "refs" / "heads" / "gone").write_text("1234567890" * 4 + "\n")


def borrowed_objects(given: Given) -> None:
    path = given.git / "objects" / "info" / "alternates"
    path.write_text(f"{given.victim.path}/.git/objects\n")


def linked_objects(given: Given) -> None:
    for folder in (given.victim.path / ".git" / "objects").iterdir():
        if not (given.git / "objects" / folder.name).exists():
            (given.git / "objects" / folder.name).symlink_to(folder)


def objects_of_another(given: Given) -> None:
    shutil.rmtree(given.git / "objects")
    (given.git / "objects").symlink_to(given.victim.path / ".git" / "objects")


def git_folder_of_another(given: Given) -> None:
    shutil.rmtree(given.git)
    given.git.write_text(f"gitdir: {given.victim.path}/.git\n")


def git_folder_by_a_link(given: Given) -> None:
    shutil.rmtree(given.git)
    given.git.symlink_to(given.victim.path / ".git")


def common_folder_of_another(given: Given) -> None:
    (given.git / "commondir").write_text(f"{given.victim.path}/.git\n")


def references_by_a_link(given: Given) -> None:
    target = given.victim.path / ".git" / "refs" / "heads" / "agentsys"
    target.mkdir()
    (given.git / "refs" / "heads" / "agentsys").symlink_to(target)
    (given.git / "refs" / "agentsys").symlink_to(target)


def logs_by_a_link(given: Given) -> None:
    folder = given.git / "logs" / "refs" / "heads" / "agentsys"
    folder.mkdir(parents=True)
    (folder / "goal-1").symlink_to(given.victim.path / "README.txt")


def packed_references_by_a_link(given: Given) -> None:
    given.victim.git("pack-refs", "--all")
    (given.git / "packed-refs").unlink(missing_ok=True)
    (given.git / "packed-refs").symlink_to(given.victim.path / ".git" / "packed-refs")


def a_branch_that_stands_for_main(given: Given) -> None:
    given.repo.git("symbolic-ref", "refs/heads/agentsys/goal-1", "refs/heads/main")


def replaced_objects(given: Given) -> str:
    head = given.repo.git("rev-parse", "HEAD")
    given.repo.put("a.py", "import evil\n")
    other = given.repo.commit()
    given.repo.git("reset", "-q", "--hard", head)
    given.repo.git("replace", head, other)
    (given.git / "info" / "grafts").write_text(f"{head} {other}\n")
    return head


def another_working_tree(given: Given) -> None:
    given.config(core__worktree=str(given.victim.path))


def linked_folders(given: Given) -> str:
    for name, target in (("out", given.victim.path), ("up", ".."), ("root", "/"), ("self", ".")):
        (given.repo.path / name).symlink_to(target)
    return given.repo.commit()


def link_and_folder_of_one_name(given: Given) -> str:
    inner = given.subtree("README.txt", "written through a link\n")
    link = ("120000", "out", str(given.victim.path))
    return given.tree(("100644", "a.py", "x = 1\n"), link, ("40000", "out", inner))


def link_and_folder_by_case(given: Given) -> str:
    inner = given.subtree("README.txt", "written through a link\n")
    return given.tree(("120000", "Out", str(given.victim.path)), ("40000", "out", inner))


def git_folder_in_the_tree(given: Given) -> str:
    inner = given.subtree("config", f"[core]\n\tfsmonitor = {given.evil}\n")
    return given.tree(("40000", ".git", inner), ("100644", "a.py", "x = 1\n"))


def git_folder_by_other_names(given: Given) -> str:
    inner = given.subtree("config", f"[core]\n\tfsmonitor = {given.evil}\n")
    names = (".GIT", ".git ", ".git.", ".g\u200cit", "git~1", ".gIt\u200d")
    return given.tree(*(("40000", name, inner) for name in sorted(names, key=str.encode)))


def climbing_names(given: Given) -> str:
    inner = given.subtree("README.txt", "written from below\n")
    up = given.subtree("../../victim/README.txt", "written from below\n")
    return given.tree(("40000", "..", inner), ("40000", "d", up))


def bare_repository_in_the_tree(given: Given) -> str:
    for name in ("", "sub/"):
        given.repo.put(f"{name}HEAD", "ref: refs/heads/main\n")
        given.repo.put(f"{name}objects/info/x", "")
        given.repo.put(f"{name}refs/heads/x", "")
        given.repo.put(f"{name}config", f"[core]\n\tbare = true\n\tfsmonitor = {given.evil}\n")
    return given.repo.commit()


def names_that_look_like_options(given: Given) -> str:
    for name in (
        "--output=../../victim/README.txt",
        "-rf",
        "--upload-pack=x",
        ":(top)a.py",
        "$(id)",
    ):
        given.repo.put(name.replace("/", "_"), "x\n")
    return given.repo.commit()


def index_by_a_link(given: Given) -> None:
    (given.git / "index").unlink()
    (given.git / "index").symlink_to("/dev/zero")


def encodings(given: Given) -> str:
    given.repo.put(".gitattributes", "*.py working-tree-encoding=UTF-16 eol=crlf ident\n")
    given.repo.git("add", ".gitattributes")
    given.repo.git("commit", "-q", "-m", "encodings")
    return given.repo.git("rev-parse", "HEAD")


def pipes(given: Given) -> None:
    os.mkfifo(given.repo.path / "pipe.py")
    os.mkfifo(given.git / "COMMIT_EDITMSG2")


TRAPS: tuple[Callable[[Given], str | None], ...] = (
    *(hooks, hooks_elsewhere, filters, filters_beside_the_tree, textconv, merge_driver, fsmonitor),
    *(included, included_if, worktree_settings, programs, submodules, submodule_out),
    *(missing_objects, borrowed_objects, linked_objects, objects_of_another),
    *(git_folder_of_another, git_folder_by_a_link, common_folder_of_another),
    *(references_by_a_link, logs_by_a_link, packed_references_by_a_link),
    *(a_branch_that_stands_for_main, replaced_objects, another_working_tree, linked_folders),
    *(link_and_folder_of_one_name, link_and_folder_by_case, git_folder_in_the_tree),
    *(git_folder_by_other_names, climbing_names, bare_repository_in_the_tree),
    *(names_that_look_like_options, index_by_a_link, encodings, pipes),
)
# Those that make a plain `git status`, `checkout`, `diff`, `commit` or `merge` run the program.
ARMED = (hooks, hooks_elsewhere, filters, textconv, merge_driver, fsmonitor, included, included_if)
ARMED += (worktree_settings, filters_beside_the_tree)
