"""A hook of schemathesis, in its process: ids that it makes up name rows that are there, three times in four.

Otherwise nearly every request would be about nothing, and end at the look-up.
"""

from __future__ import annotations

from typing import Any

import schemathesis

ROWS = 21  # as many goals, tasks, requests and so on are there at least
IDS = ("goal", "task", "attempt")  # in queries


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    case.path_parameters = {name: there(value) for name, value in case.path_parameters.items()}
    asked = case.query or {}
    case.query = {name: there(value) if name in IDS else value for name, value in asked.items()}


def there(value: Any) -> Any:
    if type(value) is not int or value % 4 == 0:
        return value
    return abs(value) % ROWS + 1
