"""The API's parser. A module of its own, named in the settings: REST framework loads it while it loads
itself, so nothing here may import what imports REST framework's views."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a pair, perhaps without its other half


class SoundJSONParser(JSONParser):
    """JSON whose strings are Unicode: no half of a surrogate pair stands alone."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        content = stream.read()
        try:
            found = super().parse(BytesIO(content), media_type, parser_context)
        except RecursionError:
            raise ParseError("the JSON is nested too deeply") from None
        if _HALF.search(content):
            try:
                json.dumps(found, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise ParseError(
                    f"half of a surrogate pair stands alone (\\u{ord(error.object[error.start]):04x})"
                ) from None
        return found
