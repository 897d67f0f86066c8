"""A task, an attempt, and what a person is asked to judge, as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Any

from orchestration.domain.lives import proposal_told
from orchestration.services.overrides import BY_HAND

# Its fields in the order in which they are read; a database keeps none.
PLAYBOOK = ("name", "version", "description", "objective", "repository", "parameters", "phases")
LINE = 96  # columns
SHOWN_MAX = 8000  # characters of one value; `--json` has all of it


def task_text(view: Mapping[str, Any], sentence: str) -> str:
    return "\n".join(_task_lines(view, sentence))


def _task_lines(view: Mapping[str, Any], sentence: str) -> Iterator[str]:
    definition = view["definition"]
    yield f"task-{view['id']}: {view['key']} of goal-{view['goal']}, agent {view['agent']}"
    yield definition.get("objective") or ""
    yield sentence
    if definition.get("inputs"):
        yield f"inputs: {value_text(definition['inputs'])}"
    for row in view["attempts"]:
        because = f": {row['reason']}" if row["reason"] else ""
        hand = f", {row['note']}" if row["note"].startswith(BY_HAND) else ""
        yield f"attempt-{row['id']} (number {row['number']}): {row['state']}{hand}{because}"
    for row in view["proposals"]:
        because = f": {row['reason']}" if row["reason"] else ""
        yield f"proposal-{row['id']} ({row['title']}): {told(row)}{because}"
    if view["output"] is not None:
        yield f"output: {value_text(view['output'])}"


def attempt_text(view: Mapping[str, Any], sentence: str) -> str:
    lines = [sentence]
    report = view["report"] or {}
    if report.get("summary"):
        lines.append(f"summary: {report['summary']}")
    if report.get("output") is not None:
        lines.append(f"output: {value_text(report['output'])}")
    lines += verdict_lines(view["verdicts"])
    lines += drift_lines(view["drift"])
    lines += [
        f"step {step['index']}: {step['name']} {step['state']}" for step in view["steps"][:20]
    ]
    return "\n".join(lines)


def drift_lines(checkpoints: list[Mapping[str, Any]]) -> list[str]:
    """The latest checkpoint, and the worst where that is another."""
    if not checkpoints:
        return []
    shown = {c["step"]: c for c in (max(checkpoints, key=_score), checkpoints[-1])}
    return [
        f"drift at step {c['step']}: {c['score']:.2f} of {c['limit']:.2f}, {c['outcome']}"
        f"{': ' if c['reasons'] else ''}{'; '.join(c['reasons'])}"
        for _, c in sorted(shown.items())
    ]


def _score(checkpoint: Mapping[str, Any]) -> float:
    return float(checkpoint["score"])


def asked_lines(view: Mapping[str, Any]) -> Iterator[str]:
    """What is decided on: the exact action, the plan, or what was handed in; then what was decided."""
    proposal = view["proposal"]
    if proposal:
        yield (
            "what would be done, exactly:"
            if view["state"] == "open"
            else "what was asked, exactly:"
        )
        yield laid_out(proposal["payload"])
        if proposal["diff"]:
            yield proposal["diff"]
    if view["kind"] == "playbook":
        yield from _playbook_lines(view["context"], view["action_hash"])
    if view["kind"] == "prompt":
        yield from _prompt_lines(view["context"], view["action_hash"])
    if view["plan"] is not None:
        yield f"the plan: {value_text(view['plan'])}"
    if view["inputs"] is not None:
        yield f"inputs: {value_text(view['inputs'])}"
    if view["output"] is not None:
        yield f"what was handed in: {value_text(view['output'])}"
    yield from map(_decided, view["decisions"])
    if view["edited"]:
        yield from edited_lines(view["edited"])


def _decided(row: Mapping[str, Any]) -> str:
    because = f": {row['reason']}" if row["reason"] else ""
    edit = f"\n{laid_out(row['payload'])}" if row["payload"] else ""
    return f"{row['person']} said {row['decision']}, {row['at'][:16].replace('T', ' ')} UTC{because}{edit}"


def edited_lines(proposal: Mapping[str, Any]) -> Iterator[str]:
    """What a person's edit put in the place of what was asked."""
    yield f"in its place, exactly, proposal-{proposal['id']} ({told(proposal)}):"
    yield laid_out(proposal["payload"])


def told(proposal: Mapping[str, Any]) -> str:
    return proposal_told(proposal["state"], proposal["reason"])


def _playbook_lines(context: Mapping[str, Any], hashed: str) -> Iterator[str]:
    yield f"what would be put in force, exactly (sha256 {hashed}):"
    playbook = {
        field: context["playbook"][field] for field in PLAYBOOK if field in context["playbook"]
    }
    yield json.dumps(playbook, indent=2, ensure_ascii=False)
    if change := context.get("retires") or context.get("improves"):
        what = "is to be retired" if "retires" in context else "is what this improves"
        yield f"version {change['version']} {what}: {change['why']}"
    if not context["goals"]:
        return
    yield "its backtest: with these values it gives each goal's plan, to the byte"
    for row in context["goals"]:
        verdicts = ", ".join(f"{n} {outcome}" for outcome, n in row["verdicts"].items())
        yield (
            f"goal-{row['goal']}: {json.dumps(row['params'], ensure_ascii=False)};"
            f" {row['tasks']} tasks in {row['attempts']} attempts, verdicts {verdicts or 'none'},"
            f" {row['tokens']} tokens, ${row['cost_usd']:.4f}, {row['seconds']} s"
        )
    ended = context["of_this_shape"]
    yield f"of goals of this shape {ended['succeeded']} succeeded and {ended['failed']} failed"


def _prompt_lines(context: Mapping[str, Any], hashed: str) -> Iterator[str]:
    change = context["change"]
    yield f"the prompt of {change['agent']}, exactly (sha256 {hashed}):"
    before, after = context["before"].splitlines(), change["prompt"].splitlines()
    names = (f"version {change['version']}", "the next version")
    yield from unified_diff(before, after, *names, lineterm="", n=len(before))
    yield f"on record under version {change['version']}: {json.dumps(context['backtest'])}"
    for rule in context["rules"]:
        yield f"{rule['attempts']} attempts at {rule['tasks']} tasks were refused for: {rule['text']}"


def verdict_lines(verdicts: list[Mapping[str, Any]]) -> list[str]:
    return [f"{v['verifier']}: {v['outcome']} {'; '.join(v['reasons'])}" for v in verdicts]


def value_text(value: Any) -> str:
    """JSON to read; a long one is cut, and says so."""
    text = laid_out(value)
    if len(text) <= SHOWN_MAX:
        return text
    return (
        f"{text[:SHOWN_MAX]}\n… {len(text) - SHOWN_MAX:,} characters more; `--json` has all of it"
    )


def laid_out(value: Any, indent: str = "") -> str:
    """JSON, in which what fits on a line is on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= LINE or not value or not isinstance(value, (dict, list)):
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [
            f"{inner}{json.dumps(k, ensure_ascii=False)}: {laid_out(v, inner)}"
            for k, v in value.items()
        ]
        return "\n".join(["{", ",\n".join(parts), indent + "}"])
    parts = [inner + laid_out(each, inner) for each in value]
    return "\n".join(["[", ",\n".join(parts), indent + "]"])
