"""The report of the playbook `repo-care`: what was found, changed and refused, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workers.contracts import Brief

SHOWN = 15
LEFT = 40
CODES = 4


def render(brief: Brief) -> str:
    """Markdown. Reads the outputs of the tasks before it and, for what was refused, their
    outcomes with verdicts."""
    outcomes: Mapping[str, Any] = brief.inputs.get("outcomes") or {}
    surveys = {k: v for k, v in brief.needs.items() if isinstance(v, Mapping) and "check" in v}
    parts = [
        f"# {_cell(brief.inputs.get('title') or 'Report')}",
        *_head(brief),
        *_result(brief, surveys, outcomes),
        "## What was found",
        *_found(surveys, outcomes),
        "## What was changed",
        *_changed(outcomes),
        "## What was refused or left, and why",
        *_refused(brief, outcomes),
        "## Tests",
        *_tests(brief.needs, outcomes),
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


def _result(brief: Brief, surveys: Mapping[str, Any], outcomes: Mapping[str, Any]) -> list[str]:
    """The whole report in a line."""
    if brief.repository is None or not brief.repository.base:
        return []
    merged = [o["output"] for _, o in _coders(outcomes) if _is_merged(o)]
    files = sum(len(o["changed"]) for o in merged)
    plus, minus = sum(o["insertions"] for o in merged), sum(o["deletions"] for o in merged)
    refused = sum(1 for _, o in _coders(outcomes) if o["state"] != "done")
    found = sum(s["total"] for s in surveys.values())
    return [
        f"**{found} findings; {len(merged)} packages changed ({files} files, +{plus} −{minus}),"
        f" {refused} refused.**"
    ]


def _found(surveys: Mapping[str, Any], outcomes: Mapping[str, Any]) -> list[str]:
    rows = ["| check | result | findings | most of them |", "|---|---|---|---|"]
    for key, survey in surveys.items():
        total = survey["total"] if survey.get("status", "ok") == "ok" else "–"
        rows.append(
            f"| {_cell(key)} | {_cell(survey['summary'])} | {total} | {_cell(_codes(survey))} |"
        )
    for key, outcome in outcomes.items():
        if outcome["state"] != "done" and outcome["agent"] == "surveyor":
            rows.append(f"| {_cell(key)} | failed: {_cell('; '.join(outcome['reasons']))} | – | |")
    parts = ["\n".join(rows)]
    for key, survey in surveys.items():
        if survey["findings"]:
            parts.append(_details(key, survey))
    return parts


def _codes(survey: Mapping[str, Any]) -> str:
    by_code = survey.get("by_code") or {}
    most = sorted(by_code, key=lambda code: (-by_code[code], code))[:CODES]
    return ", ".join(f"{code} {by_code[code]}" for code in most)


def _details(key: str, survey: Mapping[str, Any]) -> str:
    order = {"error": 0, "warning": 1, "info": 2}
    worst = sorted(
        survey["findings"], key=lambda f: (order.get(f["severity"], 3), f["path"], f["line"])
    )
    lines = [
        f"- `{_code(_place(f))}` {_cell(f['code'])}: {_cell(f['message'])}" for f in worst[:SHOWN]
    ]
    return f"### {_cell(key)}\n\n" + "\n".join([*lines, *_more(survey["total"], len(lines))])


def _place(finding: Mapping[str, Any]) -> str:
    """`path:line`, or the path where a finding is about a whole file."""
    return f"{finding['path']}:{finding['line']}" if finding["line"] else str(finding["path"])


def _more(total: int, shown: int, *, indent: str = "") -> list[str]:
    return [f"{indent}- … and {total - shown} more"] if total > shown else []


def _changed(outcomes: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, outcome in _coders(outcomes):
        if not _is_merged(outcome):
            continue
        output, commit = outcome["output"], outcome["proposal"]["commit"]
        passed = ", ".join(v["verifier"] for v in outcome["verdicts"] if v["outcome"] == "pass")
        lines.append(
            f"- **{_cell(key)}**: {len(output['changed'])} files, +{output['insertions']}"
            f" −{output['deletions']}, merged as `{_code(commit[:12])}`; verified by"
            f" {_cell(passed) or 'nobody'}"
        )
        lines += [f"  - `{_code(path)}`" for path in output["changed"][:SHOWN]]
        lines += _more(len(output["changed"]), SHOWN, indent="  ")
    return ["\n".join(lines) or "Nothing was changed."]


def _is_merged(outcome: Mapping[str, Any]) -> bool:
    """Was something changed, and is it on the goal's branch?"""
    output, proposal = outcome["output"] or {}, outcome["proposal"] or {}
    return bool(outcome["state"] == "done" and output.get("changed") and proposal.get("commit"))


