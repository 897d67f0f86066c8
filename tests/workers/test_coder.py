"""The coder: what it changes, what it leaves alone, and what it says about both."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workers.given import GivenPorts, GivenRepository, a_brief
from tests.workers.test_command import valid
from workers.contracts import FailureKind, Outcome, Report
from workers.services import attempt_run

pytestmark = pytest.mark.django_db  # whether a role has a model of its own is looked up

UNTIDY = (
    "import sys\nimport os\nfrom typing import List\n\nx = {}\nif not 'a' in x: print( os.name )\n"
)
EVERYTHING = ["lint", "format", "imports", "pyupgrade"]


def code(
    repo: GivenRepository, ports: GivenPorts, scopes: tuple[str, ...] = ("repo:**",), **inputs: Any
) -> Report:
    answers = inputs.pop("answers", ())
    brief = a_brief("coder", inputs, repository=repo.ref(), scopes=scopes, answers=answers)
    return valid(attempt_run(brief, ports), "coder")


def test_fixes_become_a_commit_a_diff_and_a_proposal(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.write(a_py=UNTIDY, b_py="fine = 1\n")
    base = repo.commit()
    before = repo.state()
    report = code(repo, ports, fixes=EVERYTHING)
    assert report.outcome is Outcome.DONE
    output, commit = report.output, report.output["commit"]
    assert (output["changed"], output["base"], output["skipped"]) == (["a.py"], base, [])
    assert output["fixes"]["F401"] == 2
    assert output["fixes"]["E713"] == 1
    fixed = repo.git("show", f"{commit}:a.py")
    assert fixed.startswith("import os\n\nx = {}\nif ")
    (artifact,) = report.artifacts
    assert (artifact.name, artifact.media_type, artifact.kind) == (
        *("change.diff", "text/x-diff", "diff"),
    )
    assert b"-import sys" in artifact.content
    (proposal,) = report.proposals
    assert (proposal.kind, proposal.base_hash) == ("change", base)
    assert proposal.payload == {
        "commit": commit,
        "base": base,
        "paths": ["a.py"],
        "diff_artifact": "change.diff",
    }
    assert repo.git("rev-parse", f"{commit}^") == base
    assert repo.git("rev-parse", "refs/agentsys/attempt-3") == commit
    assert repo.state() == before


def test_after_the_tests_refused_it_the_riskiest_fix_is_left_out(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.write(a_py=UNTIDY)
    repo.commit()

    def fixes(*reasons: str) -> tuple[set[str], int]:
        inputs = {"fixes": ["lint", "imports", "format"]}
        brief = a_brief(
            "coder", inputs, repository=repo.ref(), scopes=("repo:**",), reasons=reasons
        )
        output = attempt_run(brief, ports).output
        return set(output["fixes"]), len(output["skipped"])

    everything = fixes()
    assert "F401" in everything[0]
    assert fixes("its base moved: conflicts in a.py", "worker w was lost") == everything
    refused = "schema: no; execution: tests/x.py::test_a fails now"
    assert fixes(refused) == ({"imports", "format"}, 1)
    assert fixes(refused, refused, refused, refused) == (set(), 3)


def test_a_tidy_repository_needs_no_change(repo: GivenRepository, ports: GivenPorts) -> None:
    repo.write(a_py="x = 1\n")
    repo.commit()
    report = code(repo, ports, fixes=EVERYTHING)
    assert (report.output["commit"], report.proposals, report.artifacts) == ("", (), ())
    assert report.summary == "nothing to change"


def test_only_paths_within_the_scopes_are_touched(repo: GivenRepository, ports: GivenPorts) -> None:
    for path in ("src/a.py", "src/sub/b.py", "tests/c.py", "d.py"):
        repo.put(path, UNTIDY)
    repo.commit()
    assert code(repo, ports, ("repo:src/**",)).output["changed"] == ["src/a.py", "src/sub/b.py"]
    assert code(repo, ports, ("repo:**",), paths=["tests"]).output["changed"] == ["tests/c.py"]
    assert code(repo, ports, ("repo:src/*",)).output["changed"] == ["src/a.py"]
    assert code(repo, ports, ("repo:src",), paths=["d.py"]).output["changed"] == []
    assert code(repo, ports, ()).output["changed"] == []


def test_files_that_do_not_parse_are_skipped_and_named(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.write(a_py=UNTIDY, broken_py="def f(:\n", old_py="print 'python 2'\n")
    repo.put("deep.py", "(" * 5000)
    repo.commit()
    output = code(repo, ports).output
    assert output["changed"] == ["a.py"]
    assert [skip["path"] for skip in output["skipped"]] == ["broken.py", "deep.py", "old.py"]
    assert all("syntax error" in skip["why"] for skip in output["skipped"])


def test_the_repositorys_own_ruff_configuration_is_respected(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.write(a_py=UNTIDY, generated_py=UNTIDY)
    repo.put(
        "pyproject.toml",
        '[tool.ruff]\nexclude = ["generated.py"]\n[tool.ruff.lint]\nselect = ["E713"]\n',
    )
    repo.commit()
    output = code(repo, ports, fixes=["lint"]).output
    assert (output["changed"], output["fixes"]) == (["a.py"], {"E713": 1})


def test_a_broken_tool_configuration_is_said(repo: GivenRepository, ports: GivenPorts) -> None:
    repo.write(a_py=UNTIDY)
    repo.put("ruff.toml", "line-length = 'wide'\n")
    repo.commit()
    output = code(repo, ports, fixes=["lint"]).output
    assert output["changed"] == []
    assert output["skipped"][0]["why"].startswith("lint: ruff failed")


def test_pyupgrade_goes_no_further_than_the_project_supports(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.write(a_py="from typing import List\nx: List[int] = [1]\ny = set([1])\n")
    repo.put("pyproject.toml", '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.8"\n')
    repo.commit()
    commit = code(repo, ports, fixes=["pyupgrade"]).output["commit"]
    assert "List[int]" in repo.git("show", f"{commit}:a.py")
    assert "y = {1}" in repo.git("show", f"{commit}:a.py")


def test_an_empty_repository_and_one_without_python_are_no_failure(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    report = code(repo, ports)
    assert report.outcome is Outcome.DONE
    assert report.output["skipped"] == [{"path": "", "why": "the repository has no commit yet"}]
    repo.write(README_md="hello\n")
    repo.commit()
    assert code(repo, ports).output["changed"] == []


def patch_of(repo: GivenRepository, path: str, text: str) -> str:
    before = (repo.path / path).read_text() if (repo.path / path).exists() else None
    repo.put(path, text)
    repo.git("add", "-A")
    patch = repo.git("diff", "--cached") + "\n"
    repo.git("reset", "-q", "--hard")
    assert before is None or (repo.path / path).read_text() == before
    return patch


def test_a_patch_is_applied_and_proposed(repo: GivenRepository, ports: GivenPorts) -> None:
    repo.write(a_py="x = 1\n")
    repo.commit()
    output = code(repo, ports, patch=patch_of(repo, "a.py", "x = 2\n")).output
    assert (output["changed"], output["insertions"], output["deletions"]) == (["a.py"], 1, 1)
    assert output["fixes"] == {"patch": 1}


def test_a_persons_edit_replaces_the_fixes(repo: GivenRepository, ports: GivenPorts) -> None:
    repo.write(a_py=UNTIDY)
    repo.commit()
    patch = patch_of(repo, "a.py", "x = 'as the person wants it'\n")
    answers = ({"decision": "edit", "payload": {"patch": patch}},)
    commit = code(repo, ports, fixes=EVERYTHING, answers=answers).output["commit"]
    assert repo.git("show", f"{commit}:a.py") == "x = 'as the person wants it'"


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("b.py", "x = 2\n", FailureKind.POLICY),
        ("src/a.py", "x = (\n", FailureKind.BAD_OUTPUT),
    ],
)
def test_a_patch_out_of_scope_or_that_breaks_a_file_is_refused(
    repo: GivenRepository, ports: GivenPorts, path: str, text: str, kind: FailureKind
) -> None:
    repo.put("src/a.py", "x = 1\n")
    repo.commit()
    patch = patch_of(repo, path, text)
    brief = a_brief("coder", {"patch": patch}, repository=repo.ref(), scopes=("repo:src/**",))
    report = attempt_run(brief, ports)
    assert report.failure is not None
    assert report.failure.kind is kind
    assert report.proposals == ()
    assert repo.open().resolve("refs/agentsys/attempt-3") == ""


def test_a_patch_that_does_not_apply_is_bad_input(repo: GivenRepository, ports: GivenPorts) -> None:
    repo.write(a_py="x = 1\n")
    repo.commit()
    patch = patch_of(repo, "a.py", "x = 2\n").replace("-x = 1", "-x = 7")
    brief = a_brief("coder", {"patch": patch}, repository=repo.ref(), scopes=("repo:**",))
    report = attempt_run(brief, ports)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.BAD_INPUT
