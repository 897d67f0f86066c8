"""A policy as fields, a group of them for each rule; and as JSON, for what fields cannot say.

A new version begins with the one in force. Only what a field changed is put into its document: whatever
else stands there stays as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms

from verification import policies
from verification.domain.floors import ANY, ROUNDS_MAX
from verification.domain.forbidding import PLACES
from verification.domain.matters import KINDS, RISKS
from verification.models import PolicyVersion
from verification.verifiers import registry

if TYPE_CHECKING:
    PolicyBase = forms.ModelForm[PolicyVersion]
else:
    PolicyBase = forms.ModelForm

NEW = 2  # rules that can be added at once
# What a rule means where it has no such key.
LEFT_OUT: Mapping[str, Any] = {
    "kind": ANY, "risk": RISKS[0], "required": [], "quorum": None, "voters": {}, "votes_min": {},
    "person": False, "rounds_max": None, "forbid": [],
}  # fmt: skip
OF_ALL = ("order", "advisory")
TOLD = "> "


# --- Values that are typed as text ---------------------------------------------------------------


class Typed(forms.CharField):
    """A value that is typed as a text. One that is not to be edited stays what it is."""

    def to_python(self, value: Any) -> Any:
        return self.read(value or "") if value is None or isinstance(value, str) else value

    def read(self, text: str) -> Any:
        """The value; ValidationError."""
        raise NotImplementedError


class Names(Typed):
    """A list, in its order: `schema, safety`."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def read(self, text: str) -> list[str]:
        return [name for part in text.split(",") if (name := part.strip())]


