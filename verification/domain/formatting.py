"""Whether two versions of a Python file mean the same, but for what a formatter may change.

Their syntax trees are compared with import statements that stand together put in one order, the
white space of docstrings evened out, and spelling (quotes, brackets, line breaks) gone by parsing.
Putting imports in order can change what a module does on import; that is accepted here, and is why
this is weaker evidence than a test that ran.
"""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Iterable
from itertools import groupby


def tree_fault(before: bytes | None, after: bytes | None, path: str) -> str | None:
    """Why the two do not mean the same; None when they do. None stands for no file."""
    if before is None or after is None:
        return f"{path} was {'added' if before is None else 'removed'}"
    if before == after:
        return None
    if not path.endswith((".py", ".pyi")):
        return f"{path} is no Python file"
    try:
        new = normal_form(after)
    except (SyntaxError, ValueError, RecursionError) as error:
        return f"{path} does not compile any more: {error}"
    try:
        old = normal_form(before)
    except (SyntaxError, ValueError, RecursionError):
        return f"{path} did not compile before, so there is nothing to compare with"
    return None if old == new else f"{path} has another syntax tree than before"


def compile_fault(content: bytes, path: str) -> str | None:
    """Why this is no Python; None when it is."""
    try:
        _parse(content)
    except (SyntaxError, ValueError, RecursionError) as error:
        return f"{path} does not compile: {error}"
    return None


def normal_form(source: bytes) -> str:
    """Raises SyntaxError or ValueError for what is no Python, RecursionError if too deep."""
    tree = _parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.kind:
            node.kind = None
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, _ordered(block))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _even_docstring(node.body)
    return ast.dump(tree)


def _parse(source: bytes) -> ast.Module:
    with warnings.catch_warnings():  # an odd escape in the judged code is no concern of ours
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _ordered(block: list[ast.stmt]) -> list[ast.stmt]:
    result: list[ast.stmt] = []
    for is_import, group in groupby(block, lambda n: isinstance(n, ast.Import | ast.ImportFrom)):
        statements = list(group)
        result += _one_by_one(statements) if is_import else statements
    return result


def _one_by_one(imports: Iterable[ast.stmt]) -> list[ast.stmt]:
    """`import b, a` as `import a` and `import b`; likewise `from m import b, a`."""
    single: dict[str, ast.stmt] = {}
    for node in imports:
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            one: ast.stmt = ast.Import(names=[alias])
            if isinstance(node, ast.ImportFrom):
                one = ast.ImportFrom(module=node.module, names=[alias], level=node.level)
            single[ast.dump(one)] = one
    return [single[key] for key in sorted(single)]


def _even_docstring(body: list[ast.stmt]) -> None:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        text = first.value.value
        if isinstance(text, str):
            lines = inspect.cleandoc(text).splitlines()
            first.value.value = "\n".join(line.rstrip() for line in lines).strip()
