"""From findings to packages that can be fixed apart: nothing lost, nothing shared."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.domain.scopes import matches, resources_overlap
from tests.workers.given import GivenPorts, a_brief
from tests.workers.test_command import valid
from workers.agents.triage import Wanted, grouped, package_of
from workers.contracts import Outcome
from workers.services import attempt_run


def lint(fixable: dict[str, dict[str, int]] | None = None, **rest: Any) -> dict[str, Any]:
    facts = {"fixable": fixable or {}, **rest.pop("facts", {})}
    return {"check": "lint", "status": "ok", "findings": [], "summary": "", "facts": facts, **rest}


def triage(ports: GivenPorts, found: Any, **inputs: Any) -> dict[str, Any]:
    report = valid(attempt_run(a_brief("triage", {"lint": found, **inputs}), ports), "triage")
    assert report.outcome is Outcome.DONE
    return dict(report.output)


def test_findings_are_grouped_by_package(ports: GivenPorts) -> None:
    found = triage(
        ports,
        lint({
            "setup.py": {"lint": 1},
            "pkg/a.py": {"lint": 2, "imports": 1},
            "pkg/sub/b.py": {"pyupgrade": 1},
            "tests/test_a.py": {"imports": 1},
            "src/one/a.py": {"lint": 1},
            "src/main.py": {"lint": 1},
        }),
    )  # fmt: skip
    by_name = {p["name"]: p for p in found["packages"]}
    assert {n: p["scope"] for n, p in by_name.items()} == {
        "root": "repo:*",
        "pkg": "repo:pkg/**",
        "tests": "repo:tests/**",
        "src/one": "repo:src/one/**",
        "src": "repo:src/*",
    }
    assert by_name["pkg"]["paths"] == ["pkg/a.py", "pkg/sub/b.py"]
    assert (by_name["pkg"]["files"], by_name["pkg"]["findings"]) == (2, 4)
    assert by_name["pkg"]["fixes"] == ["lint", "imports", "pyupgrade"]
    assert by_name["tests"]["fixes"] == ["imports"]
    assert found["packages"][0]["name"] == "pkg"  # most findings first
    assert found["skipped"] == []


@pytest.mark.parametrize(
    ("fixes", "facts", "chosen"),
    [
        ([], {}, ["lint", "imports", "pyupgrade"]),
        ([], {"formatter": "black"}, ["lint", "imports", "pyupgrade"]),
        ([], {"formatter": "ruff"}, ["lint", "imports", "pyupgrade", "format"]),
        (["imports"], {"formatter": "ruff"}, ["imports"]),
        (["lint"], {"own_rules": True}, ["lint"]),
        (["format"], {}, None),
    ],
)
def test_only_what_is_wanted_and_needed_is_fixed(
    ports: GivenPorts, fixes: list[str], facts: dict[str, Any], chosen: list[str] | None
) -> None:
    needs = {"a/b.py": {"lint": 1, "imports": 1, "pyupgrade": 1}}
    found = triage(ports, lint(needs, facts=facts), fixes=fixes)
    assert [p["fixes"] for p in found["packages"]] == ([chosen] if chosen else [])


def test_packages_past_the_limit_are_named(ports: GivenPorts) -> None:
    fixable = {f"p{n}/a.py": {"lint": n + 1} for n in range(4)}
    found = triage(ports, lint(fixable), packages_max=2)
    assert [p["name"] for p in found["packages"]] == ["p3", "p2"]
    assert {s["name"] for s in found["skipped"]} == {"p0", "p1"}
    assert "only 2 packages" in found["skipped"][0]["why"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "the survey of lint failed"),
        (lint(status="unavailable", summary="ruff is not installed"), "ruff is not installed"),
        (lint(status="not_applicable", summary="there is no Python"), "there is no Python"),
        (lint({"a*b/c.py": {"lint": 1}}), "cannot be named by a scope"),
        (lint({"d" * 250 + "/c.py": {"lint": 1}}), "cannot be named by a scope"),
        (
            lint(findings=[{"path": "x.py", "line": 3, "code": "syntax-error", "message": "bad",
                            "fixable": False}]),
            "line 3: bad",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_fixed_says_why(ports: GivenPorts, found: Any, said: str) -> None:
    output = triage(ports, found)
    assert output["packages"] == []
    assert [s["why"] for s in output["skipped"] if said in s["why"]]


NAMES = st.sampled_from(["src", "lib", "pkg", "root", "a.py", "b.py", "tests", "x", "ключ"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@settings(max_examples=200, deadline=None)
@given(st.sets(PATHS, max_size=15))
def test_every_file_has_one_package_and_no_two_packages_share_a_path(paths: set[str]) -> None:
    groups, skipped = grouped({p: {"lint": 1} for p in paths}, Wanted.of((), {}))
    assert skipped == []
    assert sorted(p for g in groups for p in g.files) == sorted(paths)
    for group in groups:
        assert all(matches(f"repo:{group.pattern}", f"repo:{p}") for p in group.files)
        for other in groups:
            if other is not group:
                assert not resources_overlap(f"repo:{group.pattern}", f"repo:{other.pattern}")


def test_a_folder_named_root_is_not_the_root() -> None:
    assert package_of("root/a.py") == ("root", "root/**")
    assert package_of("a.py") == ("root", "*")
