"""One suite for verifiers of every kind: what is registered keeps it, and what does not is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import pytest

from agentsys.gateway.models import Profile
from agentsys.gateway.roles import forget
from agentsys.gateway.scripted import scripted
from tests.verification.conftest import MakeCase
from verification.conformance import Samples, problems
from verification.contracts import Case, Kind, VerdictDraft
from verification.verifiers import registry
from verification.verifiers.base import Verifier

pytestmark = pytest.mark.django_db
FORM = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
QUOTE = "The pump lasted 1,500 hours."
CLAIM = {"text": QUOTE, "source": "a.md", "quote": QUOTE, "start": 0, "end": len(QUOTE)}
SOURCE = (("a.md", "data", QUOTE),)
SECRET = {"key": "AKIA" + "Q3EGRTJ7XNZ5W2KD"}
CHANGE = {"kind": "change", "title": "x", "payload": {"base": "a" * 40, "commit": "b" * 40}}
GONE = {"path": "/not/there", "branch": "main", "base": "a" * 40}


def unreadable(sha256: str) -> bytes:
    raise OSError(f"{sha256} is not there")


def _schema(make: MakeCase) -> Samples:
    return Samples(
        passes=make(output={"n": 1}, definition={"output_schema": FORM}),
        fails=make(output={"n": "1"}, definition={"output_schema": FORM}),
        nothing=None,  # the envelope is always there
        unreadable=make(output={"n": 1}, definition={"output_schema": {"type": "no"}}),
    )


def _safety(make: MakeCase) -> Samples:
    return Samples(
        passes=make(),
        fails=make(output=SECRET),
        nothing=None,
        unreadable=make(artifacts=SOURCE, blob=unreadable),
    )


def _grounding(make: MakeCase) -> Samples:
    wrong = {**CLAIM, "text": "The pump lasted 2,500 hours."}
    return Samples(
        passes=make(claims=(CLAIM,), artifacts=SOURCE),
        fails=make(claims=(wrong,), artifacts=SOURCE),
        nothing=make(),
        unreadable=make(claims=(CLAIM,), artifacts=SOURCE, blob=unreadable),
    )


def _consistency(make: MakeCase) -> Samples:
    def unheard() -> Any:
        raise OSError("the goal's claims are not there")

    other = {**CLAIM, "text": "The pump lasted 2,500 hours."}
    return Samples(
        passes=make(claims=(CLAIM,)),
        fails=make(claims=(CLAIM, other)),
        nothing=make(),
        unreadable=make(claims=(CLAIM,), accepted_claims=unheard),
    )


def _execution(make: MakeCase) -> Samples:
    property_ = {"name": "p", "target": "a:f", "given": {"n": "integer"}, "holds": "result"}
    return Samples(
        passes=make(definition={"check": {"argv": ["true"]}}),
        fails=make(definition={"check": {"argv": ["sh", "-c", "cat remark.md; exit 1"]}}),
        nothing=make(),
        unreadable=make(
            proposals=(CHANGE,),
            repository=GONE,
            definition={"check": {"types": True, "properties": [property_]}},
        ),
    )


def _semantic(make: MakeCase) -> Samples:
    return Samples(
        passes=make(output={"n": 3}, definition={"acceptance": ["output.n == 3"]}),
        fails=make(output={"n": 2}, definition={"acceptance": ["output.n == 3"]}),
        nothing=make(),
        unreadable=make(definition={"acceptance": ["It is good"]}),  # there is no model
    )


def _consensus(make: MakeCase) -> Samples:
    return Samples(
        passes=make(output={"n": 3}, definition={"acceptance": ["output.n == 3"]}),
        fails=make(output={"n": 2}, definition={"acceptance": ["output.n == 3"]}),
        nothing=None,  # without criteria the objective is judged
        unreadable=make(artifacts=SOURCE, blob=unreadable),
        voters=("v1", "v2"),
    )


def _with_a_model() -> AbstractContextManager[Any]:
    """One that says yes and gives a quote that is not there. It is asked about what cannot be read
    alone: twice by two voters. The rest are rules."""
    Profile.objects.create(role="verifier", model="scripted:judge")
    forget()
    yes = {"number": 1, "met": "yes", "quote": "pass", "why": "it says so"}
    return scripted("judge", [json.dumps({"criteria": [yes]})] * 4)


SAMPLES: Mapping[str, Callable[[MakeCase], Samples]] = {
    "schema": _schema,
    "safety": _safety,
    "grounding": _grounding,
    "consistency": _consistency,
    "execution": _execution,
    "semantic": _semantic,
    "consensus": _consensus,
}


@pytest.fixture(autouse=True)
def _profiles_read_anew() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.mark.parametrize("name", registry.names())
def test_a_verifier_of_every_kind_conforms(make_case: MakeCase, name: str) -> None:
    with _with_a_model() if name == "consensus" else nullcontext():
        assert problems(registry.verifier(name), SAMPLES[name](make_case)) == []


class Judge(Verifier):
    """One that keeps all of it: the base for those below, which each break one rule."""

    name = "judge"
    kind = Kind.SCHEMA
    calls: ClassVar[list[int]] = []

    def judge(self, case: Case) -> VerdictDraft:
        n = (case.report.get("output") or {}).get("n")
        if n is None:
            return self.abstains("there is nothing")
        if case.report["artifacts"]:
            case.blob(case.report["artifacts"][0]["sha256"])
        return self.passes(evidence={"n": n}) if n == 1 else self.fails("it is not 1")


class Believing(Judge):
    def judge(self, case: Case) -> VerdictDraft:
        said = "pass" in str(case.report.get("summary"))
        return self.passes() if said else super().judge(case)


class Wavering(Judge):
    def judge(self, case: Case) -> VerdictDraft:
        self.calls.append(1)
        return self.passes() if len(self.calls) % 2 else super().judge(case)


class Hopeful(Judge):
    def judge(self, case: Case) -> VerdictDraft:
        try:
            return super().judge(case)
        except OSError:
            return self.passes()


class Easy(Judge):
    def judge(self, case: Case) -> VerdictDraft:
        said = super().judge(case)
        return self.passes() if said.outcome == "abstain" else said


class Opaque(Judge):
    def judge(self, case: Case) -> VerdictDraft:
        return self.passes(evidence={"case": case})


class Mute(Judge):
    def judge(self, case: Case) -> VerdictDraft:
        said = super().judge(case)
        return self.fails([]) if said.outcome == "fail" else said


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (Judge, ""),
        (Believing, "says pass of `fails, with orders`"),
        (Wavering, "and the second time"),
        (Hopeful, "says pass of `unreadable`"),
        (Easy, "says pass of `nothing`"),
        (Opaque, "its evidence cannot be stored"),
        (Mute, "without a reason"),
    ],
)
def test_a_verifier_that_does_not_keep_a_rule_is_told_which(
    make_case: MakeCase, kind: type[Verifier], problem: str
) -> None:
    samples = Samples(
        passes=make_case(output={"n": 1}),
        fails=make_case(output={"n": 2}),
        nothing=make_case(output={}),
        unreadable=make_case(output={"n": 1}, artifacts=SOURCE, blob=unreadable),
    )
    found = problems(kind(), samples)
    assert problem in "\n".join(found)
    assert bool(found) is bool(problem)
