"""Is this safe to keep and to apply? Secrets, destructive commands, reach, hidden orders.

Vetoed: a secret on its way into the record or the repository, a command that destroys, a change
outside the task's write scopes or into what git runs, hidden characters in a command or a path, and
what the policy in force forbids.
Text that was merely quoted from a source may hold anything: that is noted, not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verification.contracts import Case, Kind, VerdictDraft
from verification.domain.commands import destructive
from verification.domain.diffs import added_lines, links
from verification.domain.forbidding import forbidden_in
from verification.domain.injection import marks_in
from verification.domain.leaving import leaving
from verification.domain.parts import commands, strings
from verification.domain.paths import path_fault, write_patterns
from verification.domain.secrets import secrets_in
from verification.verifiers.base import Verifier

SCAN_BYTES_MAX = 8_000_000  # about a second
TELLING_CHARS_MIN = 8
# Keys of an output whose text comes from somewhere else: a program, a file, a web page.
QUOTED = frozenset(
    {"stdout", "stderr", "tail", "log", "lines", "diff", "quote", "quotes", "excerpt", "snippet"}
    | {"content", "text", "body", "source", "message", "title", "context"}
)
SOURCE_KINDS = frozenset({"data", "log"})


@dataclass(slots=True)
class Findings:
    """`forbidden` vetoes, `faults` fail, `notes` are for a reader."""

    forbidden: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)  # paths, as git tells them


class SafetyVerifier(Verifier):
    name = "safety"
    kind = Kind.SAFETY

    def judge(self, case: Case) -> VerdictDraft:
        findings = Findings()
        _look_at_output(case, findings)
        _look_at_artifacts(case, findings)
        for number, proposal in enumerate(case.report.get("proposals") or (), start=1):
            _look_at_proposal(case, proposal, f"proposal {number}", findings)
        findings.forbidden += forbidden_in(case.report, case.forbidden, findings.changed)
        return self._verdict(findings)

    def _verdict(self, found: Findings) -> VerdictDraft:
        evidence = {"notes": found.notes[:20]} if found.notes else {}
        if found.forbidden:
            return self.fails([*found.forbidden, *found.faults], veto=True, evidence=evidence)
        if found.faults:
            return self.fails(found.faults, evidence=evidence)
        if found.unread:
            return self.abstains(f"too big to look through: {', '.join(found.unread)}")
        return self.passes(evidence=evidence)


def _look_at_output(case: Case, findings: Findings) -> None:
    texts = list(strings(case.report.get("output"), "output", chars_min=TELLING_CHARS_MIN))
    if not _holds_nothing(text for _, _, text in texts):
        _look_at_texts(texts, findings)
    for path, argv in commands(case.report.get("output"), "output"):
        _look_at_command(argv, path, findings)
    _look_at_words(case, findings)


def _holds_nothing(texts: Iterable[str]) -> bool:
    """One search for all: most outputs are small, and nearly all are clean."""
    whole = "\n".join(texts)
    return not secrets_in(whole) and not marks_in(whole)


def _look_at_texts(texts: Iterable[tuple[str, str, str]], findings: Findings) -> None:
    for path, key, text in texts:
        _look_for_secrets(text, path, findings, is_source=False)
        _look_for_marks(text, path, findings, is_quoted=key in QUOTED)


def _look_at_words(case: Case, findings: Findings) -> None:
    """What the agent says itself: claims, summary, question."""
    for number, claim in enumerate(case.report.get("claims") or (), start=1):
        quote = str(claim.get("quote", ""))
        _look_for_secrets(quote, f"the quote of claim {number}", findings, is_source=False)
        _look_for_marks(quote, f"the quote of claim {number}", findings, is_quoted=True)
        said = str(claim.get("text", ""))
        _look_for_marks(said, f"claim {number}", findings, is_quoted=said in quote)
    for name in ("summary", "question"):
        for path, _, text in strings(case.report.get(name), name, chars_min=TELLING_CHARS_MIN):
            _look_for_secrets(text, path, findings, is_source=False)
            _look_for_marks(text, path, findings, is_quoted=False)


def _look_at_artifacts(case: Case, findings: Findings) -> None:
    left = SCAN_BYTES_MAX
    for artifact in case.report.get("artifacts") or ():
        place = f"artifact {artifact['name']}"
        left -= int(artifact.get("size", 0))
        if left < 0:
            findings.unread.append(place)
            continue
        text = case.blob(artifact["sha256"]).decode("utf-8", "replace")
        if artifact.get("kind") == "diff":
            _look_at_diff(text, place, findings)
        else:
            is_source = artifact.get("kind") in SOURCE_KINDS
            _look_for_secrets(text, place, findings, is_source=is_source)


def _look_at_proposal(
    case: Case, proposal: Mapping[str, Any], place: str, findings: Findings
) -> None:
    title = str(proposal.get("title", ""))
    _look_for_marks(title, f"the title of {place}", findings, is_quoted=False)
    payload = proposal.get("payload") or {}
    if proposal.get("kind") == "change":
        _look_at_change(case, payload, place, findings)
        return
    for path, _, text in strings(payload, place, chars_min=TELLING_CHARS_MIN):
        _look_for_secrets(text, path, findings, is_source=False)
    for path, argv in commands(payload, place):
        _look_at_command(argv, path, findings)


def _look_at_change(case: Case, payload: Mapping[str, Any], place: str, findings: Findings) -> None:
    """The commit itself is looked at, not only what the proposal says about it."""
    patterns = write_patterns(case.definition)
    declared = {str(path) for path in payload.get("paths") or ()}
    actual = declared
    base, commit = str(payload.get("base") or ""), str(payload.get("commit") or "")
    if case.repository and commit:
        from workers.git import Repository

        if base != case.repository.get("base", base):
            # Else a proposal could name its own commit as base and show an empty change.
            findings.faults.append(f"{place} is based on {base or 'nothing'}, not on the task's")
        repository = Repository.open(case.repository["path"])
        actual = set(repository.changed_paths(base, commit))
        findings.changed |= actual
        _look_at_diff(repository.diff(base, commit), place, findings)
        if undeclared := sorted(actual - declared):
            findings.faults.append(f"{place} changes what it does not list: {undeclared[:10]}")
    for path in sorted(actual | declared):
        if fault := path_fault(path, patterns):
            findings.forbidden.append(f"{place}: `{path}` {fault}")


def _look_at_diff(diff: str, place: str, findings: Findings) -> None:
    findings.forbidden += [f"{place} makes {link}" for link in links(diff)]
    by_path: dict[str, list[tuple[int, str]]] = {}
    for added in added_lines(diff):
        by_path.setdefault(added.path, []).append((added.line, added.text))
    for path, lines in by_path.items():
        is_test = "test" in path.lower()
        for secret in secrets_in("\n".join(text for _, text in lines)):
            at = lines[secret.line - 1][0]
            said = f"{place}: {secret.kind} in {path}:{at} (sha256 {secret.fingerprint}…)"
            certain = secret.certain or not is_test
            (findings.forbidden if certain else findings.notes).append(said)


def _look_for_secrets(text: str, place: str, findings: Findings, *, is_source: bool) -> None:
    """A source's own text is kept as it is; only what is surely a credential is refused there."""
    for secret in secrets_in(text):
        certain = secret.certain or not is_source
        (findings.forbidden if certain else findings.notes).append(f"{place}: {secret}")


def _look_for_marks(text: str, place: str, findings: Findings, *, is_quoted: bool) -> None:
    for mark in marks_in(text):
        (findings.notes if is_quoted else findings.faults).append(f"{place}: {mark}")


def _look_at_command(argv: Sequence[str] | str, place: str, findings: Findings) -> None:
    text = argv if isinstance(argv, str) else " ".join(argv)
    if why := destructive(argv) or leaving(argv):
        findings.forbidden.append(f"{place}: `{text[:120]}` {why}")
    findings.forbidden += [f"{place}: {mark}" for mark in marks_in(text)]
