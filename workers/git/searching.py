"""Searching the files of a commit with git's own grep: nothing is checked out, no link is followed.

Patterns are Perl's. The engine gives up on one that would take for ever, and the whole search ends
after SECONDS_MAX. What is read back is bounded: names first, then a few lines of a file at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentsys.kernel.errors import BadInput
from workers.git.plumbing import Plumbing, full_sha

SECONDS_MAX = 20.0
_FOUND, _NOTHING = 0, 1  # of git's exit codes; others are errors


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text as it stands, or a regular expression (`regex`), within one line."""

    text: str
    regex: bool = False
    ignore_case: bool = False

    def words(self) -> list[str]:
        case = ["-i"] if self.ignore_case else []
        return [*case, "-P" if self.regex else "-F", "-e", self.text]


class Searching(Plumbing):
    def files_with(self, commit: str, pattern: Pattern) -> list[str]:
        """Paths of the text files that have such a line, in order. BadInput for no pattern."""
        found = self._grep([*self._options(pattern, "-l"), full_sha(commit), "--"])
        return [name.split(":", 1)[1] for name in found.split("\0") if name]

    def lines_with(
        self, commit: str, path: str, pattern: Pattern, most: int
    ) -> list[tuple[int, str]]:
        """The first lines of a file that have it, each with its number."""
        words = [*self._options(pattern, "-n"), "-h", "-m", str(most)]
        found = self._grep([*words, full_sha(commit), "--", path])
        rows = (row.split("\0", 1) for row in found.split("\n") if "\0" in row)
        return [(int(number), line) for number, line in rows]

    def size_of(self, commit: str, path: str) -> int:
        return int(self._content(["cat-file", "-s", f"{full_sha(commit)}:{path}"]))

    def _options(self, pattern: Pattern, shows: str) -> list[str]:
        # Our own empty git directory has no attributes, so that no file names a program to run.
        return ["grep", "--no-color", "--no-textconv", "-I", "-z", shows, *pattern.words()]

    def _grep(self, words: list[str]) -> str:
        ended = self._content_raw(
            words, tree=None, ok=(_FOUND, _NOTHING, 2, 128), seconds=SECONDS_MAX
        )
        if ended.returncode not in (_FOUND, _NOTHING):
            said = ended.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
            raise BadInput(what="the pattern", problems=[said[:300] or "git cannot use it"])
        return ended.stdout.decode("utf-8", "replace")
