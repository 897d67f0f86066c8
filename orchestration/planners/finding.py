"""The playbook that an objective is for: those that ship, those of the project in force, and, where the
project's policy says so, learned ones whose definitions all had verified results.

Nothing is asked of a model. The embedder is loaded only where words alone do not decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings

from agentsys.kernel.errors import AgentsysError, BadInput
from memory import services as memory
from orchestration.domain.finding import (
    NEARNESS_SHARE,
    RELEVANCE_MIN,
    WORDS_SHARE,
    Known,
    Match,
    Reading,
    best,
    matched,
    reading_of,
    without_values,
)
from orchestration.domain.matching import PARAM
from orchestration.domain.playbook import playbook_from_json
from orchestration.planners.playbooks import playbook_files, playbook_read

log = structlog.get_logger(__name__)

DEFAULT_POLICY = "approved"


def playbook_for(
    objective: str,
    namespace: str = "",
    *,
    given: Mapping[str, Any] | None = None,
    repository: str = "",
    policy: str = DEFAULT_POLICY,
) -> Match | None:
    """The playbook to use for `objective`, with values for its parameters, or None. `given` are
    values that were named; a repository that was named is one as well."""
    if policy == "off" or not objective.strip():
        return None
    read: list[tuple[Known, Reading]] = []
    for known in playbooks_known(namespace, candidates=policy == "verified"):
        named = {**_repository_of(known, repository), **(given or {})}
        reading = reading_of(known, objective, named)
        # What cannot become relevant even where vectors are the same is not embedded.
        if reading and WORDS_SHARE * reading.words + NEARNESS_SHARE >= RELEVANCE_MIN:
            read.append((known, reading))
    near = _nearness(objective, read)
    matches = [matched(*pair, nearness) for pair, nearness in zip(read, near, strict=True)]
    return best(matches)


def _repository_of(known: Known, repository: str) -> dict[str, str]:
    place = PARAM.fullmatch(known.playbook.repository)
    return {place[1]: repository} if place and repository else {}


def _nearness(objective: str, read: Sequence[tuple[Known, Reading]]) -> list[float]:
    """Cosine of the objective and what each playbook is for, values aside; 0 where it is of no
    account, as for a reading that is certain, or where the embedder does not answer."""
    if all(reading.exact for _, reading in read):
        return [0.0] * len(read)
    from agentsys.gateway.embeddings import embedder  # numpy, only where it is needed

    try:
        model = embedder(settings.AGENTSYS.embedder)
        told = model.embed([PARAM.sub(" ", reading.trigger) for _, reading in read])
        asked = model.embed([without_values(objective, reading.params) for _, reading in read])
    except AgentsysError as error:
        log.warning("playbooks are compared by words alone", error=str(error)[:200])
        return [0.0] * len(read)
    return [float(a @ b) for a, b in zip(told, asked, strict=True)]


def playbooks_known(namespace: str, *, candidates: bool = False) -> Iterator[Known]:
    """Those that may be used without being named: no failing one, and no candidate but verified
    ones that were asked for. A project's own comes before a file of the same name."""
    views = memory.playbooks_usable(namespace, candidates=candidates)
    usable = {view.name: view for view in views}
    triggers = memory.playbook_triggers(namespace)
    files = dict(playbook_files())
    for name in sorted({*files, *usable}):
        row = usable.get(name)
        own = row is not None and (row.namespace or name not in files)
        if row is not None and row.failing:
            continue
        try:
            definition = row.definition if row and own else playbook_read(files[name])
            playbook = playbook_from_json(definition)
        except BadInput as error:
            log.warning("a playbook cannot be read", name=name, error=str(error)[:200])
            continue
        yield Known(
            playbook=playbook,
            version=row.version if row and own else playbook.version,
            evidence=row.evidence if row else memory.UNTRIED,
            triggers=tuple(triggers.get(name, ())),
            origin=row.origin if row and own else "file",
            steps=row.steps if row else None,
            row=row.id if row else None,
        )
