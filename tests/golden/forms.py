"""Writes down the forms of events that are new: `python -m tests.golden.forms`. See README.md."""

from __future__ import annotations

import json
from pathlib import Path

from orchestration.domain.events import EVENTS
from orchestration.domain.payloads import form_hash

PATH = Path(__file__).parent / "events.json"


def forms() -> dict[str, str]:
    """Event and version → the hash of its form."""
    return {
        f"{event.name}/{version}": form_hash(form)
        for event in EVENTS.values()
        for version, form in enumerate(event.forms, 1)
    }


def main() -> None:
    known = json.loads(PATH.read_text()) if PATH.exists() else {}
    PATH.write_text(json.dumps({**forms(), **known}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
