"""What there is besides goals: projects, playbooks, worker processes and queues."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api.access import roles_of, scoped
from orchestration.api.documents import answers, inline_list
from orchestration.api.filters import words, yes_no
from orchestration.api.listing import FIELDS, Listing, shown_whole
from orchestration.api.rows import PlaybookRow, ProjectRow, QueueRow, WorkerRow
from orchestration.models import Project
from orchestration.services import fleet
from orchestration.services.listings import playbook_lines, project_lines

PROJECTS = Listing(
    "projects",
    ProjectRow,
    (
        words("name", "name__icontains", "A part of its name."),
        yes_no("paused", "paused_at__isnull", turned=True),
    ),
    {"name": "name", "id": "pk"},
    order="name",
)


@PROJECTS.described("projects_list", tags=["projects"], text="Those that you are a member of.")
@api_view(["GET"])
def projects_list(request: Request) -> Response:
    rows = scoped(Project.objects.all(), request.user, "pk")
    roles = roles_of(request.user)
    return PROJECTS.page(request, rows, lambda found: project_lines(found, roles))


@extend_schema(
    operation_id="playbooks_list",
    description="What ships with the installation, and what your projects have of their own.",
    tags=["plans"],
    parameters=[FIELDS],
    responses=answers(inline_list("playbooks", PlaybookRow)),
)
@api_view(["GET"])
def playbooks_list(request: Request) -> Response:
    projects = scoped(Project.objects.order_by("name"), request.user, "pk")
    return Response({"playbooks": shown_whole(request, PlaybookRow, playbook_lines(projects))})


@extend_schema(
    operation_id="workers_list",
    description="Worker processes that live, and those that ended within the hour. For staff.",
    tags=["fleet"],
    parameters=[FIELDS],
    responses=answers(inline_list("workers", WorkerRow)),
)
@api_view(["GET"])
def workers_list(request: Request) -> Response:
    _staff(request)
    return Response({"workers": shown_whole(request, WorkerRow, fleet.worker_lines())})


@extend_schema(
    operation_id="queues_list",
    description="What waits for a worker, by queue. For staff.",
    tags=["fleet"],
    parameters=[FIELDS],
    responses=answers(inline_list("queues", QueueRow)),
)
@api_view(["GET"])
def queues_list(request: Request) -> Response:
    _staff(request)
    return Response({"queues": shown_whole(request, QueueRow, fleet.queue_lines())})


def _staff(request: Request) -> None:
    """Processes serve every project at once."""
    if not (request.user.is_staff or request.user.is_superuser):
        raise PermissionDenied("this needs a member of staff: workers serve every project")
