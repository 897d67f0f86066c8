"""The repository's own type checker, before a change and after it."""

from __future__ import annotations

import pytest

from tests.verification.conftest import MakeCase, Repo, change
from verification.contracts import VerdictDraft, VerdictOutcome
from verification.domain.typing_faults import new_faults
from verification.verifiers.execution import ExecutionVerifier
from verification.verifiers.trees import changes
from verification.verifiers.type_check import types_checked
from workers.typecheckers import TypeFault

PASS, FAIL, ABSTAIN = VerdictOutcome.PASS, VerdictOutcome.FAIL, VerdictOutcome.ABSTAIN
MYPY = "[tool.mypy]\nstrict = true\n"
KNOWN = "x: int = 'known'\n"
FINE = "def double(n: int) -> int:\n    return n * 2\n"
WRONG = "def double(n: int) -> int:\n    return str(n)\n"


def checked(make_case: MakeCase, repo: Repo, before: str, after: str, **files: str) -> VerdictDraft:
    """`files` come with the change; names are as they are."""
    base = repo.commit(code_=before)
    for name, text in files.items():
        (repo.path / name.replace("__", ".")).write_text(text)
    case = change(make_case, repo, base, repo.commit(code_=after))
    return types_checked(ExecutionVerifier(), case, changes(case)[0])


@pytest.mark.django_db(transaction=True)
def test_errors_that_were_there_before_count_for_nothing(make_case: MakeCase, repo: Repo) -> None:
    (repo.path / "pyproject.toml").write_text(MYPY)
    verdict = checked(make_case, repo, KNOWN + FINE, "import os\n" + KNOWN + FINE)
    assert verdict.outcome is PASS
    told = verdict.evidence["types"]
    assert (told["checker"], told["before"], told["after"]) == ("mypy", 1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_new_error_fails_also_where_the_change_brings_another_configuration(
    make_case: MakeCase, repo: Repo
) -> None:
    (repo.path / "pyproject.toml").write_text(MYPY)
    lax = {"mypy__ini": "[mypy]\nignore_errors = True\n"}
    verdict = checked(make_case, repo, KNOWN + FINE, KNOWN + WRONG, **lax)
    assert verdict.outcome is FAIL
    (reason,) = verdict.reasons
    assert reason.startswith("code_.py:3: Incompatible return value type")
    assert reason.endswith("and was not before")


@pytest.mark.django_db(transaction=True)
def test_without_a_configured_checker_it_abstains_and_says_why(
    make_case: MakeCase, repo: Repo
) -> None:
    brought = {"mypy__ini": "[mypy]\n"}
    verdict = checked(make_case, repo, FINE, WRONG, **brought)
    assert verdict.outcome is ABSTAIN
    assert verdict.reasons == (
        "no type checker is configured at the base: neither mypy nor pyright",
    )
    (repo.path / "mypy.ini").unlink()
    (repo.path / "pyrightconfig.json").write_text("{}")
    verdict = checked(make_case, repo, FINE, WRONG)
    assert verdict.outcome is ABSTAIN
    assert "pyright is configured and not installed" in verdict.reasons[0]


@pytest.mark.django_db(transaction=True)
def test_a_checker_that_does_not_work_before_the_change_is_no_judge(
    make_case: MakeCase, repo: Repo
) -> None:
    (repo.path / "mypy.ini").write_text("[mypy]\nplugins = not_there\n")
    verdict = checked(make_case, repo, FINE, WRONG)
    assert verdict.outcome is ABSTAIN
    assert "does not come to its end before the change" in verdict.reasons[0]


def test_errors_move_and_are_counted() -> None:
    known = [TypeFault("a.py", "wrong", 1)]
    moved = TypeFault("a.py", "wrong", 9)
    assert new_faults(known, [moved]) == []
    assert new_faults(known, [moved, moved]) == [moved]
    assert new_faults(known, [TypeFault("b.py", "wrong", 1)]) == [TypeFault("b.py", "wrong", 1)]
