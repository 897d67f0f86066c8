"""Property checks: run with Hypothesis in the sandbox, compared with what was before the change."""

from __future__ import annotations

import venv
from pathlib import Path
from typing import Any

import pytest

from agentsys.kernel.hashing import canonical
from tests.verification.conftest import MakeCase, Repo, change
from verification.contracts import VerdictDraft, VerdictOutcome
from verification.domain.check_forms import check_problems
from verification.domain.properties import said_of
from verification.verifiers.execution import ExecutionVerifier
from verification.verifiers.property_check import INSTALL

PASS, FAIL, ABSTAIN, ERROR = (
    VerdictOutcome.PASS,
    VerdictOutcome.FAIL,
    VerdictOutcome.ABSTAIN,
    VerdictOutcome.ERROR,
)
judge = ExecutionVerifier().judge
KEEPS = {
    "name": "keeps all",
    "target": "code_:tidy",
    "given": {"items": {"type": "list", "of": {"type": "integer", "min": 0, "max": 99}}},
    "holds": "sorted(result) == sorted(items)",
}
GOOD = "def tidy(items):\n    items.sort()\n    return items\n"
DROPS = "def tidy(items):\n    return sorted(i for i in items if i != 7)\n"
TENTH = """\
calls = 0

def tidy(items):
    global calls
    calls += 1
    return [-1] if calls == 10 else items
"""
CLEARS = "def tidy(items):\n    kept = list(items)\n    items.clear()\n    return kept\n"
RAISES = "def tidy(items):\n    return [items[0], *items[1:]]\n"


