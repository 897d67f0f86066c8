"""What several recorded plans have in common, as one playbook with parameters: anti-unification.

What is the same in all plans stays as it is. Where they differ there is a hole, and holes that are
filled in the same way in every plan are one parameter (Plotkin 1970: the least general
generalisation). Texts are looked into: `fix-alpha` and `Tidy alpha` are made from a parameter that
is `alpha`. Names and types come from where the holes are and from what fills them.

Whether the result is right is not decided here: `reflection.backtest` compiles it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from agentsys.kernel.hashing import canonical_of_plain

PARAMETERS_MAX = 8  # what takes more is no procedure, but a form
UNCOUNTED = ("key", "agent", "depends_on", "verify", "phase", "priority")  # their sameness is cheap
UNSAID: Mapping[str, Any] = {"priority": 0, "depends_on": [], "objective": ""}
_WORDS = re.compile(r"\S+|\s+")
_REFERENCE = re.compile(r"(?<!\$)\$+\{[^{}]*\}")
_MARK = "\N{SYMBOL FOR START OF TEXT}{}\N{SYMBOL FOR END OF TEXT}"

Path = tuple[str | int, ...]
Filling = tuple[Any, ...]  # of one hole, a value for each plan


@dataclass(frozen=True, slots=True)
class Record:
    """A plan that was run, as far as a playbook must give it again."""

    objective: str
    repository: str
    tasks: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        return {
            "objective": self.objective,
            "repository": self.repository,
            "tasks": [dict(task) for task in self.tasks],
        }


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: str
    stands: str  # where, for people
    values: Filling


@dataclass(frozen=True, slots=True)
class Generalised:
    """`kept` and `open` count the values of the plans that are the same, and those that are not."""

    objective: str
    repository: str
    tasks: Sequence[Mapping[str, Any]]
    parameters: Sequence[Parameter]
    kept: int
    open: int

    def params(self, index: int) -> dict[str, Any]:
        """What makes it the plan number `index` again."""
        return {p.name: p.values[index] for p in self.parameters}


class NoCommonForm(Exception):
    """The plans differ in what no parameter can stand for; the text says in what."""


@dataclass(slots=True)
class _Hole:
    path: Path
    filling: Filling


@dataclass(slots=True)
class _Known:
    """A parameter in the making. `places` are those it fills as a whole, then those in texts."""

    filling: Filling
    whole: list[Path] = field(default_factory=list)
    within: list[Path] = field(default_factory=list)


def generalise(records: Sequence[Record]) -> Generalised:
    """The smallest common form of at least two plans of one shape; NoCommonForm when there is none."""
    return _Generalisation([record.to_json() for record in records]).result()


class _Generalisation:
    def __init__(self, plans: Sequence[Mapping[str, Any]]) -> None:
        self._plans = plans
        self._holes: list[_Hole] = []
        self._known: dict[str, _Known] = {}
        self._texts: dict[Path, str] = {}  # templates of holes, with marks for parameters
        self._kept = 0
        self._form = self._common(list(plans), ())

    def result(self) -> Generalised:
        # The shorter ones first: what is longer may be made from them.
        for hole in sorted(self._holes, key=_weight):
            self._texts[hole.path] = self._filled(hole)
        if len(self._known) > PARAMETERS_MAX:
            raise NoCommonForm(f"{len(self._known)} parameters; at most {PARAMETERS_MAX} are taken")
        parameters = self._named()
        names = {
            _MARK.format(mark): p.name for mark, p in zip(self._known, parameters, strict=True)
        }
        form = self._put(self._form, (), names)
        whole = [path for known in self._known.values() for path in known.whole]
        return Generalised(
            objective=form["objective"],
            repository=form["repository"],
            tasks=[_short(task) for task in form["tasks"]],
            parameters=sorted(parameters, key=lambda p: p.name),
            kept=self._kept,
            open=sum(1 for path in whole if _counts(path)),
        )

    # --- Holes -----------------------------------------------------------------------------------

    def _common(self, values: list[Any], path: Path) -> Any:
        first = values[0]
        if len({canonical_of_plain(value) for value in values}) == 1:
            self._kept += _leaves(first, path)
            return first
        if all(isinstance(v, dict) and v.keys() == first.keys() for v in values):
            return {key: self._common([v[key] for v in values], (*path, key)) for key in first}
        if all(isinstance(v, list) and len(v) == len(first) for v in values):
            return [self._common([v[n] for v in values], (*path, n)) for n in range(len(first))]
        if path[:1] == ("tasks",) and len(path) < 3:
            raise NoCommonForm(f"their tasks have other fields: {_where(path, self._plans[0])}")
        self._holes.append(_Hole(path, tuple(values)))
        return None

    def _filled(self, hole: _Hole) -> str:
        """The hole's template: text, with marks where parameters are."""
        if all(isinstance(value, str) for value in hole.filling):
            made = self._made_from_known(hole)
            if made is not None:
                return made
            return self._made_from_sentence(hole)
        return self._parameter(hole.filling, hole.path, whole=True)

    def _parameter(self, filling: Filling, path: Path, *, whole: bool) -> str:
        where = _where(path, self._plans[0])
        if any("${" in canonical_of_plain(value) for value in filling):
            raise NoCommonForm(f"{where} differs in a reference")
        if _type_of(filling) is None:
            raise NoCommonForm(f"{where} is of different types")
        mark = canonical_of_plain(list(filling))
        known = self._known.setdefault(mark, _Known(filling))
        (known.whole if whole else known.within).append(path)
        return _MARK.format(mark)

    def _made_from_known(self, hole: _Hole) -> str | None:
        """A text that is made from parameters there are already, in the same way in all plans."""
        texts = [k for k in self._known.values() if isinstance(k.filling[0], str) and k.filling[0]]
        texts.sort(key=lambda known: -len(known.filling[0]))
        for some in [texts, *([one] for one in texts)] if texts else []:
            made = _written(hole.filling[0], {canonical_of_plain(list(k.filling)): k for k in some})
            used = [k for mark, k in self._known.items() if _MARK.format(mark) in made]
            if used and all(self._reads(made, n) == text for n, text in enumerate(hole.filling)):
                for known in used:
                    is_whole = made == _MARK.format(canonical_of_plain(list(known.filling)))
                    (known.whole if is_whole else known.within).append(hole.path)
                return made
        return None

    def _reads(self, template: str, index: int) -> str:
        for mark, known in self._known.items():
            if isinstance(known.filling[index], str):
                template = template.replace(_MARK.format(mark), known.filling[index])
        return template

    def _made_from_sentence(self, hole: _Hole) -> str:
        """Words at the beginning and the end that are the same stay; what is in between is a
        parameter. A single word is one as a whole."""
        words = [_WORDS.findall(text) for text in hole.filling]
        shortest = min(len(w) for w in words)
        front = _same(words, shortest)
        back = _same([w[::-1] for w in words], shortest - front)
        middle = tuple("".join(w[front : len(w) - back]) for w in words)
        if front + back == 0 or not all(part.strip() for part in middle):
            return self._parameter(hole.filling, hole.path, whole=True)
        before, after = "".join(words[0][:front]), "".join(words[0][len(words[0]) - back :])
        inner = _Hole(hole.path, middle)
        made = self._made_from_known(inner) or self._parameter(middle, hole.path, whole=False)
        return f"{before}{made}{after}"

    # --- Names and the final form ----------------------------------------------------------------

    def _named(self) -> list[Parameter]:
        taken: set[str] = set()
        found = []
        for known in self._known.values():
            places = sorted(known.whole, key=_rank) or sorted(known.within, key=_rank)
            name = _free(_names(places[0], self._plans[0]), taken)
            taken.add(name)
            kind = _type_of(known.filling)
            assert kind is not None, "looked at when the parameter was made"
            found.append(Parameter(name, kind, _where(places[0], self._plans[0]), known.filling))
        return found

    def _put(self, form: Any, path: Path, names: Mapping[str, str]) -> Any:
        if path in self._texts:
            text = self._texts[path]
            pieces = [_escaped(piece, path) for piece in _split(text, names)]
            return "".join(f"${{params.{names[p]}}}" if p in names else p for p in pieces)
        if isinstance(form, dict):
            return {key: self._put(value, (*path, key), names) for key, value in form.items()}
        if isinstance(form, list):
            return [self._put(value, (*path, n), names) for n, value in enumerate(form)]
        return _escaped(form, path) if isinstance(form, str) else form


