"""Does it work when it is run? The repository's own tests, before and after; or a given check.

For change proposals, the tests run at the proposal's base and at its commit, in the sandbox: what
passed before must pass after. The run at the base is kept as a `Baseline`, since many attempts
start from one commit. Where no tests can be run, a change that alters no syntax tree passes with a
lower score, and any other is not judged. `definition["check"]["argv"]` is a command that must end
with 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import connection

from agentsys.kernel.errors import NotFound
from agentsys.kernel.hashing import canonical, digest
from verification.contracts import Case, Kind, VerdictDraft, VerdictOutcome
from verification.domain.formatting import compile_fault, tree_fault
from verification.domain.paths import write_patterns
from verification.domain.suites import NO_TESTS, TAIL_CHARS, Suite, regressions, says_nothing
from verification.models import Baseline
from verification.verifiers.base import Verifier
from workers.beneath import write_below
from workers.workspaces import scratch

if TYPE_CHECKING:
    from workers.git import Repository

SUITE_SECONDS_MAX = 240.0
CHECK_SECONDS_MAX = 120.0
SCORE_OF_SAME_TREE = 0.6
SCORE_OF_NEW_TESTS = 0.8
BASELINE_STATES = frozenset({"passed", "failed", "no_tests"})  # a timeout may be the machine's


@dataclass(frozen=True, slots=True)
class Change:
    base: str
    commit: str


class ExecutionVerifier(Verifier):
    name = "execution"
    kind = Kind.EXECUTION
    inline: ClassVar[bool] = False
    timeout_seconds = 2 * SUITE_SECONDS_MAX + CHECK_SECONDS_MAX

    def inline_for(self, case: Case) -> bool:
        """Saying that there is nothing to run costs nothing."""
        return not changes(case) and not check_argv(case)

    def judge(self, case: Case) -> VerdictDraft:
        proposed, argv = changes(case), check_argv(case)
        if not proposed and not argv and case.repository and write_patterns(case.definition):
            note = "the repository is left as it is, so nothing that worked can have broken"
            return self.passes(evidence={"note": note})
        if not proposed and not argv:
            return self.abstains("there is nothing to run: no change, no check")
        if proposed and not case.repository:
            return self.abstains("a change is proposed, but the task has no repository")
        drafts = [self._judge_change(case, change) for change in proposed]
        if argv:
            targets: Sequence[Change | None] = proposed or [None]
            drafts += [self._judge_check(case, argv, target) for target in targets]
        return worst(drafts)

    def _judge_change(self, case: Case, change: Change) -> VerdictDraft:
        from workers.git import Repository

        path = (case.repository or {})["path"]
        repository = Repository.open(path)
        if not change.commit:
            return self.abstains("the proposal names no commit")
        if faults := _compile_faults(repository, change):
            return self.fails(faults, score=0.0, evidence={"compiled": False})
        command = command_for(case, repository, change.base)
        before = baseline(repository, path, change.base, command) if command else NO_TESTS
        if not before.ran:
            return self._judge_without_baseline(repository, change, before, command)
        after = run_suite(repository, change.commit, command)
        evidence = {"before": before.brief(), "after": after.brief()}
        if says_nothing(before, after):
            why = "the tests fail before and after the change, and do not say which"
            return self.abstains(why, evidence={**evidence, "tail": after.tail})
        if worse := regressions(before, after):
            return self.fails(worse, score=0.0, evidence={**evidence, "tail": after.tail})
        _keep(_key(path, change.commit, command), after)  # what is merged next begins there
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

    def _judge_check(self, case: Case, argv: Sequence[str], change: Change | None) -> VerdictDraft:
        from workers import sandbox

        limit = float((case.definition.get("check") or {}).get("seconds_max") or CHECK_SECONDS_MAX)
        with scratch("verify") as outer:
            folder = outer / "tree"
            folder.mkdir()
            _fill(folder, case, change)
            ended = sandbox.run(
                argv,
                cwd=folder,
                writable=(folder,),
                timeout_seconds=min(limit, CHECK_SECONDS_MAX),
            )
        evidence = {
            "argv": list(argv),
            "exit_code": ended.exit_code,
            "duration_seconds": ended.duration_seconds,
            "sandbox": ended.level,
            "tail": (ended.stdout + ended.stderr)[-TAIL_CHARS:],
        }
        if ended.exit_code == 0 and not ended.killed:
            return self.passes(score=1.0, evidence=evidence)
        how = f"was ended ({ended.killed})" if ended.killed else f"ended with {ended.exit_code}"
        return self.fails([f"the check `{' '.join(argv)[:200]}` {how}"], evidence=evidence)


def worst(drafts: Sequence[VerdictDraft]) -> VerdictDraft:
    """Of several verdicts the one that counts: a fail, an error, an abstention, then the lowest
    score."""
    order = [
        VerdictOutcome.FAIL,
        VerdictOutcome.ERROR,
        VerdictOutcome.ABSTAIN,
        VerdictOutcome.PASS,
    ]
    return min(drafts, key=lambda d: (order.index(d.outcome), 1.0 if d.score is None else d.score))


def changes(case: Case) -> list[Change]:
    return [
        Change(base=str(payload.get("base") or ""), commit=str(payload.get("commit") or ""))
        for proposal in case.report.get("proposals") or ()
        if proposal.get("kind") == "change"
        for payload in [proposal.get("payload") or {}]
    ]


def check_argv(case: Case) -> list[str]:
    check = case.definition.get("check")
    argv = check.get("argv") if isinstance(check, Mapping) else None
    return [str(word) for word in argv] if isinstance(argv, list | tuple) else []


def command_for(case: Case, repository: Repository, base: str) -> list[str]:
    """What runs the tests: what the task says, else what the base says; [] for no tests. Never
    what the change says, which would choose its own judge."""
    from workers.testing import test_command

    command = case.inputs.get("test_command")
    if command and isinstance(command, list | tuple):
        return [str(word) for word in command]
    return test_command(repository, base)


def baseline(repository: Repository, path: str, commit: str, command: Sequence[str]) -> Suite:
    """How the tests go at `commit`: run once per repository, commit and command, then kept."""
    key = _key(path, commit, command)
    if kept := _kept(key):
        return kept
    with _one_at_a_time(digest(key)):
        if kept := _kept(key):  # somebody else ran them while this one waited
            return kept
        suite = run_suite(repository, commit, command)
        _keep(key, suite)
        return suite


def _key(path: str, commit: str, command: Sequence[str]) -> dict[str, str]:
    return {"repository": path, "commit": commit, "command_hash": digest(command)}


def _keep(key: Mapping[str, str], suite: Suite) -> None:
    if suite.status in BASELINE_STATES:
        row = Baseline(**key, result=suite.to_json())
        Baseline.objects.bulk_create([row], ignore_conflicts=True)


def _kept(key: Mapping[str, str]) -> Suite | None:
    result = Baseline.objects.filter(**key).values_list("result", flat=True).first()
    return Suite.from_json(result) if result else None


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Siblings that start from one commit would else run its tests all at once. The lock belongs
    to the database session, so it goes when this process does."""
    number = int(name[:15], 16)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [number])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def run_suite(repository: Repository, commit: str, command: Sequence[str]) -> Suite:
    from workers.testing import tests_run

    with scratch("verify") as folder:
        result = tests_run(
            repository,
            commit,
            command=command,
            timeout_seconds=SUITE_SECONDS_MAX,
            workspace=folder,
        )
    return Suite.of(result.to_json(), ran=result.ran)


def _fill(folder: Path, case: Case, change: Change | None) -> None:
    """What the check looks at: the repository at the proposed commit, or what was handed in."""
    if case.repository:
        from workers.git import Repository

        repository = Repository.open(case.repository["path"])
        base = case.repository.get("base") or repository.resolve(case.repository.get("branch", ""))
        repository.worktree_add(folder, change.commit if change else base or repository.head())
        return
    (folder / "output.json").write_text(canonical(case.report.get("output")))
    for artifact in case.report.get("artifacts") or ():
        # A name that is no path below the folder, or is taken: that one is not there to look at.
        with suppress(OSError, ValueError):
            write_below(folder, str(artifact["name"]), case.blob(artifact["sha256"]))


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
