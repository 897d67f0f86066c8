"""The plan is a playbook's: from the folder that ships with the project, or learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from agentsys.kernel.errors import BadInput, NoSuchName
from agentsys.kernel.hashing import digest, plain
from agentsys.kernel.wording import did_you_mean
from memory import services as memory
from orchestration.domain.plan import PlanDraft
from orchestration.domain.playbook import PlaybookDraft, compile_playbook, playbook_from_json
from orchestration.models import Project
from orchestration.planners.port import PlanRequest


class PlaybookPlanner:
    def plan(self, request: PlanRequest) -> PlanDraft:
        name = request.playbook or ""
        definition = playbook_definition(name, request.namespace)
        draft = compile_playbook(_checked(name, definition), request.params)
        objective = request.objective or draft.objective
        return replace(draft, objective=objective, playbook_hash=digest(plain(definition)))


def playbook_find(name: str, namespace: str = "") -> PlaybookDraft:
    """The playbook `name`, read; BadInput where there is none, or it cannot be read."""
    return _checked(name, playbook_definition(name, namespace))


def playbook_definition(name: str, namespace: str = "") -> Any:
    """What the playbook `name` says: the project's own version in force, else a file, else the
    newest version in the database."""
    files = dict(playbook_files())
    row = memory.playbook_get(name, namespace=namespace)
    own = row is not None and row.namespace and row.state == "active"
    if name in files and not own:
        return playbook_read(files[name])
    if row is not None:
        return row.definition
    known = sorted({*files, *(p.name for p in memory.playbooks(namespace))})
    raise BadInput(
        what="playbook",
        problems=[
            f"there is no playbook `{name}`{did_you_mean(name, known)}"
            f" (there are: {', '.join(known) or 'none'})"
        ],
    )


def playbooks_usable(project: str | None = None) -> list[tuple[str, PlaybookDraft]]:
    """Where each is from, and what it is: files first, then what projects have learned and a person
    has approved; of one project, or of all. NoSuchName for a project that is none."""
    projects = Project.objects.order_by("name")
    if project:
        projects = projects.filter(name=project)
        if not projects.exists():
            names = Project.objects.order_by("name").values_list("name", flat=True)
            raise NoSuchName(kind="project", name=project, names=list(names[:11]))
    files = dict(playbook_files())
    found = [("file", playbook_find(name)) for name in files]
    for row in projects:
        learned = memory.playbooks(row.namespace, state="active")
        found += [
            (f"project {row.name}", playbook_from_json(view.definition))
            for view in learned
            if view.namespace or view.name not in files
        ]
    return found


def playbook_files() -> Iterator[tuple[str, Path]]:
    for path in sorted(Path(settings.AGENTSYS.playbooks).glob("*.y*ml")):
        yield path.stem, path


def playbook_read(path: Path) -> Any:
    """What the file says; BadInput when it cannot be read or is no YAML."""
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise BadInput(what=f"playbook {path.name}", problems=[f"not YAML: {said}"]) from error
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path} cannot be read: {error}"
        raise BadInput(what=f"playbook {path.name}", problems=[problem]) from error


def _checked(name: str, definition: Any) -> PlaybookDraft:
    draft = playbook_from_json(definition)
    if draft.name != name:
        problem = f"{name} holds the playbook `{draft.name}`; give both the same name"
        raise BadInput(what=f"playbook {name}", problems=[problem])
    return draft


def playbooks_load() -> list[str]:
    """Put the playbooks that ship with the project into the database, where results are counted.

    A changed file becomes a new version; an unchanged one stays as it is.
    """
    loaded = []
    for name, path in playbook_files():
        definition = playbook_read(path)
        _checked(name, definition)
        memory.playbook_save(name, definition, origin="written")
        loaded.append(name)
    return loaded
