"""The report of the playbook `repo-care`: what was found, changed and refused, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workers.contracts import Brief

SHOWN = 15


def render(brief: Brief) -> str:
    """Markdown. Reads the outputs of the tasks before it and, for what was refused, their
    outcomes with verdicts."""
    outcomes: Mapping[str, Any] = brief.inputs.get("outcomes") or {}
    surveys = {k: v for k, v in brief.needs.items() if isinstance(v, Mapping) and "check" in v}
    parts = [
        f"# {brief.inputs.get('title') or 'Report'}",
        *_head(brief),
        "## What was found",
        *_found(surveys, outcomes),
        "## What was changed",
        *_changed(outcomes),
        "## What was refused or left, and why",
        *_refused(brief, outcomes),
        "## Tests",
        *_tests(brief.needs),
        "## Evidence",
        *_evidence(outcomes),
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def _head(brief: Brief) -> list[str]:
    repository = brief.repository
    if repository is None:
        return []
    if not repository.base:
        return [f"`{repository.path}` has no commit yet: there is nothing to look at."]
    lines = [
        f"Repository `{repository.path}`. The work was done on the last commit; accepted changes"
        f" are on the branch `{repository.branch}`. Your branch, index and files were not touched."
    ]
    if brief.inputs.get("dirty"):
        lines.append("The working tree had uncommitted changes; they were left alone and unseen.")
    return lines


def _found(surveys: Mapping[str, Any], outcomes: Mapping[str, Any]) -> list[str]:
    rows = ["| check | result | findings |", "|---|---|---|"]
    for key, survey in surveys.items():
        rows.append(f"| {_cell(key)} | {_cell(survey['summary'])} | {survey['total']} |")
    for key, outcome in outcomes.items():
        if outcome["state"] != "done" and outcome["agent"] == "surveyor":
            rows.append(f"| {_cell(key)} | failed: {_cell('; '.join(outcome['reasons']))} | – |")
    parts = ["\n".join(rows)]
    for key, survey in surveys.items():
        if survey["findings"]:
            parts.append(_details(key, survey))
    return parts


def _details(key: str, survey: Mapping[str, Any]) -> str:
    order = {"error": 0, "warning": 1, "info": 2}
    worst = sorted(survey["findings"], key=lambda f: (order.get(f["severity"], 3), f["path"]))
    lines = [
        f"- `{_code(f['path'])}:{f['line']}` {_cell(f['code'])}: {_cell(f['message'])}"
        for f in worst[:SHOWN]
    ]
    rest = survey["total"] - len(lines)
    if rest > 0:
        lines.append(f"- … and {rest} more")
    return f"### {key}\n\n" + "\n".join(lines)


def _changed(outcomes: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, outcome in _coders(outcomes):
        output, proposal = outcome["output"] or {}, outcome["proposal"]
        if outcome["state"] != "done" or not output.get("changed"):
            continue
        commit = (proposal or {}).get("commit", "")
        passed = ", ".join(v["verifier"] for v in outcome["verdicts"] if v["outcome"] == "pass")
        lines.append(
            f"- **{_cell(key)}**: {len(output['changed'])} files, +{output['insertions']}"
            f" −{output['deletions']}, merged as `{commit[:12]}`; verified by {passed or 'nobody'}"
        )
        lines += [f"  - `{_code(path)}`" for path in output["changed"][:SHOWN]]
    return ["\n".join(lines) or "Nothing was changed."]


def _coders(outcomes: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((k, o) for k, o in outcomes.items() if o["agent"] == "coder")


def _refused(brief: Brief, outcomes: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, outcome in _coders(outcomes):
        output = outcome["output"] or {}
        if outcome["state"] != "done":
            reasons = "; ".join(dict.fromkeys(outcome["reasons"])) or "no reason given"
            lines.append(f"- **{_cell(key)}** was refused: {_cell(reasons)}")
        elif not output.get("changed"):
            lines.append(f"- {_cell(key)}: the tools had nothing to change")
        lines += [
            f"  - left: `{_code(s['path'])}` {_cell(s['why'])}"
            if s["path"]
            else f"  - {_cell(s['why'])}"
            for s in output.get("skipped", [])[:SHOWN]
        ]
    triage = brief.needs.get("triage") or {}
    lines += [
        f"- {_cell(s['name'])} was left: {_cell(s['why'])}" for s in triage.get("skipped", [])
    ]
    return ["\n".join(lines) or "Nothing was refused."]


def _tests(needs: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, name in (("tests", "before"), ("tests-after", "after, on the goal's branch")):
        output = needs.get(key)
        if output is None:
            lines.append(f"- {name}: not run")
            continue
        lines.append(f"- {name}: {_tests_line(output)}")
        lines += [f"  - failing: `{_code(test)}`" for test in output["failures"][:SHOWN]]
    return ["\n".join(lines)]


def _tests_line(output: Mapping[str, Any]) -> str:
    status = output["status"]
    if status == "no_tests":
        return "there are no tests"
    command = " ".join(output["command"])
    if status in ("passed", "failed"):
        return (
            f"{output['passed']} passed, {output['failed']} failed, {output['errors']} errors,"
            f" {output['skipped']} skipped in {output['duration_seconds']:.1f} s"
            f" (`{_code(command)}`)"
        )
    last = output["tail"].strip().splitlines()[-1:]
    return f"could not be run ({status}): {_cell(''.join(last)[:200])}"


def _evidence(outcomes: Mapping[str, Any]) -> list[str]:
    rows = ["| task | state | attempts | verdicts |", "|---|---|---|---|"]
    for key, outcome in outcomes.items():
        verdicts = ", ".join(f"{v['verifier']} {v['outcome']}" for v in outcome["verdicts"])
        rows.append(
            f"| {_cell(key)} | {outcome['state']} | {outcome['attempts']} | {_cell(verdicts)} |"
        )
    return ["\n".join(rows)]


def _cell(text: Any) -> str:
    """Text from tools, in a table: it can neither break the row nor pass for markup."""
    flat = " ".join(str(text).split())[:400]
    for mark in ("\\", "|", "<", "[", "]", "`", "*", "_"):
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def _code(text: Any) -> str:
    return " ".join(str(text).replace("`", "'").split())[:200]
