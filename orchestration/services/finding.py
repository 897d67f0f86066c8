"""A goal that was handed in as a sentence is planned by the playbook that is for it, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from agentsys.kernel.errors import BadInput
from orchestration.domain.plan import PlanDraft
from orchestration.models import Project
from orchestration.planners import make_plan
from orchestration.planners.finding import DEFAULT_POLICY, playbook_for
from orchestration.services.owners import owners_named
from workers.git import Repository

log = structlog.get_logger(__name__)


def playbook_plan(
    objective: str, project: str, params: Mapping[str, Any], repository: str = ""
) -> PlanDraft | None:
    """The plan by the playbook that is for this objective; None where there is none, or where it
    does not give a plan that can be run here."""
    home = Project.objects.filter(name=project).first()
    match = playbook_for(
        objective,
        home.namespace if home else "",
        given=params,
        repository=repository,
        policy=(home.policy if home else {}).get("playbooks", DEFAULT_POLICY),
    )
    if match is None:
        return None
    try:
        draft = make_plan(
            objective=objective,
            playbook=match.known.playbook.name,
            params=match.params,
            namespace=home.namespace if home else "",
            owned=owners_named(project),
        )
        if path := repository or draft.repository:
            Repository.open(path)
    except BadInput as error:
        log.info("a playbook was found and cannot be used", why=match.why, error=str(error)[:300])
        return None
    return replace(draft, rationale=f"{match.why}. {draft.rationale}".strip())
