"""A diff is taken apart without losing a line, and what looks like a header within a hunk is text."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.diffing import (
    ADDED,
    HEAD,
    NOTE,
    REMOVED,
    SAME,
    Line,
    Pair,
    marked,
    parsed,
    side_by_side,
)

GIT = """\
diff --git a/src/a.py b/src/a.py
index 1111111..2222222 100644
--- a/src/a.py
+++ b/src/a.py
@@ -1,3 +1,3 @@ def f():
 keep
--- a/evil
+++ b/evil
 last
diff --git a/new.txt b/new.txt
new file mode 100755
index 0000000..3333333
--- /dev/null
+++ b/new.txt
@@ -0,0 +1 @@
+hello
\\ No newline at end of file
diff --git a/pic.png b/pic.png
index 1..2 100644
Binary files a/pic.png and b/pic.png differ
"""


def test_files_lines_and_numbers_are_found():
    one, new, picture = parsed(GIT)
    assert [file.path for file in (one, new, picture)] == ["src/a.py", "new.txt", "pic.png"]
    assert one.lines[1:] == [
        Line(SAME, "keep", 1, 1),
        Line(REMOVED, "-- a/evil", old=2),
        Line(ADDED, "++ b/evil", new=2),
        Line(SAME, "last", 3, 3),
    ]
    assert (new.added, new.removed, one.added, one.removed) == (1, 0, 1, 1)
    assert new.lines[-1] == Line(NOTE, "\\ No newline at end of file")
    assert "new file mode 100755" in new.headers
    assert "Binary files a/pic.png and b/pic.png differ" in picture.headers


def test_what_stands_before_the_first_file_and_after_a_hunk_is_kept():
    first, file = parsed("(git cannot show it)\n--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\nstray\n")
    assert [line.text for line in first.lines] == ["(git cannot show it)"]
    assert file.lines[-1] == Line(NOTE, "stray")
    assert parsed("") == []


texts = st.lists(st.text(st.characters(exclude_characters="\n\r"), max_size=12), max_size=12)


@given(texts, texts)
def test_both_sides_are_told_exactly_whatever_the_lines_are(old, new):
    told = [
        line.rstrip("\n")
        for line in difflib.unified_diff(old, new, "a/f", "b/f", n=99, lineterm="")
    ]
    files = parsed("\n".join(told) + "\n" if told else "")
    if not told:
        assert files == []
        return
    (file,) = files
    assert [line.text for line in file.lines if line.kind in (SAME, REMOVED)] == old
    assert [line.text for line in file.lines if line.kind in (SAME, ADDED)] == new
    assert [line.old for line in file.lines if line.old] == list(range(1, len(old) + 1))
    assert [line.new for line in file.lines if line.new] == list(range(1, len(new) + 1))
    pairs = list(side_by_side(file.lines))
    sides = [pair.old.text for pair in pairs if pair.old and pair.old.kind in (SAME, REMOVED)]
    assert sides == old
    sides = [pair.new.text for pair in pairs if pair.new and pair.new.kind in (SAME, ADDED)]
    assert sides == new


@given(st.text(max_size=600))
def test_no_line_of_any_text_is_lost(text):
    lines = text.split("\n")
    lines = lines[:-1] if lines and not lines[-1] else lines
    signs = {ADDED: "+", REMOVED: "-", SAME: " "}
    seen = [
        told
        for file in parsed(text)
        for told in [*file.headers, *(signs.get(line.kind, "") + line.text for line in file.lines)]
    ]
    assert [line.lstrip(" ") for line in seen] == [line.lstrip(" ") for line in lines]


def test_removed_and_added_lines_stand_side_by_side():
    old, new = [Line(REMOVED, "a", old=1), Line(REMOVED, "b", old=2)], [Line(ADDED, "c", new=1)]
    head, last = Line(HEAD, "@@"), Line(SAME, "z", 3, 2)
    pairs = list(side_by_side([head, *old, *new, last]))
    assert pairs == [Pair(head, head), Pair(old[0], new[0]), Pair(old[1], None), Pair(last, last)]


@pytest.mark.parametrize(
    ("old", "new", "left", "right"),
    [
        ("x = 1", "x = 2", [(False, "x = "), (True, "1")], [(False, "x = "), (True, "2")]),
        ("abc", "xyz", [(False, "abc")], [(False, "xyz")]),
        ("a" * 500, "b", [(False, "a" * 500)], [(False, "b")]),
    ],
)
def test_what_differs_in_two_lines_is_marked_where_they_are_alike(old, new, left, right):
    assert marked(old, new) == (left, right)
