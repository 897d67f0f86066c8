"""What a team of agents says in a day: tool output, progress, prose, results, chatter said again and
again, and a few facts, decisions and pinned rules that somebody will ask for. The same seed says the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from memory.contracts import MemoryDraft

REPEATED = 0.40  # of the events
VARIED = 0.10  # of those: said again in other capitals, or with a word without weight more
FACTS_A_DAY = 10
PINS_A_DAY = 1
ACTORS = ("planner", "coder", "tester", "reviewer", "devops", "researcher", "writer", "analyst")
SESSIONS = 5  # of each actor a day

_SYLLABLES = (
    "ba do fe gi ho ka lu me no pi ra so ta vu wi xe yo za bri cla dro fle gra klu pra sti tro"
).split()
_SERVICES = "billing ingest gateway search ledger mailer frontend scheduler reports archive".split()
_THINGS = (
    "invoices backups metrics contracts uploads receipts sessions exports drafts audits".split()
)
_VERBS = "checked compared rebuilt measured reviewed traced copied merged split sorted".split()
_CHATTER = (
    "Heartbeat of the {service} worker",
    "Queue of {service} is empty, waiting for work",
    "Reading the configuration of {service} again",
    "No changes in {service} since the last look",
    "Retrying the connection to {service}",
)
_NEW = (
    (45, "tool", "pytest tests/{service}/test_{word}.py: {a} passed, {small} failed in {b} s"),
    (10, "tool", "GET /{service}/{word}/{a} answered {b} in {c} ms"),
    (20, "progress", "Step {small} of {word} in {service}: {verb} {a} of {b} {things}"),
    (10, "prose", "I {verb} the {things} of {service} because {word} looked odd, and after a time it turned"
     " out that nothing else depends on {other}, so the plan can stay as it is for now"),
    (5, "prose", "Before going on with {word} it may be worth a thought whether {service} and {other} share"
     " their {things}, though so far there is no sign of it"),
    (4, "error", "Build {a} of {service} failed in stage {word} with exit code {small}"),
    (3, "result", "Build {a} of {service} passed with {b} {things}"),
    (3, "note", "The {things} of {service} were {verb} by {word} in run {a}"),
    (2, "decision", "For run {a} it was decided that {service} keeps the {things} of {word} apart"),
)  # fmt: skip
_VOUCHED = ("result", "decision")  # verified, as what was planted is; nobody asks for them
_FACTS = (
    ("The {things} of customer {name} are kept in vault {code}", "In which vault are the {things} of customer"
     " {name} kept?"),
    ("{person} decided that project {name} is released from branch {code}", "From which branch is project"
     " {name} released?"),
    ("The deadline of contract {name} was moved to week {code}", "To which week was the deadline of contract"
     " {name} moved?"),
    ("Customer {name} wants reports in format {code} from now on", "In which format does customer {name} want"
     " reports?"),
)  # fmt: skip
_KINDS = ("fact", "decision", "note", "preference")
_RULE = "Never deploy {name} before {person} has signed form {code}"


@dataclass(frozen=True, slots=True)
class Planted:
    """A fact, how it is asked for, and the word that its text alone has."""

    question: str
    answer: str
    day: int


@dataclass(frozen=True, slots=True)
class Event:
    draft: MemoryDraft
    planted: Planted | None = None


class World:
    """Events day by day. Drafts have no namespace yet."""

    def __init__(self, seed: int, start: datetime, events: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a simulation is no secret
        self._start, self._events = start, events
        self._recent: list[str] = []

    def day(self, number: int) -> Iterator[Event]:
        special = self._special(number)
        places = set(self._random.sample(range(self._events), len(special)))
        for n in range(self._events):
            at = self._start + timedelta(days=number, seconds=n * 86_400 / self._events)
            actor = ACTORS[n % len(ACTORS)]
            shift = n * SESSIONS // self._events
            common = MemoryDraft(
                namespace="",
                layer="episodic",
                text="",
                actor=actor,
                session=f"{actor} shift {shift}",
                occurred_at=at,
                recorded_at=at,
            )
            if n in places:
                text, kind, pinned, planted = special.pop()
                draft = replace(common, text=text, kind=kind, pinned=pinned, trust="verified")
                yield Event(draft, planted)
            else:
                text, kind = self._said()
                trust = "verified" if kind in _VOUCHED else "unverified"
                yield Event(replace(common, text=text, kind=kind, trust=trust))

    def idle_questions(self, count: int) -> list[str]:
        """About what happens all the time: for measuring, they ask for nothing that was planted."""
        return [
            self._fill(
                "What failed in {service} when {word} was {verb}, and with how many {things}?"
            )
            for _ in range(count)
        ]

    def _special(self, day: int) -> list[tuple[str, str, bool, Planted | None]]:
        found: list[tuple[str, str, bool, Planted | None]] = []
        for n in range(FACTS_A_DAY):
            said, asked = _FACTS[(day + n) % len(_FACTS)]
            names = {"name": self._name(3), "person": self._name(2), "code": self._code()}
            names["things"] = self._random.choice(_THINGS)
            planted = Planted(asked.format(**names), names["code"], day)
            found.append(
                (said.format(**names), _KINDS[(day // 2 + n) % len(_KINDS)], False, planted)
            )
        for _ in range(PINS_A_DAY):
            names = {"name": self._name(3), "person": self._name(2), "code": self._code()}
            found.append((_RULE.format(**names), "instruction", True, None))
        return found

    def _said(self) -> tuple[str, str]:
        if self._random.random() >= REPEATED or not self._recent:
            weights = [weight for weight, _, _ in _NEW]
            _, kind, form = self._random.choices(_NEW, weights)[0]
            text = self._fill(form)
            self._recent = (
                [*self._recent[-400:], text] if self._random.random() < 0.2 else self._recent
            )
            return text, kind
        if self._random.random() < 0.5:
            return self._fill(self._random.choice(_CHATTER)), "progress"
        text = self._random.choice(self._recent)
        return (self._varied(text) if self._random.random() < VARIED else text), "progress"

    def _varied(self, text: str) -> str:
        return self._random.choice((text.lower(), f"{text}.", f"{text} again", f"Also: {text}"))

    def _fill(self, form: str) -> str:
        pick = self._random.choice
        return form.format(
            service=pick(_SERVICES),
            other=pick(_SERVICES),
            things=pick(_THINGS),
            verb=pick(_VERBS),
            word=self._word(2),
            a=self._random.randrange(10_000),
            b=self._random.randrange(100, 600),
            c=self._random.randrange(10, 900),
            small=self._random.randrange(1, 9),
        )

    def _word(self, syllables: int) -> str:
        return "".join(self._random.choices(_SYLLABLES, k=syllables))

    def _name(self, syllables: int) -> str:
        return self._word(syllables).capitalize()

    def _code(self) -> str:
        return f"{self._word(2)}-{self._random.randrange(1000, 9999)}"