def _weight(hole: _Hole) -> tuple[int, int, tuple[str, ...]]:
    size = sum(len(canonical_of_plain(value)) for value in hole.filling)
    return size, _rank(hole.path), tuple(map(str, hole.path))


def _rank(path: Path) -> int:
    """Which place gives a parameter its name: the smaller, the better it says what it is."""
    is_item = int(isinstance(path[-1], int))
    if "inputs" in path:
        return is_item
    if path[2:3] in (("key",), ("depends_on",)):
        return 8 + is_item
    return (6 if path[0] == "objective" else 4) + is_item


def _counts(path: Path) -> bool:
    return not any(part in UNCOUNTED for part in path[2:3])


def _leaves(value: Any, path: Path) -> int:
    if not _counts(path):
        return 0
    if isinstance(value, dict):
        return sum(_leaves(inner, (*path, key)) for key, inner in value.items())
    if isinstance(value, list):
        return sum(_leaves(inner, (*path, n)) for n, inner in enumerate(value))
    return int(value not in ("", None))


def _same(words: Sequence[Sequence[str]], most: int) -> int:
    """How many words at the beginning are the same in all."""
    for n in range(most):
        if len({w[n] for w in words}) > 1:
            return n
    return most


def _written(text: str, known: Mapping[str, _Known]) -> str:
    """`text` with marks in place of what is the first plan's value of a parameter. References to
    tasks are left alone."""
    marks = {k.filling[0]: _MARK.format(mark) for mark, k in known.items()}
    values = "|".join(re.escape(v) for v in sorted(marks, key=len, reverse=True))
    pattern = re.compile(rf"(?<![^\W_])(?:{values})(?![^\W_])")
    pieces, at = [], 0
    for found in _REFERENCE.finditer(text):
        pieces += [pattern.sub(lambda m: marks[m[0]], text[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*pieces, pattern.sub(lambda m: marks[m[0]], text[at:])])


def _split(text: str, names: Mapping[str, str]) -> list[str]:
    if not names:
        return [text]
    return re.split(f"({'|'.join(re.escape(mark) for mark in names)})", text)


def _escaped(text: str, path: Path) -> str:
    """The goal's objective and repository are plain text in a plan, and resolved in a playbook."""
    return text.replace("${", "$${") if path[0] in ("objective", "repository") else text


def _type_of(filling: Filling) -> str | None:
    kinds = {type(value) for value in filling}
    if kinds == {str}:
        return "path" if all(_is_path(value) for value in filling) else "string"
    if kinds <= {int, float}:
        return "int" if kinds == {int} else "float"
    names: dict[type, str] = {bool: "bool", list: "list", dict: "object"}
    return names.get(kinds.pop()) if len(kinds) == 1 else None


def _is_path(text: str) -> bool:
    return text.startswith("/") and ".." not in text and str(PurePosixPath(text)) == text


def _names(path: Path, plan: Mapping[str, Any]) -> list[str]:
    """Names for what stands there, the shortest first."""
    words = [str(part) for part in path if isinstance(part, str)]
    last = "name" if words[-1] == "key" else words[-1]
    number = f"_{path[-1] + 1}" if isinstance(path[-1], int) else ""
    short = _identifier(last + number)
    if path[0] != "tasks":
        return [short]
    key = str(plan["tasks"][path[1]]["key"])
    plainly = "objective" not in words and "key" not in words
    long = _identifier(f"{key}_{last}{number}")
    return [short, long] if plainly else [long]


def _identifier(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")[:60]
    return name if name[:1].isalpha() else f"p_{name}".rstrip("_")


def _free(names: Sequence[str], taken: set[str]) -> str:
    for name in names:
        if name not in taken:
            return name
    n = 2
    while f"{names[-1]}_{n}" in taken:
        n += 1
    return f"{names[-1]}_{n}"


def _where(path: Path, plan: Mapping[str, Any]) -> str:
    """`inputs.argv[1] of survey`, for people."""
    if path == ("tasks",):
        return "one has more than another"
    rest = path[2:] if path[0] == "tasks" else path
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in rest).lstrip(".")
    return f"{text} of {plan['tasks'][path[1]]['key']}" if path[0] == "tasks" else f"the {text}"


def _short(task: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in task.items() if k not in UNSAID or v != UNSAID[k]}
