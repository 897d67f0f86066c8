"""A thousand paths through every door that takes one from an agent: nothing outside the workspace is
read or written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from agentsys.kernel.errors import AgentsysError, BadInput
from tests.workers.given import GivenRepository
from tests.workers.paths_payloads import payloads
from verification.domain.paths import path_fault
from workers.actions import Action
from workers.agents.command import _inside
from workers.beneath import file_name, is_plain, open_below, write_below
from workers.contracts import ScopeGrant
from workers.corpus import read_folder
from workers.git import Repository
from workers.patterns import matches
from workers.tools import ToolFailed
from workers.tools.reading import Checkout

CANARY = "canary-outside-9b3e"


class World:
    """A workspace with links that lead out, and what lies outside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.outside = root / "outside"
        self.outside.mkdir()
        self.secret = self.outside / "secret.txt"
        self.secret.write_text(CANARY)
        self.repo = GivenRepository(root / "repo")
        self.payloads = payloads(self.secret)
        self.before = self.state()

    def state(self) -> dict[str, str]:
        found = {}
        for path in sorted(self.outside.rglob("*")):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def fill(self, folder: Path) -> None:
        """The links, and a file to name."""
        (folder / "src").mkdir()
        (folder / "out").mkdir()
        (folder / "a.py").write_text("x = 1\n")
        links = {
            "link": self.outside,
            "file_link": self.secret,
            "up": "..",
            "chain": "link",
            "circle": "circle",
            "root": "/",
            "proc": "/proc/self/root",
            "out/link": "../link",
            "src/file_link": self.secret,
        }
        for name, target in links.items():
            (folder / name).symlink_to(target)

    def unchanged(self) -> bool:
        ours = {"outside", "repo", "work", "home", "top"}
        return self.state() == self.before and {p.name for p in self.root.iterdir()} <= ours


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_there_are_a_thousand(world: World) -> None:
    assert len(world.payloads) >= 1000


def test_the_gate_of_scopes_lets_nothing_out(world: World) -> None:
    """What the widest scopes allow is below the root in plain form, and never git's own folder."""
    git = {"git~1", "git~2", ".git"}
    for payload in world.payloads:
        if path_fault(payload, ["**", ".", payload]) is None:
            assert os.path.normpath(payload) == payload
            assert is_plain(payload)
            parts = payload.lower().replace("\u200c", "").replace("\ufeff", "").split("/")
            assert not any(part.strip(" .") in git or part.startswith(".git") for part in parts)
        if not is_plain(payload):
            assert path_fault(payload, ["**", ".", payload]) is not None, repr(payload)
            assert not matches(payload, ["**", ".", "", payload]), repr(payload)


def test_tools_read_only_what_the_commit_holds(world: World) -> None:
    world.fill(world.repo.path)
    base = world.repo.commit()
    checkout = Checkout(world.repo.open(), base, (ScopeGrant("repo:**", "read"),))
    shown: list[object] = []
    for payload in world.payloads:
        shown += [checkout.listed({"prefix": payload})]
        with suppress(ToolFailed):
            shown.append(checkout.read({"path": payload}))
    shown.append(checkout.search({"text": CANARY}))
    assert CANARY not in str(shown)
    assert world.unchanged()


