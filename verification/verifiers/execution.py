"""Does it work when it is run? The repository's own tests, before and after; or a given check.

For change proposals, the tests run at the proposal's base and at its commit, in the sandbox: what
passed before must pass after. The run at the base is kept as a `Baseline`, since many attempts
start from one commit. Where no tests can be run, a change that alters no syntax tree passes with a
lower score, and any other is not judged. What fails with a change is run again before it is called
broken: `domain.flaky`.

A task's `check` adds a command that must end with 0, properties that must hold, and the repository's
own type checker, which must find nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from agentsys.kernel.errors import NotFound
from verification.contracts import Case, Kind, VerdictDraft, VerdictOutcome
from verification.domain.flaky import Finding, Standing, without_known
from verification.domain.formatting import compile_fault, tree_fault
from verification.domain.paths import write_patterns
from verification.domain.suites import NO_TESTS, Suite, regressions, says_nothing
from verification.verifiers.base import Verifier
from verification.verifiers.command_check import CHECK_SECONDS_MAX, check_argv, command_checked
from verification.verifiers.property_check import PROPERTIES_SECONDS_MAX, properties_checked
from verification.verifiers.suite_runs import (
    RERUN_SECONDS_MAX,
    SUITE_SECONDS_MAX,
    Reruns,
    baseline,
    command_for,
    keep,
    key_of,
    looked_at_again,
    run_suite,
)
from verification.verifiers.trees import Change, changes, repository_of
from verification.verifiers.type_check import TYPES_SECONDS_MAX, types_checked

if TYPE_CHECKING:
    from workers.git import Repository

SCORE_OF_SAME_TREE = 0.6
SCORE_OF_NEW_TESTS = 0.8
FLAKY_MAX = 50  # named in evidence


class ExecutionVerifier(Verifier):
    name = "execution"
    kind = Kind.EXECUTION
    inline: ClassVar[bool] = False
    timeout_seconds = (  # below the limit of a message, with what it takes to begin and to end
        2 * (SUITE_SECONDS_MAX + PROPERTIES_SECONDS_MAX + TYPES_SECONDS_MAX)
        + RERUN_SECONDS_MAX
        + CHECK_SECONDS_MAX
    )

    def inline_for(self, case: Case) -> bool:
        """Saying that there is nothing to run costs nothing."""
        return not changes(case) and not _checks(case)

    def judge(self, case: Case) -> VerdictDraft:
        proposed, checks = changes(case), _checks(case)
        if not proposed and not checks and case.repository and write_patterns(case.definition):
            note = "the repository is left as it is, so nothing that worked can have broken"
            return self.passes(evidence={"note": note})
        if not proposed and not checks:
            return self.abstains("there is nothing to run: no change, no check")
        if proposed and not case.repository:
            return self.abstains("a change is proposed, but the task has no repository")
        drafts = [self._judge_change(case, change) for change in proposed]
        targets: Sequence[Change | None] = proposed or [None]
        drafts += [check(self, case, target) for check in checks for target in targets]
        return worst(drafts)

    def _judge_change(self, case: Case, change: Change) -> VerdictDraft:
        repository, path = repository_of(case), (case.repository or {})["path"]
        if repository is None or not change.commit:
            return self.abstains("the proposal names no commit")
        if faults := _compile_faults(repository, change):
            return self.fails(faults, score=0.0, evidence={"compiled": False})
        command = command_for(case, repository, change.base)
        before = baseline(repository, path, change.base, command) if command else NO_TESTS
        if not before.ran:
            return self._judge_without_baseline(repository, change, before, command)
        after = run_suite(repository, change.commit, command)
        if says_nothing(before, after):
            why = "the tests fail before and after the change, and do not say which"
            return self.abstains(why, evidence=_evidence(before, after) | {"tail": after.tail})
        found = looked_at_again(
            Reruns(repository, command), change.base, before, change.commit, after
        )
        draft = self._judge_suites(before, after, found)
        if draft.outcome is VerdictOutcome.PASS:
            keep(key_of(path, change.commit, command), after)  # what is merged next begins there
        return draft

    def _judge_suites(self, before: Suite, after: Suite, found: Sequence[Finding]) -> VerdictDraft:
        """A test that is known to be flaky counts as it did before the change."""
        evidence = _evidence(before, after, found)
        tail = {"tail": after.tail}
        known = {each.test for each in found if each.standing is Standing.FLAKY}
        suspect = [each for each in found if each.standing is Standing.SUSPECT]
        broken = [each for each in found if each.standing is Standing.REGRESSION]
        if broken:
            reasons = [each.sentence for each in broken]
            return self.fails(reasons, score=0.0, evidence=evidence | tail)
        unnamed = {each.test for each in suspect} | known
        if worse := regressions(before, without_known(after, unnamed)):
            return self.fails(worse, score=0.0, evidence=evidence | tail)
        if suspect:
            why = "; ".join(each.sentence for each in suspect[:FLAKY_MAX])
            return self.abstains(f"a person must look: {why}", evidence=evidence | tail)
        return self.passes(score=after.share_passed, evidence=evidence)

    def _judge_without_baseline(
        self, repository: Repository, change: Change, before: Suite, command: list[str]
    ) -> VerdictDraft:
        """Weaker evidence, where the tests cannot be run even without the change."""
        why = "no tests" if before.status == "no_tests" else f"tests do not run: {before.status}"
        evidence = {"before": before.brief(), "tail": before.tail}
        paths = repository.changed_paths(change.base, change.commit)
        found = (tree_fault(*_versions(repository, change, path), path) for path in paths)
        faults = [fault for fault in found if fault]
        if paths and not faults:
            note = f"{why}; syntax tree unchanged"
            evidence |= {"note": note, "paths": paths[:50]}
            return self.passes(score=SCORE_OF_SAME_TREE, evidence=evidence)
        reason = f"{why} before the change, and {'; '.join(faults[:5]) or 'nothing changed'}"
        if before.status != "error":
            return self.abstains(reason, evidence=evidence)
        return self._judge_new_suite(
            run_suite(repository, change.commit, command), reason, evidence
        )

    def _judge_new_suite(self, after: Suite, reason: str, evidence: dict[str, Any]) -> VerdictDraft:
        """There were tests that did not run; perhaps the change mends that. Where there were none,
        those that a change brings along are no judge of it."""
        evidence = {**evidence, "after": after.brief(), "tail": after.tail}
        if not after.ran or not after.passed:
            return self.abstains(reason, evidence=evidence)
        if after.failed or after.errors:
            failing = [f"{test} fails" for test in after.failures] or ["some tests fail"]
            return self.fails(failing, score=0.0, evidence=evidence)
        note = "the tests run with the change only; all pass"
        return self.passes(score=SCORE_OF_NEW_TESTS, evidence={**evidence, "note": note})


Check = Callable[[Verifier, Case, Change | None], VerdictDraft]


def _checks(case: Case) -> list[Check]:
    """What the task's `check` asks to be looked at, cheap first."""
    check = case.definition.get("check")
    asked = check if isinstance(check, Mapping) else {}
    parts: dict[Check, bool] = {
        command_checked: bool(check_argv(case)),
        properties_checked: bool(asked.get("properties")),
        types_checked: asked.get("types") is True,
    }
    return [part for part, is_asked in parts.items() if is_asked]


