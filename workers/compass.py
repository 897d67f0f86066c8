"""Turns what a model agent does into the facts that its drift is told from.

The objective, the criteria, the directives and what the task is given are the reference; words are
compared by the static embedder. Texts are embedded when a checkpoint is taken, not
before: a replay of the journal costs nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workers.contracts import Brief, Risk
from workers.domain.drift import ActionFact, Drift, StepFact, drift
from workers.patterns import matches

Embed = Callable[[Sequence[str]], Any]  # unit vectors, one a row

PATHS = frozenset({
    "path", "paths", "file", "files", "filename", "prefix", "folder", "directory", "dir", "cwd",
})  # fmt: skip
CODE = frozenset({"argv", "command", "cmd", "patch", "diff", "content", "old", "new", "code"})
TEXT_CHARS_MAX = 2_000
RESULT_CHARS_MAX = 20_000
LEADS_MAX = 50_000  # words
WORD = re.compile(r"[^\W\d_]{4,}")
TOUCHES = 0.4  # cosine from which an action counts as working on a criterion


@dataclass(frozen=True, slots=True)
class Done:
    """A call that was carried out. `risk` is None for a tool that there is not."""

    name: str
    args: Mapping[str, Any]
    result: str
    risk: Risk | None
    failed: bool = False


@dataclass(slots=True)
class _Noted:
    step: int
    done: Done
    fact: ActionFact
    words: str


class Compass:
    """The facts of one attempt, in order. `embed` gives unit vectors."""

    def __init__(self, brief: Brief, embed: Embed) -> None:
        self._brief = brief
        self._embed = embed
        self._steps: list[StepFact] = []
        self._unjudged: list[_Noted] = []
        self._seen: set[str] = set()
        self._leads: set[str] = set()
        self._told: list[str] = []
        repo = [s for s in brief.scopes if s.resource.startswith("repo:")]
        self._writable = _patterns(s.resource for s in repo if s.mode != "read")
        self._readable = _patterns(s.resource for s in repo)
        self._narrow = any(s.mode == "read" for s in repo)

    def answered(self, *, idle: bool) -> None:
        self._steps.append(StepFact(idle=idle))

    def told(self, texts: Sequence[str]) -> None:
        """What people say moves the objective."""
        self._told += texts

    def did(self, done: Done) -> None:
        key = _gist(done.name, done.args)
        changes = done.risk in (Risk.WRITE, Risk.IRREVERSIBLE) and not done.failed
        fact = ActionFact(
            done.name if done.risk else "no such tool",  # reasons hold no word of the model's
            off_scope=self.off_scope(done),
            repeated=key in self._seen,
        )
        if changes:
            self._seen.clear()
        self._seen.add(key)
        noted = _Noted(len(self._steps) - 1, done, fact, _words_of(done))
        self._unjudged.append(noted)
        step = self._steps[noted.step]
        self._steps[noted.step] = replace(step, actions=(*step.actions, fact))

    def forgive(self) -> None:
        """Start anew: a person has looked at it."""
        self._steps = [StepFact() for _ in self._steps]
        self._unjudged.clear()

    def compacted(self) -> None:
        """What was left out of the conversation may be looked at again."""
        self._seen.clear()

    def check(self) -> Drift:
        self._judge()
        return drift(self._steps, len(self._brief.acceptance))

    # --- Facts -----------------------------------------------------------------------------------

    def off_scope(self, done: Done) -> bool:
        """Outside its scopes, or for what is not there: an unknown tool, a file that is none."""
        if done.risk is None or (done.failed and done.risk is Risk.READ):
            return True
        patterns = self._readable if done.risk is Risk.READ else self._writable
        if not self._readable or (done.risk is Risk.READ and not self._narrow):
            return False
        return any(
            path not in ("", ".", "./") and not _inside(path, patterns)
            for path in _paths(done.args)
        )

    def _judge(self) -> None:
        """Words of the actions since the last checkpoint, against the task's."""
        fresh, self._unjudged = self._unjudged, []
        worded = [noted for noted in fresh if noted.words]
        if not fresh:
            return
        criteria = list(self._brief.acceptance)
        references = [text for text in self._references() if text.strip()]
        vectors = self._embed([*(n.words for n in worded), *references, *criteria])
        split = len(worded) + len(references)
        near = vectors[: len(worded)] @ vectors[len(worded) : split].T
        touch = vectors[: len(worded)] @ vectors[split:].T
        rows = iter(range(len(worded)))
        for noted in fresh:
            if noted.words:
                row = next(rows)
                self._measured(noted, max(near[row], default=0.0), touch[row])
            if not noted.fact.astray and len(self._leads) < LEADS_MAX:
                self._leads |= _words(noted.done.result[:RESULT_CHARS_MAX])

    def _measured(self, noted: _Noted, nearness: float, touches: Sequence[float]) -> None:
        words = _words(noted.words)
        led = len(words & self._leads) / len(words) if words else 0.0
        near = frozenset(n for n, t in enumerate(touches) if t >= TOUCHES)
        # Code, commands and paths touch criteria, too, but are not judged by their words.
        judged = _is_prose(noted.done)
        fact = replace(
            noted.fact,
            nearness=round(float(nearness), 4) if judged else None,
            led=round(led, 4),
            criteria=near,
        )
        step = self._steps[noted.step]
        actions = tuple(fact if a is noted.fact else a for a in step.actions)
        self._steps[noted.step] = replace(step, actions=actions)
        noted.fact = fact

    def _references(self) -> Iterator[str]:
        brief = self._brief
        yield brief.objective
        yield str(brief.contract.get("objective", ""))
        yield from brief.acceptance
        yield from brief.directives
        yield from self._told
        yield from brief.reasons
        yield from _texts(brief.inputs)


def _patterns(resources: Iterator[str] | Sequence[str]) -> tuple[str, ...]:
    return tuple(r.removeprefix("repo:").lstrip("/") for r in resources)


def _inside(path: str, patterns: Sequence[str]) -> bool:
    """A folder above or below what a pattern names is no wandering."""
    plain = path.removeprefix("./").rstrip("/")
    stems = [p.split("*")[0].rstrip("/") for p in patterns]
    if ".." in plain.split("/") or plain.startswith("/"):
        return False
    return matches(plain, tuple(patterns)) or any(
        not stem or stem == plain or stem.startswith(f"{plain}/") for stem in stems
    )


def _paths(args: Mapping[str, Any]) -> Iterator[str]:
    for name, value in args.items():
        if name in PATHS:
            yield from (str(v) for v in (value if isinstance(value, list | tuple) else [value]))


def _is_prose(done: Done) -> bool:
    return not any(name in PATHS or name in CODE for name in done.args)


def _words_of(done: Done) -> str:
    texts = (t for name, v in done.args.items() if name not in PATHS for t in _texts({name: v}))
    return " ".join(texts)[:TEXT_CHARS_MAX]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value[:TEXT_CHARS_MAX]
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


def _gist(name: str, args: Mapping[str, Any]) -> str:
    """The same for calls that differ in case, punctuation or the order of words only."""
    parts = sorted(f"{key}={_plain(key, value)}" for key, value in args.items())
    return f"{name} {' '.join(parts)}"


def _plain(key: str, value: Any) -> str:
    if key in PATHS or key in CODE or not isinstance(value, str):
        return str(value)
    return " ".join(sorted(set(re.findall(r"\w+", value.lower()))))
