"""`check.argv`: a command that must end with 0 in the tree that is proposed."""

from __future__ import annotations

from collections.abc import Mapping

from verification.contracts import Case, VerdictDraft
from verification.domain.suites import TAIL_CHARS
from verification.verifiers.base import Verifier
from verification.verifiers.trees import Change, tree_of

CHECK_SECONDS_MAX = 120.0


def check_argv(case: Case) -> list[str]:
    check = case.definition.get("check")
    argv = check.get("argv") if isinstance(check, Mapping) else None
    return [str(word) for word in argv] if isinstance(argv, list | tuple) else []


def seconds_of(case: Case, most: float) -> float:
    """How long one run of a check may take: what the task says, within `most`."""
    return min(float((case.definition.get("check") or {}).get("seconds_max") or most), most)


def command_checked(verifier: Verifier, case: Case, change: Change | None) -> VerdictDraft:
    from workers import sandbox

    argv = check_argv(case)
    with tree_of(case, change) as folder:
        ended = sandbox.run(
            argv,
            cwd=folder,
            writable=(folder,),
            timeout_seconds=seconds_of(case, CHECK_SECONDS_MAX),
        )
    evidence = {
        "argv": argv,
        "exit_code": ended.exit_code,
        "duration_seconds": ended.duration_seconds,
        "sandbox": ended.level,
        "tail": (ended.stdout + ended.stderr)[-TAIL_CHARS:],
    }
    if ended.exit_code == 0 and not ended.killed:
        return verifier.passes(score=1.0, evidence=evidence)
    how = f"was ended ({ended.killed})" if ended.killed else f"ended with {ended.exit_code}"
    return verifier.fails([f"the check `{' '.join(argv)[:200]}` {how}"], evidence=evidence)
