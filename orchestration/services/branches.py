"""A goal's branch: one of its own, or one that goals of a project share.

Goals that share a branch end in one tree: their tasks are ordered by the same leases, and each change
is merged into what is there and tested with it, whichever goal it comes from. Goals with branches of
their own promise each other nothing.
"""

from __future__ import annotations

from agentsys.kernel.errors import BadInput
from orchestration.models import Goal, Proposal
from orchestration.services.ledger import Book
from workers.git import Repository
from workers.git.references import branch_ref

LETTERS = ("", *"bcdefghijklmnopqrstuvwxyz")
BRANCH_CHARS_MAX = 120


def branch_wanted(name: str, path: str, project: str) -> str:
    """The short name of a branch to share; BadInput when it cannot be."""
    if not name:
        return ""
    problems = []
    if not path:
        problems.append(f"`{name}` is a branch of a repository; name that one, too")
    if len(name) > BRANCH_CHARS_MAX:
        problems.append(f"the branch's name has {len(name)} characters; at most {BRANCH_CHARS_MAX}")
    if problems:
        raise BadInput(what="branch", problems=problems)
    short = branch_ref(name).removeprefix("refs/heads/")
    others = Goal.objects.filter(repository=path, branch=short).exclude(project__name=project)
    if (other := others.select_related("project").order_by("pk").first()) is not None:
        problem = (
            f"{short} is the branch of goal-{other.pk} of project {other.project.name}; leases hold"
            f" within one project, so submit the goal there, or name another branch"
        )
        raise BadInput(what="branch", problems=[problem])
    return short


def branch_gone(book: Book) -> BadInput:
    """Somebody deleted it: what was merged there is found by its last merge, as long as git has it."""
    merges = Proposal.objects.filter(
        goal__repository=book.repository, goal__branch=book.branch, kind="change", state="applied"
    )
    last = merges.order_by("-applied_at", "-pk").values_list("result__commit", flat=True).first()
    back = f"git -C {book.repository} branch {book.branch} {last or 'COMMIT'}"
    problem = f"the branch {book.branch} is gone; put it back (`{back}`), then `goals retry {book.goal_id}`"
    return BadInput(what="repository", problems=[problem])


def branch_of(repository: Repository, goal_id: int, *, at: str = "", shared: str = "") -> str:
    """Make the goal's branch, at the commit `at` or at HEAD. A shared one that exists stays as it is."""
    if shared:
        commit = repository.resolve(f"refs/heads/{shared}") or at or repository.head()
        repository.branch_create(shared, commit)
        return shared
    return _free(repository, goal_id, at)


def _free(repository: Repository, goal_id: int, at: str) -> str:
    """`agentsys/goal-N`. A branch of that name left by another installation is kept:
    ours then carries a letter more."""
    for suffix in LETTERS:
        name = f"agentsys/goal-{goal_id}{suffix}"
        if not repository.resolve(f"refs/heads/{name}"):
            commit = at or repository.head()
            if commit:
                repository.branch_create(name, commit)
            return name
    raise BadInput(
        what="repository",
        problems=[f"every branch name agentsys/goal-{goal_id}… is taken; delete old ones"],
    )