def _evidence(before: Suite, after: Suite, found: Sequence[Finding] = ()) -> dict[str, Any]:
    """The figures of both runs; and of tests that came out now so and now so, in how many runs."""
    evidence: dict[str, Any] = {"before": before.brief(), "after": after.brief()}
    for standing in (Standing.FLAKY, Standing.SUSPECT):
        if named := [each.to_json() for each in found if each.standing is standing]:
            evidence[str(standing)] = named[:FLAKY_MAX]
    return evidence


def worst(drafts: Sequence[VerdictDraft]) -> VerdictDraft:
    """Of several verdicts the one that counts: a fail, an error, an abstention, then the lowest
    score; with the reasons of all that say the same, and the evidence of all."""
    order = [
        VerdictOutcome.FAIL,
        VerdictOutcome.ERROR,
        VerdictOutcome.ABSTAIN,
        VerdictOutcome.PASS,
    ]
    first = min(drafts, key=lambda d: (order.index(d.outcome), 1.0 if d.score is None else d.score))
    rest = [draft for draft in drafts if draft is not first]
    same = [first, *(draft for draft in rest if draft.outcome is first.outcome)]
    reasons = dict.fromkeys(reason for draft in same for reason in draft.reasons)
    evidence = {k: v for draft in [*rest, first] for k, v in draft.evidence.items()}
    return replace(first, reasons=tuple(reasons), evidence=evidence)


def _compile_faults(repository: Repository, change: Change) -> list[str]:
    """A changed Python file that compiled before must compile now."""
    faults = []
    for path in repository.changed_paths(change.base, change.commit):
        if not path.endswith(".py"):
            continue
        before, after = _versions(repository, change, path)
        was_fine = before is None or compile_fault(before, path) is None
        if after is not None and was_fine and (fault := compile_fault(after, path)):
            faults.append(fault)
    return faults


def _versions(
    repository: Repository, change: Change, path: str
) -> tuple[bytes | None, bytes | None]:
    return _read(repository, change.base, path), _read(repository, change.commit, path)


def _read(repository: Repository, commit: str, path: str) -> bytes | None:
    try:
        return repository.read(commit, path) if commit else None
    except NotFound:
        return None
