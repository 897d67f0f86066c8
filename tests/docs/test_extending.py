"""What docs/extending.md shows is a package that can be installed, and a worker runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.test_docs import page, place_with_a_worker

BLOCK = re.compile(r"```(toml|python)\n(.*?)```", re.DOTALL)
PLAN = {
    "objective": "count",
    "tasks": [
        {
            "key": "count",
            "agent": "wordcount",
            "inputs": {"text": "to be or not to be"},
            "verify": ["schema", "plausible"],
        }
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


def test_a_package_with_an_agent_and_a_verifier_takes_part_in_a_goal(tmp_path: Path) -> None:
    site = installed(tmp_path)
    with place_with_a_worker(tmp_path, PYTHONPATH=str(site)) as place:
        checkout = place.checkout("checkout")
        (checkout / "plan.json").write_text(json.dumps(PLAN))
        ran = place.run(
            ".venv/bin/agentsys goals submit --plan plan.json --wait --json > said.json\n"
            ".venv/bin/agentsys goals show 1 --json",
            checkout,
        )
    assert ran.returncode == 0, ran.stderr
    (task,) = json.loads(ran.stdout)["tasks"]
    verdicts = {v["verifier"]: v["outcome"] for v in task["verdicts"]}
    assert (task["state"], verdicts) == ("done", {"schema": "pass", "plausible": "pass"})