def test_a_corpus_is_its_folder(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    world.fill(folder)
    os.mkfifo(folder / "pipe")
    found: list[object] = list(read_folder(folder))
    chunks = [world.payloads[n : n + 100] for n in range(0, len(world.payloads), 100)]
    for chunk in chunks:
        inside = []
        for payload in chunk:
            try:
                list(read_folder(folder, [payload])) if payload[:1] in "/." else None
            except BadInput:
                continue
            inside.append(payload)
        with suppress(BadInput):
            found += list(read_folder(folder, inside))
    assert CANARY not in str(found)


def test_what_is_opened_is_below(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    world.fill(folder)
    opened = set()
    for payload in world.payloads:
        with suppress(OSError, ValueError):
            handle = open_below(folder, payload)
            opened.add(os.readlink(f"/proc/self/fd/{handle}"))  # noqa: PTH115
            os.close(handle)
    assert opened <= {str(folder / "a.py")}


def test_claims_are_grounded_in_their_corpus_only(world: World, tmp_path: Path) -> None:
    from verification.verifiers.grounding import _in_folder

    folder = tmp_path / "work"
    folder.mkdir()
    world.fill(folder)
    assert CANARY not in str([_in_folder(folder, payload) for payload in world.payloads])


def test_artifacts_are_written_below(world: World, tmp_path: Path) -> None:
    """As the check that looks at artifacts lays them out, and as reports are exported."""
    folder = tmp_path / "work"
    folder.mkdir()
    world.fill(folder)
    for payload in world.payloads:
        with suppress(OSError, ValueError):
            write_below(folder, payload, b"written")
        name = file_name(payload)
        assert name == Path(name).name
        assert name not in ("", ".", "..")
        assert len(name.encode()) <= 255 - len(".partial")
        exported = folder / "exported"
        exported.mkdir(exist_ok=True)
        (exported / name).write_bytes(b"written")
    assert world.unchanged()


def test_commands_stay_in_their_folder(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    world.fill(folder)
    for payload in world.payloads:
        with suppress(BadInput):
            assert _inside(folder, payload).is_relative_to(folder.resolve())


def test_actions_write_where_they_say(world: World) -> None:
    """A folder that is reached by a link, or climbed to, is another one than people approved."""
    for payload in world.payloads:
        action = Action(argv=("true",), writable=(payload,))
        try:
            action.check_folders()
        except BadInput:
            continue
        assert os.path.realpath(payload) == payload.rstrip("/")


PATCHES = (
    "--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+written\n",
    "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    "@@ -0,0 +1 @@\n+written\n",
    "diff --git a/a.py b/{path}\nsimilarity index 100%\nrename from a.py\nrename to {path}\n",
    "diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+{target}\n"
    "\\ No newline at end of file\n"
    "diff --git a/x/new b/x/new\nnew file mode 100644\n--- /dev/null\n+++ b/x/new\n"
    "@@ -0,0 +1 @@\n+written\n",
)


def test_patches_change_only_the_worktree(world: World, tmp_path: Path) -> None:
    world.fill(world.repo.path)
    base = world.repo.commit()
    repository = world.repo.open()
    tree = repository.worktree_add(tmp_path / "work", base)
    applied = 0
    for number, payload in enumerate(world.payloads):
        form = PATCHES[number % len(PATCHES)]
        patch = form.format(path=payload, target=world.outside)
        with suppress(AgentsysError, ValueError):
            repository.apply(tree, patch)
            applied += 1
        if number % 100 == 0:
            assert world.unchanged(), payload
    assert world.unchanged()
    assert not _git_folders(tree)
    _only_below(tree)
    assert applied > 10  # those that are plain names after all


def test_commits_and_merges_hold_no_path_of_gits_own(world: World, tmp_path: Path) -> None:
    """Each name that the file system takes, made by a program in a worktree."""
    world.repo.put("a.py", "x = 1\n")
    base = world.repo.commit()
    repository = world.repo.open()
    names = [p for p in world.payloads if is_plain(p) and _takes(tmp_path / "work" / "names", p)]
    assert len(names) > 100
    git = [name for name in names if "git" in name.lower()]
    for name in (*git, *(n for n in names if n not in git and names.index(n) % 12 == 0)):
        tree = repository.worktree_add(tmp_path / "work" / "tree", base)
        with suppress(OSError, ValueError, AgentsysError):
            write_below(tree, name, b"written")
            commit = repository.commit_all(tree, "change", parent=base)
            if commit:
                repository.branch_create("agentsys/goal-1", base)
                repository.merge("agentsys/goal-1", commit, message="m", trailers={"N": name})
                for path in repository.files(commit):
                    assert is_plain(path)
                    assert not any(p.lower() == ".git" for p in path.split("/"))
        repository.worktree_remove(tree)
    assert world.unchanged()


def _takes(root: Path, name: str) -> bool:
    root.mkdir(parents=True, exist_ok=True)
    try:
        write_below(root, name, b"")
    except (OSError, ValueError):
        return False
    return True


def _git_folders(tree: Path) -> list[Path]:
    return [path for path in tree.rglob("*") if path.name.lower() == ".git"]


def _only_below(tree: Path) -> None:
    for path in tree.rglob("*"):
        assert path.is_symlink() or path.resolve().is_relative_to(tree.resolve())


def test_a_part_exchanged_for_a_link_is_not_followed(world: World, tmp_path: Path) -> None:
    """Between looking and opening; as a folder that is lent to a program may change at any time."""
    folder = tmp_path / "work"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "secret.txt").write_text("harmless")
    documents: Iterable[object] = read_folder(folder)
    (folder / "notes" / "secret.txt").unlink()
    (folder / "notes").rmdir()
    (folder / "notes").symlink_to(world.outside)
    assert CANARY not in str(list(documents))
    with pytest.raises(OSError, match=r"directory|links"):
        open_below(folder, "notes/secret.txt")


def test_repositories_are_opened_by_what_they_are(world: World) -> None:
    for payload in world.payloads:
        with suppress(BadInput):
            assert Repository.open(world.repo.path / payload).path == world.repo.path
