"""A report of sections: headings with texts, and outputs of other tasks so that people can read
them: facts as a list, rows as a table, and JSON for what is neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workers.reports.markdown import inline

ROWS_MAX = 200
COLUMNS_MAX = 8
CELL_CHARS_MAX = 300


def render(inputs: Mapping[str, Any]) -> str:
    parts = [f"# {inline(inputs['title'])}"]
    for section in inputs.get("sections") or ():
        parts += [f"## {inline(section['heading'])}", shown(section["text"])]
    return "\n\n".join(parts) + "\n"


def shown(value: Any) -> str:
    """A text stands as it is: whoever wrote the plan may use Markdown in it."""
    if isinstance(value, str):
        return value
    if value in (None, [], {}):
        return "Nothing."
    if isinstance(value, Mapping) and all(_is_plain(v) or _is_table(v) for v in value.values()):
        return _facts(value)
    if _is_table(value):
        return _table(value)
    if isinstance(value, list) and all(_is_scalar(v) for v in value):
        return "\n".join(f"- {_cell(v)}" for v in value)
    return "```json\n" + json.dumps(value, indent=2, ensure_ascii=False) + "\n```"


def _facts(values: Mapping[str, Any]) -> str:
    """What is short first, then the tables, each under its name."""
    lines = [f"- {inline(k)}: {_cell(v)}" for k, v in values.items() if _is_plain(v)]
    parts = ["\n".join(lines)] if lines else []
    for name, rows in values.items():
        if not _is_plain(rows):
            parts += [f"{inline(name)}:", _table(rows)]
    return "\n\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [_row(inline(name) for name in names), _row("---" for _ in names)]
    lines += [_row(_cell(row.get(name, "")) for name in names) for row in rows[:ROWS_MAX]]
    more = f"\n\n{len(rows) - ROWS_MAX} more rows are left out." if len(rows) > ROWS_MAX else ""
    return "\n".join(lines) + more


def _row(cells: Any) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cell(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return ""
        case []:
            return "none"
        case list():
            return ", ".join(_cell(v) for v in value)
        case str():
            left_out = len(value) - CELL_CHARS_MAX
            return inline(value[:CELL_CHARS_MAX]) + (f" ({left_out} more)" if left_out > 0 else "")
        case _:
            return json.dumps(value)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_plain(value: Any) -> bool:
    return _is_scalar(value) or (isinstance(value, list) and all(map(_is_scalar, value)))


def _is_table(value: Any) -> bool:
    if not isinstance(value, list) or not value or not all(isinstance(v, Mapping) for v in value):
        return False
    names = {name for row in value for name in row}
    return 0 < len(names) <= COLUMNS_MAX and all(
        _is_plain(v) for row in value for v in row.values()
    )