def checked(
    make_case: MakeCase, repo: Repo, before: str, after: str, *properties: Any
) -> VerdictDraft:
    """The change alters no syntax that tests would have to judge: there are none, so it is the
    properties that decide what is worst."""
    base = repo.commit(code_=before)
    case = change(
        make_case,
        repo,
        base,
        repo.commit(code_=after),
        definition={"check": {"properties": properties}},
    )
    from verification.verifiers.property_check import properties_checked
    from verification.verifiers.trees import changes

    return properties_checked(ExecutionVerifier(), case, changes(case)[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("before", "after", "outcome", "reason"),
    [
        (DROPS, GOOD, PASS, ""),
        (DROPS, CLEARS, PASS, ""),  # the expression sees arguments as they were
        (GOOD, DROPS, FAIL, "`keeps all` does not hold, and did before the change: with items=[7]"),
        (DROPS, DROPS, FAIL, "`keeps all` does not hold, nor did it before: with items=[7]"),
        (GOOD, RAISES, FAIL, "with items=[] it raises IndexError"),
        (GOOD, "x = 1\n", FAIL, "`keeps all`: there is no such function"),
        (GOOD, "import not_there\n", FAIL, "it cannot be begun: ModuleNotFoundError"),
        ("import not_there\n", "import not_there\nx = 1\n", ABSTAIN, "it cannot be begun"),
        (
            GOOD,
            "import os\n\ndef tidy(items):\n    os._exit(0)\n",
            FAIL,
            "it ended the interpreter",
        ),
    ],
)
def test_a_property_must_hold_after_the_change(
    make_case: MakeCase, repo: Repo, before: str, after: str, outcome: VerdictOutcome, reason: str
) -> None:
    verdict = checked(make_case, repo, before, after, KEEPS)
    assert verdict.outcome is outcome, verdict.reasons
    assert reason in "".join(verdict.reasons)
    if "items=[7]" in reason:
        (told,) = verdict.evidence["properties"]
        assert told["falsified_by"] == {"arguments": {"items": "[7]"}, "result": "[]"}
        assert told["before"] in ("held", "falsified")


@pytest.mark.django_db(transaction=True)
def test_every_strategy_makes_what_it_says_and_the_verdict_repeats(
    make_case: MakeCase, repo: Repo
) -> None:
    given = {
        "a": {"type": "integer", "min": -3, "max": 3},
        "b": {"type": "number", "min": 0, "max": 1},
        "c": {"type": "text", "alphabet": "xy", "max_size": 4},
        "d": {"type": "list", "of": "boolean", "min_size": 1, "max_size": 3},
        "e": {"type": "object", "of": {"k": {"type": "choice", "of": ["p", [1]]}, "n": "null"}},
        "f": {"type": "one_of", "of": ["text", {"type": "integer"}]},
    }
    holds = (
        "-3 <= a <= 3 and 0 <= b <= 1 and set(c) <= set('xy') and len(c) <= 4"
        " and 1 <= len(d) <= 3 and all(x in (True, False) for x in d)"
        " and e['k'] in ('p', [1]) and e['n'] is None and isinstance(f, (str, int)) and result == 6"
    )
    every = {"name": "all", "target": "code_:f", "given": given, "holds": holds, "examples_max": 50}
    wrong = {**every, "name": "wrong", "holds": "a < 2 or len(c) < 2"}
    assert check_problems({"properties": [every, wrong]}) == []
    base = repo.commit(code_="def f(**given):\n    return len(given)\n")
    repository = {"path": str(repo.path), "branch": "main", "base": base}
    case = make_case(definition={"check": {"properties": [every, wrong]}}, repository=repository)
    verdicts = [judge(case) for _ in range(2)]
    assert [verdict.outcome for verdict in verdicts] == [FAIL, FAIL]
    first, second = verdicts[0].evidence["properties"]
    assert (first["after"], first["examples"]) == ("held", 50)
    assert second["falsified_by"]["arguments"] | {"a": "2", "c": "'xx'"} == {
        **second["falsified_by"]["arguments"]
    }
    assert canonical(verdicts[0].evidence) == canonical(verdicts[1].evidence)


@pytest.mark.django_db(transaction=True)
def test_what_is_handed_in_without_a_repository_is_looked_at_too(
    make_case: MakeCase, repo: Repo
) -> None:
    definition = {"check": {"properties": [KEEPS]}}
    case = make_case(artifacts=(("code_.py", "file", DROPS),), definition=definition)
    assert judge(case).outcome is FAIL


@pytest.mark.django_db(transaction=True)
def test_a_repository_whose_python_has_no_hypothesis_is_told_how_to_get_it(
    make_case: MakeCase, repo: Repo
) -> None:
    """Ours would import other packages than the repository's."""
    venv.create(repo.path / ".venv", with_pip=False)
    (repo.path / ".gitignore").write_text(".venv\n")
    verdict = checked(make_case, repo, GOOD, DROPS, KEEPS)
    assert (verdict.outcome, verdict.reasons) == (ABSTAIN, (INSTALL,))


@pytest.mark.django_db(transaction=True)
def test_an_expression_is_never_evaluated_outside(
    make_case: MakeCase, repo: Repo, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    outside = {**KEEPS, "holds": f"open({str(trace)!r}, 'w') and True"}
    assert check_problems({"properties": [outside]}) == []
    assert checked(make_case, repo, GOOD, GOOD + "\n", outside).outcome is FAIL
    assert not trace.exists()


def test_a_form_that_cannot_be_run_is_an_error_and_no_pass(make_case: MakeCase) -> None:
    case = make_case(definition={"check": {"properties": [{**KEEPS, "target": "rm -rf"}]}})
    verdict = judge(case)
    assert verdict.outcome is ERROR
    assert "expected `package.module:function`" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("after", "before", "outcome"),
    [
        ("held", "", PASS),
        ("falsified", "held", FAIL),
        ("falsified", "falsified", FAIL),
        ("falsified", "missing", FAIL),
        ("falsified", "", FAIL),
        ("missing", "missing", FAIL),
        ("unsteady", "held", ABSTAIN),
        ("broken", "held", FAIL),
        ("broken", "falsified", FAIL),
        ("broken", "broken", ABSTAIN),
        ("timeout", "held", FAIL),
        ("timeout", "timeout", ABSTAIN),
        ("timeout", "", ABSTAIN),
        ("ended", "held", FAIL),
        ("not_run", "held", ABSTAIN),
    ],
)
def test_only_what_holds_passes(after: str, before: str, outcome: VerdictOutcome) -> None:
    said = said_of("x", after, before, "why")
    assert said.outcome is outcome
    assert bool(said.reason) is (outcome is not PASS)


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ({}, "says nothing to run"),
        ({"argv": "make test"}, "argv is 'make test'; expected a list of words"),
        (
            {"argv": ["true"], "type": True},
            "unknown field `type`; there are argv, properties, types",
        ),
        ({"types": "yes"}, "types is 'yes'; expected true or false"),
        ({"types": True, "seconds_max": 900}, "seconds_max is 900; expected 1 … 150"),
        ({"properties": [KEEPS, KEEPS]}, "properties[1] (keeps all) has a name that is used twice"),
        ({"properties": [{**KEEPS, "given": {}}]}, "given is {}; expected an object"),
        ({"properties": [{**KEEPS, "given": {"items": "integers"}}]}, "given.items is 'integers'"),
        ({"properties": [{**KEEPS, "given": {"result": "text"}}]}, "cannot be the name"),
        ({"properties": [{**KEEPS, "holds": "x > 1"}]}, "names `x`; there are items, result and"),
        ({"properties": [{**KEEPS, "holds": "result ="}]}, "is no Python expression"),
        ({"properties": [{**KEEPS, "holds": "-" * 499 + "1"}]}, ""),
        ({"properties": [{**KEEPS, "holds": "(" * 499}]}, "is no Python expression"),
        ({"properties": [{**KEEPS, "examples_max": 0}]}, "examples_max is 0; expected 1 … 10000"),
        (
            {
                "properties": [
                    {**KEEPS, "given": {"items": {"type": "integer", "min": 2, "max": 1}}}
                ]
            },
            "given.items (integer) min 2 is above max 1",
        ),
        (
            {
                "properties": [
                    {**KEEPS, "given": {"items": {"type": "list", "of": {"type": "lst"}}}}
                ]
            },
            "given.items of is {'type': 'lst'}; expected a type of integer, number",
        ),
    ],
)
def test_a_plan_is_told_what_is_wrong_with_a_check(check: dict[str, Any], problem: str) -> None:
    assert problem in "\n".join(check_problems(check))
