"""The execution verifier on real repositories, with real tests in the real sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.verification.conftest import MakeCase, Repo, change
from verification.contracts import VerdictOutcome
from verification.models import Baseline
from verification.verifiers.execution import ExecutionVerifier
from verification.verifiers.safety import SafetyVerifier

PASS, FAIL, ABSTAIN = VerdictOutcome.PASS, VerdictOutcome.FAIL, VerdictOutcome.ABSTAIN
# A suite may take longer than a transaction may stand idle.
pytestmark = pytest.mark.django_db(transaction=True)
judge = ExecutionVerifier().judge
CODE = "def double(n):\n    return n * 2\n"
TESTS = """\
from code_ import double

def test_two():
    assert double(2) == 4

def test_known_to_fail():
    assert double(2) == 5
"""


def test_what_passed_before_must_pass_after_and_is_run_before_once(
    make_case: MakeCase, repo: Repo
) -> None:
    base = repo.commit(code_=CODE, tests__test_code=TESTS)
    good = repo.commit(code_="def double(n):\n    return n + n\n")
    bad = repo.commit(code_="def double(n):\n    return n + 3\n")

    verdict = judge(change(make_case, repo, base, good))
    assert (verdict.outcome, verdict.score) == (PASS, 0.5)
    assert verdict.evidence["before"]["failed"] == verdict.evidence["after"]["failed"] == 1
    assert Baseline.objects.filter(commit=base).count() == 1

    verdict = judge(change(make_case, repo, base, bad))
    assert verdict.outcome is FAIL
    (reason,) = verdict.reasons
    assert reason == "tests/test_code.py::test_two fails, and did not before (in 3 of 3 runs)"

    kept = Baseline.objects.get(commit=base)  # and was not made again
    kept.result["passed"] = 7
    kept.save()
    verdict = judge(change(make_case, repo, base, good))
    assert "only 1 tests pass, 7 did" in verdict.reasons[0]


def test_taking_tests_away_is_no_way_to_pass(make_case: MakeCase, repo: Repo) -> None:
    base = repo.commit(code_=CODE, tests__test_code=TESTS)
    gone = repo.commit(tests__test_code=None)
    assert judge(change(make_case, repo, base, gone)).outcome is FAIL


def test_a_change_that_does_not_compile_fails_before_anything_runs(
    make_case: MakeCase, repo: Repo
) -> None:
    base = repo.commit(code_=CODE, tests__test_code=TESTS)
    verdict = judge(change(make_case, repo, base, repo.commit(code_="def double(n)\n")))
    assert verdict.outcome is FAIL
    assert "code_.py does not compile" in verdict.reasons[0]
    assert not Baseline.objects.exists()


def test_without_tests_only_a_change_of_form_passes(make_case: MakeCase, repo: Repo) -> None:
    base = repo.commit(code_="import os,sys\nx = 'a'\n")
    form = repo.commit(code_='import os\nimport sys\n\nx = "a"\n')
    verdict = judge(change(make_case, repo, base, form))
    assert (verdict.outcome, verdict.score) == (PASS, 0.6)
    assert verdict.evidence["note"] == "no tests; syntax tree unchanged"

    verdict = judge(change(make_case, repo, base, repo.commit(code_="x = 'b'\n")))
    assert verdict.outcome is ABSTAIN
    assert "no tests before the change, and code_.py has another" in verdict.reasons[0]


def test_a_change_cannot_bring_its_own_judge(make_case: MakeCase, repo: Repo) -> None:
    base = repo.commit(code_=CODE)
    after = repo.commit(code_="x = 1\n", tests__test_code="def test_fine(): pass\n")
    assert judge(change(make_case, repo, base, after)).outcome is ABSTAIN


def test_a_change_that_makes_the_tests_run_passes(make_case: MakeCase, repo: Repo) -> None:
    base = repo.commit(code_="raise OSError\n", tests__test_code=TESTS.split("\ndef test_k")[0])
    verdict = judge(change(make_case, repo, base, repo.commit(code_=CODE)))
    assert (verdict.outcome, verdict.score) == (PASS, 0.8)


def test_a_check_must_end_with_zero(make_case: MakeCase, repo: Repo) -> None:
    def check(*argv: str) -> dict[str, Any]:
        return {"definition": {"check": {"argv": list(argv)}}}

    assert judge(make_case(**check("true"))).outcome is PASS
    verdict = judge(make_case(**check("sh", "-c", "echo why; exit 3")))
    assert verdict.outcome is FAIL
    assert verdict.evidence["tail"].strip() == "why"
    artifacts = (("out/a.txt", "file", "hello"),)
    read = check("grep", "-q", "hello", "out/a.txt")
    assert judge(make_case(artifacts=artifacts, **read)).outcome is PASS
    read = check("grep", "-q", '"total":3', "output.json")
    assert judge(make_case(output={"total": 3}, **read)).outcome is PASS


def test_a_check_of_a_repository_sees_the_proposed_commit(make_case: MakeCase, repo: Repo) -> None:
    base = repo.commit(code_="x = 'a'\n")
    after = repo.commit(code_='x = "a"\n')
    check = {"check": {"argv": ["grep", "-q", '"', "code_.py"]}}
    repository = {"path": str(repo.path), "branch": "main", "base": ""}
    assert judge(make_case(definition=check, repository=repository)).outcome is PASS
    for argv, outcome in ((["grep", "-q", '"', "code_.py"], PASS), (["false"], FAIL)):
        case = change(make_case, repo, base, after, definition={"check": {"argv": argv}})
        assert judge(case).outcome is outcome


def test_with_nothing_to_run_it_abstains(make_case: MakeCase) -> None:
    assert judge(make_case()).outcome is ABSTAIN


def test_a_task_that_may_change_a_repository_and_leaves_it_breaks_nothing(
    make_case: MakeCase, tmp_path: Path
) -> None:
    definition = {"agent": "coder", "scopes": [{"resource": "repo:src/**", "mode": "write"}]}
    repository = {"path": str(tmp_path), "branch": "agentsys/goal-1", "base": "c" * 40}
    verdict = judge(make_case(definition=definition, repository=repository))
    assert verdict.outcome is PASS
    assert "left as it is" in verdict.evidence["note"]
    assert judge(make_case(repository=repository)).outcome is ABSTAIN


def test_safety_looks_at_the_commit_and_not_at_what_is_said_of_it(
    make_case: MakeCase, repo: Repo
) -> None:
    base = repo.commit(code_=CODE)
    key = "AKIA" + "Q3EGRTJ7XNZ5W2KD"
    after = repo.commit(code_=CODE + f'key = "{key}"\n', other="x = 1\n")
    definition = {"scopes": [{"resource": "repo:code_.py", "mode": "write"}]}
    case = change(make_case, repo, base, after, definition=definition)
    verdict = SafetyVerifier().judge(case)
    assert verdict.veto
    said = "\n".join(verdict.reasons)
    assert "AWS access key in code_.py:3" in said
    assert "`other.py` is outside the task's write scopes" in said
    assert "changes what it does not list: ['other.py']" in said


def test_a_proposal_based_on_another_commit_is_vetoed(make_case: MakeCase, repo: Repo) -> None:
    base = repo.commit(code_=CODE)
    after = repo.commit(code_="x = 1\n")
    definition = {"scopes": [{"resource": "repo:**", "mode": "write"}]}
    case = change(make_case, repo, after, after, definition=definition)
    case = make_case(
        proposals=tuple(case.report["proposals"]),
        repository={"path": str(repo.path), "branch": "b", "base": base},
        definition=definition,
    )
    verdict = SafetyVerifier().judge(case)
    assert verdict.outcome is FAIL
    assert "not on the task's" in verdict.reasons[0]
