"""A goal's page as it changes, as server-sent events: drawn once for all who look at it."""

from __future__ import annotations

import json

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponseBase

from agentsys.kernel.errors import AgentsysError
from orchestration.admin.goalpage import live
from orchestration.api.access import visible_goals
from orchestration.api.events import Source, streamed
from orchestration.api.problems import said, status_of
from orchestration.api.tailing import TAIL, Picture
from orchestration.models import Goal


class Pictures(Source):
    """The document that the page patches itself from, whenever it is another than before."""

    def __init__(self, goal_id: int) -> None:
        super().__init__(goal_id)
        self._seq = -1

    def due(self) -> str:
        picture = TAIL.picture(self.goal_id)
        self.over = picture.over
        if picture.seq == self._seq or not picture.text:
            return ""
        self._seq = picture.seq
        return f"id: {picture.seq}\nevent: live\ndata: {picture.text}\n\n"


def drawn(goal_id: int) -> Picture:
    found = live(Goal.objects.get(pk=goal_id), {})
    return Picture(json.dumps(found, cls=DjangoJSONEncoder), found["over"])


def goal_stream(request: HttpRequest, goal_id: int) -> HttpResponseBase:
    if not visible_goals(request.user).filter(pk=goal_id).exists():
        return said(404, "not-found", "there is no such goal here, or it is not yours to see")
    try:
        return streamed(request, Pictures(goal_id), drawn)
    except AgentsysError as error:
        return said(status_of(error), error.code, str(error))