def _coders(outcomes: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((k, o) for k, o in outcomes.items() if o["agent"] == "coder")


def _refused(brief: Brief, outcomes: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, outcome in outcomes.items():
        if outcome["agent"] in ("surveyor", "tester"):  # said elsewhere
            continue
        if outcome["state"] != "done":
            lines.append(f"- **{_cell(key)}** {_cell(_refusal(outcome))}")
        elif outcome["agent"] == "coder" and not _is_merged(outcome):
            lines.append(f"- {_cell(key)}: {_cell(_unmerged(outcome))}")
        lines += _left((outcome["output"] or {}) if outcome["agent"] == "coder" else {})
    skipped = (brief.needs.get("triage") or {}).get("skipped", [])
    reasons = {s["name"]: s["why"] for s in reversed(skipped)}  # the first reason for each
    lines += [
        f"- {_cell(name)} was left: {_cell(reasons[name])}"
        for name in list(dict.fromkeys(s["name"] for s in skipped))[:LEFT]
    ]
    return ["\n".join([*lines, *_more(len(reasons), LEFT)]) or "Nothing was refused."]


def _refusal(outcome: Mapping[str, Any]) -> str:
    judged = [
        f"{v['verifier']}: {reason}"
        for v in outcome["verdicts"]
        if v["outcome"] != "pass"
        for reason in v["reasons"]
    ]
    reasons = [str(r) for r in outcome["reasons"]]
    said = [*reasons, *(j for j in judged if not any(j in reason for reason in reasons))]
    word = "was refused" if outcome["state"] == "failed" else f"is {outcome['state']}"
    return f"{word}: {'; '.join(dict.fromkeys(said)) or 'no reason given'}"


def _unmerged(outcome: Mapping[str, Any]) -> str:
    if not (outcome["output"] or {}).get("changed"):
        return "the tools had nothing to change"
    state = (outcome["proposal"] or {}).get("state", "missing")
    return f"its change was not merged; the proposal is {state}"


def _left(output: Mapping[str, Any]) -> list[str]:
    """Files that the coder passed over, and what it could not do at all."""
    skipped = output.get("skipped") or []
    lines = [
        f"  - left: `{_code(s['path'])}` {_cell(s['why'])}"
        if s["path"]
        else f"  - {_cell(s['why'])}"
        for s in skipped[:SHOWN]
    ]
    return [*lines, *_more(len(skipped), SHOWN, indent="  ")]


def _tests(needs: Mapping[str, Any], outcomes: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, name in (("tests", "before"), ("tests-after", "after, on the goal's branch")):
        output = needs.get(key)
        if output is None:
            why = "; ".join((outcomes.get(key) or {}).get("reasons") or ())
            lines.append(f"- {name}: not run" + (f" ({_cell(why)})" if why else ""))
            continue
        lines.append(f"- {name}: {_tests_line(output)}")
        lines += [f"  - failing: `{_code(test)}`" for test in output["failures"][:SHOWN]]
        lines += _more(len(output["failures"]), SHOWN, indent="  ")
    return ["\n".join(lines), _compared(needs.get("tests"), needs.get("tests-after"))]


def _compared(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """What the tests say about the change; "" where one of the two runs says nothing."""
    ran = ("passed", "failed")
    if not before or not after or not (before["status"] in ran and after["status"] in ran):
        return ""
    broken = sorted({*after["failures"]} - {*before["failures"]})
    mended = sorted({*before["failures"]} - {*after["failures"]})
    names = ", ".join(f"`{_code(test)}`" for test in broken[:SHOWN])
    if broken:
        return f"**{len(broken)} tests fail that did not fail before:** {names}."
    return f"No test fails that did not fail before; {len(mended)} fail no more."


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
