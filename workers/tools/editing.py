"""Tools that change files in the attempt's own working tree, within the write scopes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from workers.contracts import Risk
from workers.policy import Kind
from workers.tools import files
from workers.tools.base import Changed, Tool, ToolFailed, arguments
from workers.tools.bench import Bench

PATH = {"type": "string", "minLength": 1, "maxLength": 4000}
TEXT = {"type": "string"}


def editing_tools(bench: Bench) -> list[Tool]:
    def tool(
        name: str, description: str, call: Callable[[Mapping[str, Any]], Changed], **args: Any
    ) -> Tool:
        optional = {n: s for n, s in args.items() if s == {"type": "boolean"}}
        required = {n: s for n, s in args.items() if n not in optional}
        return Tool(
            name,
            description,
            arguments(required, **optional),
            call,
            Risk.WRITE,
            kinds={"path": Kind.WRITE_PATH} if "path" in args else {},
            origin="the working tree",
            replayed=lambda _, state: bench.recorded(state),
        )

    editor = Editor(bench)
    return [
        tool(
            "edit_file",
            "Put `new` in the place of `old` in a file. `old` must stand there exactly once, white"
            " space included; with `all`, at every place.",
            editor.edit,
            path=PATH,
            old={**TEXT, "minLength": 1},
            new=TEXT,
            all={"type": "boolean"},
        ),
        tool(
            "write_file", "Write a whole file, new or not.", editor.write, path=PATH, content=TEXT
        ),
        tool("delete_file", "Delete a file.", editor.delete, path=PATH),
        tool(
            "apply_patch",
            "Apply a unified diff (with a/ and b/ paths), all or nothing.",
            editor.patch,
            patch=TEXT,
        ),
    ]


class Editor:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def edit(self, args: Mapping[str, Any]) -> Changed:
        path, old, new = args["path"], args["old"], args["new"]
        with self._bench.changing() as tree:
            text = _decoded(files.read(tree, path, "edit_file"), path)
            count = text.count(old)
            if count == 0:
                reason = f"`old` does not stand in {path}{_nearest(text, old)}"
                raise ToolFailed(tool="edit_file", reason=reason)
            if count > 1 and not args.get("all"):
                reason = f"`old` stands in {path} {count} times; give more of its surroundings"
                raise ToolFailed(tool="edit_file", reason=reason)
            if old == new:
                raise ToolFailed(tool="edit_file", reason="`old` and `new` are the same")
            return self._put(path, text.replace(old, new), "edit_file", f"{count} changed")

    def write(self, args: Mapping[str, Any]) -> Changed:
        content: str = args["content"]
        with self._bench.changing():
            said = f"{len(content.splitlines())} lines written"
            return self._put(args["path"], content, "write_file", said)

    def delete(self, args: Mapping[str, Any]) -> Changed:
        with self._bench.changing() as tree:
            self._inside(args["path"], "delete_file")
            files.remove(tree, args["path"], "delete_file")
            return self._bench.changed(f"{args['path']}: deleted", args["path"])

    def patch(self, args: Mapping[str, Any]) -> Changed:
        with self._bench.changing() as tree:
            before = set(self._changes(tree))
            self._bench.repository.apply(tree, args["patch"])
            refused = [self._bench.refusal(path) for path in self._changes(tree)]
            if refused := [why for why in refused if why]:
                raise ToolFailed(tool="apply_patch", reason="; ".join(refused[:10]))
            new = sorted(set(self._changes(tree)) - before)
            return self._bench.changed(f"applied; newly changed: {', '.join(new) or 'no file'}")

    def _put(self, path: str, text: str, tool: str, said: str) -> Changed:
        self._inside(path, tool)
        files.write(self._bench.root, path, text.encode("utf-8", "surrogateescape"), tool)
        self._bench.expect(path, tool)
        return self._bench.changed(f"{path}: {said}", path)

    def _inside(self, path: str, tool: str) -> None:
        """The gate has looked already; this is the second lock on the same door."""
        if why := self._bench.refusal(path):
            raise ToolFailed(tool=tool, reason=why)

    def _changes(self, tree: Any) -> list[str]:
        return self._bench.repository.worktree_changes(tree, self._bench.base)


def _decoded(content: bytes, path: str) -> str:
    if b"\0" in content[:8000]:
        raise ToolFailed(tool="edit_file", reason=f"`{path}` is binary")
    return content.decode("utf-8", "surrogateescape")


def _nearest(text: str, old: str) -> str:
    """The line that is most like the first line looked for, to mend the next try by."""
    first = next((line for line in old.splitlines() if line.strip()), "")
    lines = text.splitlines()[:5000]
    close = difflib.get_close_matches(first, lines, n=1, cutoff=0.7) if len(first) < 500 else []
    return f"; line {lines.index(close[0]) + 1} is {close[0][:200]!r}" if close else ""
