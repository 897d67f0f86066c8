"""A model changes files in a tree of its own, within its scopes, and nothing is done twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsys.kernel.errors import LeaseLost
from tests.workers.given import GivenRepository
from tests.workers.tooling import HELLO, call, finish, hello, model_brief, speak, told, work
from workers import sandbox
from workers.contracts import FailureKind, Outcome, Owner, ToolGrant
from workers.models import Step
from workers.services import blob_get
from workers.tools import files
from workers.tools.base import ToolFailed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["hello", "speak"]


def edit(old: str, new: str, path: str = "src/hello.py", **rest: Any) -> Any:
    return call("edit_file", path=path, old=old, new=new, **rest)


def content(repo: GivenRepository, commit: str, path: str) -> str:
    return repo.open().read(commit, path).decode()


def test_what_a_model_changed_is_one_proposal_and_no_branch_moves(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    before = hello.state()
    speak(
        edit("'hello'", "'hi'"),
        call("write_file", path="src/new/b.py", content="x = 1\n"),
        call("git_commit", message="Greet shortly"),
        call("delete_file", path="src/new/b.py"),
        finish(),
    )
    report = work(model_brief(hello, "repo:src/**"), tmp_path / "w")
    assert report.outcome is Outcome.DONE
    (proposal,) = report.proposals
    assert (proposal.kind, proposal.title) == ("change", "Greet shortly")
    assert proposal.payload["paths"] == ["src/hello.py"]
    commit = proposal.payload["commit"]
    assert content(hello, commit, "src/hello.py") == HELLO.replace("hello'", "hi'")
    assert hello.git("rev-parse", f"{commit}^") == proposal.base_hash == hello.open().head()
    assert hello.state() == before
    assert [a.name for a in report.artifacts] == ["change.diff"]


def test_an_edit_must_match_exactly_once(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    lines = speak(
        edit("hell0", "x"),
        edit("hello", "hi"),
        edit("hello", "hi", all=True),
        call("read_file", path="src/hello.py"),
        finish(),
    )
    work(model_brief(hello, "repo:src/**"), tmp_path / "w")
    absent, twice, every, read = told(lines, 4)
    assert "`old` does not stand in src/hello.py" in absent
    assert "`old` stands in src/hello.py 2 times" in twice
    assert "2 changed" in every
    assert "def hi()" in read


@pytest.mark.parametrize(
    "path",
    ["docs/a.md", "../x", "/etc/passwd", "src/../docs/a.md", "src/.git/config", ".git/hooks/x",
     "src//a", "./src/a", "src\\..\\x", "src/a\n", "~/x", "src/.GIT/x", ""],
)  # fmt: skip
def test_no_tool_writes_outside_of_the_write_scopes(
    speak: Any, hello: GivenRepository, tmp_path: Path, path: str
) -> None:
    lines = speak(
        call("write_file", path=path, content="x"),
        call("delete_file", path=path),
        edit("#", "x", path=path),
        finish(),
    )
    report = work(model_brief(hello, "repo:src/**"), tmp_path / "w")
    assert all(text.startswith("failed: ") for text in told(lines, 3))
    assert report.proposals == ()


SECURITYS = Owner("repo:src/auth/**", "security")
OWN = Owner("repo:src/auth/docs/**", "model", foreign=False)
OWNED = "`src/auth/a.py` belongs to security, who owns repo:src/auth/**: leave it as it is"
PATCH = "--- /dev/null\n+++ b/src/auth/a.py\n@@ -0,0 +1 @@\n+x = 1\n"
MAKES = "import os; os.makedirs('src/auth'); open('src/auth/a.py', 'w'); open('src/b.py', 'w')"


@pytest.mark.parametrize(
    "used",
    [
        call("write_file", path="src/auth/a.py", content="x = 1\n"),
        call("delete_file", path="src/auth/a.py"),
        edit("1", "2", path="src/auth/a.py"),
        call("apply_patch", patch=PATCH),
        call("run_command", argv=["python3", "-c", MAKES]),
    ],
    ids=lambda used: used.calls[0][0],
)
def test_what_another_role_owns_is_not_changed_and_the_agent_is_told_whose_it_is(
    speak: Any, hello: GivenRepository, tmp_path: Path, used: Any
) -> None:
    lines = speak(used, call("write_file", path="src/auth/docs/a.md", content="x\n"), finish())
    brief = model_brief(hello, "repo:src/**", owners=(OWN, SECURITYS))
    report = work(brief, tmp_path / "w")
    refused, written = told(lines, 2)
    if used.calls[0][0] == "run_command":
        assert "put back: src/auth/a.py\n" in refused
        assert report.proposals[0].payload["paths"] == ["src/auth/docs/a.md", "src/b.py"]
    else:
        assert report.proposals[0].payload["paths"] == ["src/auth/docs/a.md"]
    assert OWNED in refused
    assert "`add_task`" in refused
    assert "1 lines written" in written
    opening = str(lines.asked[0][0].content)
    assert "but not write repo:src/auth/**: security owns it" in opening


def test_a_patch_is_applied_whole_or_not_at_all(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    inside = (
        "--- a/src/hello.py\n+++ b/src/hello.py\n@@ -1,2 +1,2 @@\n def hello():\n"
        "-    return 'hello'\n+    return 'hi'\n"
    )
    outside = "--- a/docs/a.md\n+++ b/docs/a.md\n@@ -1 +1 @@\n-# A\n+# B\n"
    lines = speak(
        call("apply_patch", patch=inside + outside),
        call("git_status"),
        call("apply_patch", patch=inside),
        call("git_status"),
        finish(),
    )
    report = work(model_brief(hello, "repo:src/**"), tmp_path / "w")
    refused, nothing, applied, one = told(lines, 4)
    assert "`docs/a.md` is outside of the write scopes" in refused
    assert "[]" in nothing
    assert "newly changed: src/hello.py" in applied
    assert '["src/hello.py"]' in one
    assert report.proposals[0].payload["paths"] == ["src/hello.py"]


def test_links_are_neither_followed_nor_replaced(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "link").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    for path in ("link", "folder/secret", "folder/new"):
        with pytest.raises(ToolFailed):
            files.write(root, path, b"x", "t")
        with pytest.raises(ToolFailed):
            files.read(root, path, "t")
    with pytest.raises(ToolFailed):
        files.remove(root, "folder/secret", "t")
    assert [p.name for p in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "secret"


def test_a_file_that_git_ignores_is_refused_since_it_would_be_lost(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    lines = speak(call("write_file", path="src/a.log", content="x"), finish())
    assert work(model_brief(hello, "repo:src/**"), tmp_path / "w").proposals == ()
    assert "is ignored by the repository" in told(lines, 1)[0]


def test_a_task_without_write_scopes_has_no_tool_that_changes_a_file(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    lines = speak(edit("hello", "x"), finish())
    work(model_brief(hello), tmp_path / "w")
    assert "there is no tool `edit_file`" in told(lines, 1)[0]


# --- What a crash leaves -------------------------------------------------------------------------

# Guards: prompt 1, then for each turn the model 2, 4, … and its tool 3, 5, …


@pytest.mark.parametrize("stops_at", range(2, 9))
def test_a_successor_has_the_same_files_and_repeats_no_step(
    speak: Any, hello: GivenRepository, tmp_path: Path, stops_at: int
) -> None:
    turns = (
        edit("'hello'", "'hi'"),
        call("write_file", path="src/b.py", content="b = 1\n"),
        edit("b = 1", "b = 2", path="src/b.py"),
        finish(),
    )
    lines = speak(*turns)
    first = model_brief(hello, "repo:src/**")
    with pytest.raises(LeaseLost):
        work(first, tmp_path / "first", stops_at)
    report = work(replace(first, attempt_id=4, fence=2), tmp_path / "second")
    commit = report.proposals[0].payload["commit"]
    assert content(hello, commit, "src/hello.py") == HELLO.replace("hello'", "hi'")
    assert content(hello, commit, "src/b.py") == "b = 2\n"
    assert len(lines.asked) == 4
    tools = Step.objects.filter(kind="tool").order_by("index")
    assert [t.name for t in tools] == ["edit_file", "write_file", "edit_file"]
    by_first = [t for t in tools if t.attempt_id == 3]
    assert len(by_first) == (stops_at - 2) // 2


def test_a_step_that_was_cut_off_leaves_nothing_behind(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    speak(edit("'hello'", "'hi'"), edit("'hi'", "'hey'"), finish())
    first = model_brief(hello, "repo:src/**")
    with pytest.raises(LeaseLost):
        work(first, tmp_path / "w", 5)
    tree = tmp_path / "w" / "tree" / "src"
    (tree / "hello.py").write_text("half of a cha")
    (tree / "stray.py").write_text("stray")
    report = work(replace(first, fence=2), tmp_path / "w")
    payload = report.proposals[0].payload
    assert payload["paths"] == ["src/hello.py"]
    assert "'hey'" in content(hello, payload["commit"], "src/hello.py")


# --- Programs ------------------------------------------------------------------------------------


def test_a_program_changes_only_what_the_scopes_allow_and_runs_once(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    script = (
        "import os; from pathlib import Path; Path('src/made.py').write_text('x = 1\\n');"
        "Path('docs/a.md').write_text('B'); Path('stray').write_text('s');"
        "os.symlink('/etc/passwd', 'src/link'); print('ran')"
    )
    lines = speak(
        call("run_command", argv=["python3", "-c", script]),
        call("read_file", path="src/made.py"),
        finish(),
    )
    first = model_brief(hello, "repo:src/**")
    with pytest.raises(LeaseLost):
        work(first, tmp_path / "first", 5)
    report = work(replace(first, attempt_id=4, fence=2), tmp_path / "second")
    ran, read = told(lines, 2)
    assert "exit code 0, bwrap" in ran and "ran" in ran
    assert "put back: docs/a.md, stray" in ran
    assert "x = 1" in read
    assert report.proposals[0].payload["paths"] == ["src/link", "src/made.py"]
    assert Step.objects.filter(name="run_command").count() == 1


def test_commands_are_refused_where_nothing_isolates_them(
    speak: Any, hello: GivenRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.errors import SandboxUnavailable

    def nothing(*args: Any, **rest: Any) -> Any:
        raise SandboxUnavailable(reason="the test took it away")

    monkeypatch.setattr(sandbox, "run", nothing)
    lines = speak(call("run_command", argv=["true"]), finish())
    work(model_brief(hello, "repo:src/**"), tmp_path / "w")
    assert "failed: run_command: no sandbox works here" in told(lines, 1)[0]


def test_the_tests_run_on_the_files_as_they_are_changed(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    hello.put("tests/test_hello.py", "from hello import hello\n\n\ndef test_it():\n"
              "    assert hello() == 'hi'\n")  # fmt: skip
    hello.commit()
    lines = speak(call("run_tests"), edit("'hello'", "'hi'"), call("run_tests"), finish())
    work(model_brief(hello, "repo:src/**"), tmp_path / "w")
    before, _, after = told(lines, 3)
    assert '"status": "failed"' in before
    assert '"status": "passed"' in after


# --- Long results, and the allow-list -------------------------------------------------------------


def test_a_long_result_is_kept_whole_and_read_on_by_its_handle(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    script = "import sys; sys.stdout.write(''.join(f'{n:09d}\\n' for n in range(9000)))"
    speak(call("run_command", argv=["python3", "-c", script]))
    first = model_brief(hello, "repo:src/**")
    with pytest.raises(LeaseLost):
        work(first, tmp_path / "first", 4)
    kept = Step.objects.get(name="run_command").outcome_blob
    outcome = json.loads(blob_get(kept))
    assert outcome["chars"] > 90_000 > 17_000 > len(outcome["text"])
    handle = outcome["sha256"][:16]
    lines = speak(
        call("read_more", handle=handle, start=80_000),
        call("read_more", handle="0" * 16, start=0),
        finish(),
    )
    work(replace(first, attempt_id=4, fence=2), tmp_path / "second")
    shown, more, unknown = told(lines, 2)
    assert f'"handle": "{handle}", "start": 16000' in shown
    assert "000008001\n" in more
    assert "000008999" in more
    assert f"there are: {handle}" in unknown


def test_only_tools_that_the_task_is_given_are_offered_and_used(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    bounded = ToolGrant("edit_file", ({"properties": {"new": {"maxLength": 4}}},))
    brief = model_brief(hello, "repo:src/**", tools=(ToolGrant("read_file"), bounded))
    lines = speak(
        call("run_command", argv=["true"]),
        edit("'hello'", "'a long greeting'"),
        edit("'hello'", "'hi'"),
        finish(),
    )
    work(brief, tmp_path / "w")
    absent, long, done = told(lines, 3)
    assert absent == "there is no tool `run_command`; there are: read_file, edit_file, read_more"
    assert "is too long (the task's own bounds)" in long
    assert "1 changed" in done


def test_a_grant_of_a_tool_that_there_is_not_is_bad_input(
    speak: Any, hello: GivenRepository, tmp_path: Path
) -> None:
    speak()
    report = work(model_brief(hello, tools=(ToolGrant("raed_file"),)), tmp_path / "w")
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT
    assert "there is no tool `raed_file` for this task; there are add_task" in (
        report.failure.message
    )
