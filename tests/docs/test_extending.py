"""What docs/extending.md shows is a package that can be installed, and a worker runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.test_docs import page, place_with_a_worker

BLOCK = re.compile(r"```(toml|python)\n(.*?)```", re.DOTALL)
LINES_MAX = 20
TEXT = "to be or not to be"
PLAN = {
    "objective": "count",
    "tasks": [
        {
            "key": "count",
            "agent": "wordcount",
            "inputs": {"text": TEXT},
            "verify": ["schema", "plausible"],
        },
        {
            "key": "asked",
            "agent": "model",
            "inputs": {"text": TEXT},
            "tools": ["count_words"],
            "output_schema": {
                "type": "object",
                "required": ["words"],
                "properties": {"words": {"type": "integer"}},
            },
            "verify": ["schema", "plausible"],
        },
    ],
}


def installed(folder: Path) -> Path:
    """The document's blocks as a project, built and installed into a folder of its own."""
    project, site = folder / "project", folder / "site"
    project.mkdir()
    for kind, text in BLOCK.findall(page("docs/extending.md")):
        name = "pyproject.toml" if kind == "toml" else "wordcount.py"
        with (project / name).open("a") as file:
            file.write(f"{text}\n\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
         "--no-index", "--target", str(site), str(project)],
        check=True, capture_output=True,
    )  # fmt: skip
    return site


def test_each_takes_twenty_lines() -> None:
    blocks = [text for kind, text in BLOCK.findall(page("docs/extending.md")) if kind == "python"]
    lines = [len([line for line in text.splitlines() if line.strip()]) for text in blocks]
    assert len(lines) == 4
    assert max(lines) <= LINES_MAX


def test_a_package_with_agent_tool_verifier_and_provider_takes_part_in_a_goal(
    tmp_path: Path,
) -> None:
    """The provider's model asks the tool, and the verifier judges what it hands in."""
    site = installed(tmp_path)
    more = {"PYTHONPATH": str(site), "AGENTSYS_MODEL": "abacus:small"}
    with place_with_a_worker(tmp_path, **more) as place:
        checkout = place.checkout("checkout")
        (checkout / "plan.json").write_text(json.dumps(PLAN))
        ran = place.run(
            ".venv/bin/agentsys goals submit --plan plan.json --wait --json > said.json\n"
            ".venv/bin/agentsys goals show 1 --json > goal.json\n"
            ".venv/bin/agentsys goals show 1/asked --json > task.json\n"
            "ID=$(python -c 'import json;"
            ' print(json.load(open("task.json"))["attempts"][0]["id"])\')\n'
            ".venv/bin/agentsys goals show attempt-$ID --json",
            checkout,
        )
    assert ran.returncode == 0, ran.stderr
    goal = json.loads((checkout / "goal.json").read_text())
    for task in goal["tasks"]:
        verdicts = {v["verifier"]: v["outcome"] for v in task["verdicts"]}
        assert (task["state"], verdicts) == ("done", {"schema": "pass", "plausible": "pass"})
    attempt = json.loads(ran.stdout)
    assert attempt["report"]["output"] == {"words": 6}
    kinds = [(step["kind"], step["name"]) for step in attempt["steps"]]
    assert ("tool", "count_words") in kinds
    assert [kind for kind, _ in kinds].count("model") == 2
