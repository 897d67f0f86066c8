"""The report of `repo-care` says what happened, all of it, and nothing that strangers put there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.workers.given import GivenPorts, a_brief
from tests.workers.test_command import valid
from workers.contracts import Brief, RepositoryRef
from workers.reports.care import render
from workers.services import attempt_run

REPOSITORY = RepositoryRef("/srv/r", "agentsys/goal-7", "a" * 40)


def finding(path: str = "a.py", line: int = 1, **rest: Any) -> dict[str, Any]:
    row = {"code": "F401", "message": "unused", "severity": "warning", "fixable": True}
    return {"path": path, "line": line, **row, **rest}


def survey(check: str = "lint", *findings: Any, **rest: Any) -> dict[str, Any]:
    return {
        "check": check,
        "status": "ok",
        "findings": list(findings),
        "total": len(findings),
        "by_code": {"F401": len(findings)} if findings else {},
        "summary": f"{len(findings)} findings",
        **rest,
    }


def ran(status: str = "passed", *failures: str, **rest: Any) -> dict[str, Any]:
    return {
        "status": status,
        "command": ["python", "-m", "pytest"],
        "passed": 9,
        "failed": len(failures),
        "errors": 0,
        "skipped": 0,
        "failures": list(failures),
        "duration_seconds": 1.25,
        "tail": "",
        **rest,
    }


def coded(changed: int = 2, **rest: Any) -> dict[str, Any]:
    output = {"changed": [f"pkg/f{n}.py" for n in range(changed)], "insertions": 3, "deletions": 4}
    return outcome(
        "coder",
        output={**output, "skipped": rest.pop("skipped", [])},
        proposal=rest.pop("proposal", {"id": 1, "state": "applied", "commit": "c0ffee" * 7}),
        verdicts=rest.pop("verdicts", [verdict("execution")]),
        **rest,
    )


def outcome(agent: str, state: str = "done", **rest: Any) -> dict[str, Any]:
    row = {"reasons": [], "verdicts": [], "proposal": None, "output": None, "attempts": 1}
    return {"agent": agent, "state": state, **row, **rest}


def verdict(verifier: str, said: str = "pass", *reasons: str) -> dict[str, Any]:
    return {"verifier": verifier, "outcome": said, "reasons": list(reasons)}


def brief(
    needs: dict[str, Any] | None = None, outcomes: dict[str, Any] | None = None, **rest: Any
) -> Brief:
    inputs = {
        "style": "care",
        "title": "Care",
        "outcomes": outcomes or {},
        **rest.pop("inputs", {}),
    }
    return a_brief(
        "documenter", inputs, repository=rest.pop("repository", REPOSITORY), needs=needs or {}
    )


def test_the_first_lines_say_what_came_of_it() -> None:
    text = render(
        brief(
            {"lint": survey("lint", finding(), finding("b.py"))},
            {"fix[a]": coded(), "fix[b]": coded(1), "fix[c]": outcome("coder", "failed")},
        )
    )
    assert "**2 findings; 2 packages changed (3 files, +6 −8), 1 refused.**" in text
    assert "on the branch `agentsys/goal-7`" in text
    assert "branch, index and files were not touched" in text


def test_findings_are_counted_by_code_and_the_worst_come_first() -> None:
    rows = [finding("z.py", n) for n in range(1, 31)]
    rows.append(finding("a.py", 0, code="syntax-error", severity="error", message="bad"))
    found = survey("lint", *rows, by_code={"F401": 30, "syntax-error": 1})
    text = render(brief({"lint": found}))
    assert "| lint | 31 findings | 31 | F401 30, syntax-error 1 |" in text
    assert text.index("- `a.py` syntax-error: bad") < text.index("- `z.py:1` F401")
    assert text.index("`z.py:2`") < text.index("`z.py:10`")
    assert "- … and 16 more" in text


def test_a_check_that_could_not_be_made_is_no_clean_bill() -> None:
    text = render(
        brief(
            {
                "lint": survey("lint", status="unavailable", summary="ruff is not installed"),
                "docs": None,
            },
            {"docs": outcome("surveyor", "failed", reasons=["timeout: too slow"])},
        )
    )
    assert "| lint | ruff is not installed | – |" in text
    assert "| docs | failed: timeout: too slow | – |" in text


def test_what_was_merged_names_files_commit_and_judges() -> None:
    verdicts = [verdict("safety"), verdict("execution"), verdict("semantic", "abstain")]
    text = render(brief({}, {"fix[pkg]": coded(20, verdicts=verdicts)}))
    assert "**fix\\[pkg\\]**: 20 files, +3 −4, merged as `c0ffeec0ffee`" in text
    assert "verified by safety, execution" in text
    assert "  - `pkg/f0.py`\n" in text
    assert "  - … and 5 more" in text
    assert "Nothing was refused." in text


@pytest.mark.parametrize(
    ("became", "said"),
    [
        (coded(0, proposal=None), "fix: the tools had nothing to change"),
        (
            coded(proposal={"id": 1, "state": "stale", "commit": ""}),
            "fix: its change was not merged; the proposal is stale",
        ),
        (coded(proposal=None), "fix: its change was not merged; the proposal is missing"),
        (
            coded(state="failed", reasons=["execution: tests/a.py::t fails"]),
            "**fix** was refused: execution: tests/a.py::t fails",
        ),
        (
            coded(state="failed", verdicts=[verdict("safety", "fail", "a secret")]),
            "**fix** was refused: safety: a secret",
        ),
        (
            coded(state="failed", reasons=["x: b"], verdicts=[verdict("x", "fail", "b")]),
            "**fix** was refused: x: b\n",
        ),
        (outcome("coder", "cancelled"), "**fix** is cancelled: no reason given"),
        (
            outcome("collect", "failed", reasons=["the fan-out cannot be expanded"]),
            "**fix** was refused: the fan-out cannot be expanded",
        ),
        (
            coded(0, proposal=None, skipped=[{"path": "b.py", "why": "syntax error, line 1"}]),
            "  - left: `b.py` syntax error, line 1",
        ),
        (coded(0, proposal=None, skipped=[{"path": "", "why": "no ruff"}]), "  - no ruff"),
    ],
)
def test_what_was_refused_or_left_says_why(became: dict[str, Any], said: str) -> None:
    text = render(brief({}, {"fix": became}))
    assert said in text
    assert "Nothing was changed." in text


def test_what_triage_left_is_named_once_and_bounded() -> None:
    skipped = [{"name": "bad.py", "why": f"line {n}: bad"} for n in (1, 2)]
    skipped += [{"name": f"p{n}", "why": "only 8 packages"} for n in range(60)]
    text = render(brief({"triage": {"packages": [], "skipped": skipped}}))
    assert "- bad.py was left: line 1: bad" in text
    assert "line 2" not in text
    assert "- … and 21 more" in text


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (ran(), ran(), "No test fails that did not fail before; 0 fail no more."),
        (ran("failed", "a", "b"), ran("failed", "b"), "before; 1 fail no more."),
        (
            ran("failed", "a"),
            ran("failed", "a", "c"),
            "**1 tests fail that did not fail before:** `c`.",
        ),
        (ran("no_tests"), ran("no_tests"), "before: there are no tests"),
        (ran("error", tail="x\nno pytest\n"), None, "could not be run (error): no pytest"),
        (None, None, "after, on the goal's branch: not run"),
    ],
)
def test_tests_before_and_after_are_compared(before: Any, after: Any, said: str) -> None:
    assert said in render(brief({"tests": before, "tests-after": after}))


def test_tests_that_did_not_come_to_an_end_say_why() -> None:
    text = render(brief({"tests": None}, {"tests": outcome("tester", "failed", reasons=["lost"])}))
    assert "- before: not run (lost)" in text


def test_a_dirty_tree_and_an_empty_repository_are_said() -> None:
    assert "had uncommitted changes" in render(brief(inputs={"dirty": True}))
    empty = RepositoryRef("/srv/r", "agentsys/goal-7", "")
    text = render(brief(repository=empty))
    assert "has no commit yet" in text
    assert "**0 findings" not in text


def test_text_from_strangers_stays_text() -> None:
    evil = "x](http://evil) <img src=e> | `code` **bold**\n# Heading"
    text = render(
        brief(
            {"lint": survey("lint", finding("a`b\nc.py", message=evil, code=evil), summary=evil),
             "tests": ran("failed", "t`\n# no"),
             "triage": {"skipped": [{"name": evil, "why": evil}]}},
            {"fix[a\n# b]": coded(state="failed", reasons=[evil])},
            inputs={"title": "Care for /srv/a\n# b"},
        )
    )  # fmt: skip
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[0] == "# Care for /srv/a # b"
    assert [h for h in headings if "Heading" in h or "no" in h.split()] == []
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "<img" not in text.replace("\\<img", "")
    table = [line for line in text.splitlines() if line.startswith("| lint")]
    assert len(table) == 1


def test_the_documenter_hands_it_in_as_an_artifact(ports: GivenPorts) -> None:
    report = valid(attempt_run(brief({"lint": survey()}), ports), "documenter")
    (artifact,) = report.artifacts
    assert (artifact.name, artifact.kind) == ("report.md", "report")
    assert artifact.content.decode().startswith("# Care\n")