class Numbers(Typed):
    """A number for each name: `consensus=5, semantic=2`."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return ", ".join(f"{name}={number}" for name, number in value.items())
        return value

    def read(self, text: str) -> dict[str, int | float]:
        return dict(_number(part) for part in map(str.strip, text.split(",")) if part)


def _number(part: str) -> tuple[str, int | float]:
    name, _, text = (piece.strip() for piece in part.partition("="))
    for kind in (int, float):
        try:
            return name, kind(text)
        except ValueError:
            continue
    raise forms.ValidationError(f"“{part}” is no NAME=NUMBER; expected such as consensus=5")


class Phrases(Typed):
    """What is forbidden: `path: infra/**`, and below it `> what whoever is refused is told`."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 60})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return "\n".join(line for each in value for line in _lines(each))

    def read(self, text: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        for line in filter(str.strip, text.splitlines()):
            if line.startswith(TOLD.strip()) and found:
                found[-1]["say"] = line.removeprefix(TOLD.strip()).strip()
                continue
            place, colon, match = line.partition(":")
            if not colon or place.strip() not in PLACES:
                known = ", ".join(f"{name}:" for name in PLACES)
                raise forms.ValidationError(f"“{line[:60]}” begins with none of {known} or {TOLD}")
            found.append({"in": place.strip(), "match": match.strip()})
        return found


def _lines(each: Any) -> Iterator[str]:
    yield f"{each.get('in')}: {each.get('match')}"
    if "say" in each:
        yield f"{TOLD}{each['say']}"


# --- The form ------------------------------------------------------------------------------------


def begun_from(posted: Mapping[str, Any]) -> policies.Stored:
    """The version that a form was begun from; the latest for one that is not begun yet."""
    given = str(posted.get("base", ""))
    latest = policies.policy_latest()
    if given in map(str, range(1, latest.version)):  # of any length
        return policies.policy_version(int(given))
    return latest


def fieldsets(base: policies.Stored) -> list[tuple[str | None, dict[str, Any]]]:
    """In the admin's form."""
    number = len(_rules(base))
    titles = [f"Rule {row + 1}" for row in range(number)] + ["A new rule"] * NEW
    groups = [(title, {"fields": _names(row)}) for row, title in enumerate(titles)]
    json = {
        "fields": ["document"],
        "classes": ["collapse"],
        "description": "The same as it is kept. Change it here or by the fields above, not both.",
    }
    own = {"fields": ["reason", "base"]}
    return [*groups, ("All rules", {"fields": list(OF_ALL)}), ("As JSON", json), (None, own)]


def _rules(base: policies.Stored) -> list[dict[str, Any]]:
    return list(base.document.get("rules", ()))


def _names(row: int) -> list[str]:
    return [_name(row, key) for key in LEFT_OUT]


def _name(row: int, key: str) -> str:
    return f"rule-{row}-{key}"


class PolicyForm(PolicyBase):
    """`base` is the version that it was begun from. What is sent without one is the JSON alone."""

    base = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = PolicyVersion
        fields = ("document", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            return
        self.begun = begun_from(self.data)
        document = self.begun.document
        self.initial.update(document=document, base=self.begun.version)
        for row, rule in enumerate([*_rules(self.begun), *[{"kind": ""}] * NEW]):
            for key, made in _rule_fields(rule).items():
                self._put(_name(row, key), made, rule.get(key, LEFT_OUT[key]))
        for key in OF_ALL:
            self._put(key, Names(required=False, help_text=HELP[key]), document.get(key, []))

    def _put(self, name: str, made: Any, value: Any) -> None:
        """What a field cannot say is kept: it is not to be edited there."""
        self.fields[name], self.initial[name] = made, value
        if isinstance(made, Typed) and not _can_say(made, value):
            made.disabled = True
            made.help_text = (
                "It holds what this field cannot say: kept as it is, or edited as JSON."
            )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if self.errors or not self.instance._state.adding:
            return given
        rows: list[int] = []  # that are rules by the fields, where those were used
        if "base" in self.data:
            self._nobody_else()
            if any(name in OF_ALL or name.startswith("rule-") for name in self.changed_data):
                rows = self._by_fields(given)
        if not self.errors:
            for problem in policies.policy_document_problems(given["document"]):
                self.add_error(self._place(problem, rows), problem)
        return given

    def _nobody_else(self) -> None:
        """Until the transaction ends nobody adds a version that this one would undo unseen."""
        latest = policies.policy_latest(locked=True).version
        if latest != self.begun.version:
            said = f"Policy {latest} was put in force after you began, from {self.begun.version}."
            raise forms.ValidationError(f"{said} Nothing was changed: begin anew.")

    def _by_fields(self, given: dict[str, Any]) -> list[int]:
        """Puts together the document; gives the rows that are its rules."""
        if given["document"] != self.begun.document:
            self.add_error("document", "It was changed as JSON and by fields, too: change one.")
            return []
        rows = self._rows(given)
        given["document"] = self._document(given, rows)
        return rows

    def _rows(self, given: Mapping[str, Any]) -> list[int]:
        """Those that are rules: whose kind was chosen."""
        number = len(_rules(self.begun)) + NEW
        for row in range(number):
            unused = set(_names(row)) & set(self.changed_data)
            if not given.get(_name(row, "kind")) and row >= number - NEW and unused:
                self.add_error(_name(row, "kind"), "Choose what the rule is for.")
        return [row for row in range(number) if given.get(_name(row, "kind"))]

    def _document(self, given: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
        """The one it was begun from, with what the fields changed."""
        found = {**self.begun.document}
        rules = [dict(rule) for rule in _rules(self.begun)] + [{} for _ in range(NEW)]
        for row in rows:
            changed = {key: given[_name(row, key)] for key in LEFT_OUT if self._is_new(row, key)}
            _changed(rules[row], changed)
        _changed(found, {key: given[key] for key in OF_ALL if key in self.changed_data})
        return {**found, "rules": [rules[row] for row in rows]}

    def _is_new(self, row: int, key: str) -> bool:
        return _name(row, key) in self.changed_data

    def _place(self, problem: str, rows: Sequence[int]) -> str:
        """The field that a problem of the document is about; rules are counted from 1 there."""
        found = re.match(r"rule (\d+)(?:: (\w+))?", problem)
        if not rows:
            return "document"
        if found:
            key = found[2] if found[2] in LEFT_OUT else "kind"
            return _name(rows[int(found[1]) - 1], key)
        return next((key for key in OF_ALL if problem.startswith(key)), "document")


def _can_say(made: Typed, value: Any) -> bool:
    try:
        return bool(made.read(made.prepare_value(value)) == value)
    except (forms.ValidationError, AttributeError, TypeError):
        return False


def _changed(document: dict[str, Any], values: Mapping[str, Any]) -> None:
    """An empty value is left out."""
    for key, value in values.items():
        document.pop(key, None)
        if value not in (None, False, "", [], {}):
            document[key] = value


HELP = {
    "kind": "Of what artifacts it speaks; none takes the rule out.",
    "quorum": "Kinds of evidence that must pass; empty: all.",
    "voters": "At least so many voices: consensus=5.",
    "votes_min": "Independent judges that a yes must be worth: consensus=2.5.",
    "person": "Nothing counts before a person has looked.",
    "rounds_max": "After so many refusals a person decides.",
    "forbid": "A line each, `path: infra/**`, `command: …` or `text: …`; below it `> …`, what is told.",
    "order": "Which speak first: schema, safety. The others come after, cheap first.",
    "advisory": "Are heard and decide nothing.",
}  # fmt: skip


def _rule_fields(rule: Mapping[str, Any]) -> dict[str, forms.Field]:
    """In the order of LEFT_OUT. A verifier that is named and not installed can be taken out."""
    verifiers = dict.fromkeys([*registry.names(), *rule.get("required", [])])
    kinds = [("", "– no rule –"), (ANY, "any"), *((kind, kind) for kind in KINDS)]
    made: dict[str, forms.Field] = {
        "kind": forms.ChoiceField(choices=kinds),
        "risk": forms.ChoiceField(choices=[(risk, risk) for risk in RISKS], label="From this risk on"),
        "required": forms.MultipleChoiceField(
            choices=[(name, name) for name in verifiers], widget=forms.CheckboxSelectMultiple
        ),
        "quorum": forms.IntegerField(min_value=1),
        "voters": Numbers(),
        "votes_min": Numbers(label="Votes, at least"),
        "person": forms.BooleanField(label="A person looks"),
        "rounds_max": forms.IntegerField(min_value=1, max_value=ROUNDS_MAX, label="Rounds, at most"),
        "forbid": Phrases(),
    }  # fmt: skip
    for key, each in made.items():
        each.required = False
        each.label = each.label or key.capitalize()
        each.help_text = HELP.get(key, "")
    return made
