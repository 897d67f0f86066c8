"""How much of the public code says what it does: docstrings, and a README.

The code is parsed inside the sandbox: a parser is not to be trusted with hostile input either.
"""

from __future__ import annotations

import os

from workers.survey.findings import Checkout, Finding, Survey, broken, parsed

# Reads paths separated by NUL; prints [path, public, documented, [[line, name]…], error, line]…
_PROGRAM = """
import ast, json, os, sys
KINDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
def public(nodes):
    return [n for n in nodes if isinstance(n, KINDS) and not n.name.startswith("_")]
for path in sys.stdin.buffer.read().split(b"\\0"):
    if not path: continue
    name = os.fsdecode(path)
    try:
        with open(path, "rb") as file: tree = ast.parse(file.read())
        tops = public(tree.body)
        inner = [m for n in tops if isinstance(n, ast.ClassDef) for m in public(n.body)]
        said = [ast.get_docstring(n) is not None for n in (tree, *tops, *inner)]
        mute = [[n.lineno, n.name] for n, ok in zip((*tops, *inner), said[1:]) if not ok]
        print(json.dumps([name, len(said), sum(said), mute, "", 0]))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        why = getattr(error, "msg", None) or str(error) or type(error).__name__
        print(json.dumps([name, 0, 0, [], why[:200], getattr(error, "lineno", None) or 0]))
"""


def survey(checkout: Checkout) -> Survey:
    readme = any(f.lower().split(".")[0] == "readme" for f in checkout.files if "/" not in f)
    found = [] if readme else [Finding("README.md", 0, "no-readme", "there is no README")]
    files = [f for f in checkout.python if not _is_test(f)]
    result = checkout.program(_PROGRAM, stdin=b"\0".join(os.fsencode(f) for f in files))
    rows = [parsed(line) for line in result.stdout.splitlines()]
    if result.exit_code != 0 or len(rows) != len(files) or None in rows:
        return broken("docs", result)
    public = documented = 0
    for path, names, said, mute, error, at in rows:
        public, documented = public + names, documented + said
        if error:
            found.append(Finding(path, at, "syntax-error", error, "error"))
        found += [
            Finding(path, line, "no-docstring", f"{name} says nothing", "info")
            for line, name in mute
        ]
    share = documented / public if public else 1.0
    return Survey(
        "docs",
        findings=tuple(found),
        summary=f"{documented} of {public} public names have a docstring ({share:.0%})"
        if files
        else "there is no Python code to document",
        facts={"public": public, "documented": documented, "readme": readme},
    )


def _is_test(path: str) -> bool:
    *folders, name = path.split("/")
    return name.startswith("test_") or name == "conftest.py" or bool({"tests", "test"} & {*folders})
