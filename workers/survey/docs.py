"""How much of the public code says what it does: docstrings, and a README."""

from __future__ import annotations

import ast

from workers.survey.findings import Checkout, Finding, Survey

DOCUMENTABLE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def survey(checkout: Checkout) -> Survey:
    readme = any(f.lower().split(".")[0] == "readme" for f in checkout.files if "/" not in f)
    found = [] if readme else [Finding("README.md", 0, "no-readme", "there is no README")]
    public = documented = 0
    for path in checkout.python:
        if _is_test(path):
            continue
        try:
            tree = ast.parse((checkout.path / path).read_bytes())
        except (SyntaxError, ValueError, RecursionError) as error:
            found.append(
                Finding(
                    path,
                    getattr(error, "lineno", 0) or 0,
                    "syntax-error",
                    str(error)[:200],
                    "error",
                )
            )
            continue
        for node in [tree, *_public(tree)]:
            public += 1
            if ast.get_docstring(node):
                documented += 1
            elif isinstance(node, DOCUMENTABLE):
                found.append(
                    Finding(path, node.lineno, "no-docstring", f"{node.name} says nothing", "info")
                )
    share = documented / public if public else 1.0
    return Survey(
        "docs",
        findings=tuple(found),
        summary=f"{documented} of {public} public names have a docstring ({share:.0%})",
        facts={"public": public, "documented": documented, "readme": readme},
    )


def _is_test(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return (
        name.startswith("test_")
        or name == "conftest.py"
        or path.startswith("tests/")
        or "/tests/" in path
    )


def _public(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Public functions and classes at the top, and the public methods of those classes."""
    tops = [n for n in tree.body if isinstance(n, DOCUMENTABLE) and not n.name.startswith("_")]
    inner = [
        m
        for n in tops
        if isinstance(n, ast.ClassDef)
        for m in n.body
        if isinstance(m, DOCUMENTABLE) and not m.name.startswith("_")
    ]
    return [*tops, *inner]
