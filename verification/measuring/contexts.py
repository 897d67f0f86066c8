"""Puts a key where keys are found: settings, code, addresses, headers, logs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import quote

Put = Callable[[str, str], str]


def _in_json(name: str, key: str) -> str:
    return json.dumps({"region": "eu-west-1", name: key, "retries": 3}, indent=2)


def _in_python(name: str, key: str) -> str:
    return f"import os\n\n{name} = {key!r}\nclient = Client({name})\n"


# A name like `api_key`, and a name that says nothing.
FILES: Mapping[str, Put] = {
    "env file": lambda name, key: f"DEBUG=0\n{name.upper()}={_quoted_if(key)}\nPORT=8000\n",
    "shell": lambda name, key: f"set -e\nexport {name.upper()}='{key}'\nmake deploy\n",
    "JSON": _in_json,
    "YAML": lambda name, key: f"service:\n  {name}: {json.dumps(key)}\n  port: 80\n",
    "YAML, bare": lambda name, key: f"service:\n  {name}: {_one_line(key)}\n  port: 80\n",
    "TOML": lambda name, key: f"[service]\n{name} = {json.dumps(key)}\n",
    "ini file": lambda name, key: f"[service]\nhost = a.b\n{name} = {_one_line(key)}\n",
    "Python": _in_python,
    "Python keyword": lambda name, key: (
        f"client = Client(region='eu', {name}={key!r}, retries=2)\n"
    ),
    "JavaScript": lambda name, key: f"const cfg = {{ {name}: {json.dumps(key)} }};\n",
    "Dockerfile": lambda name, key: (
        f"FROM debian\nENV {name.upper()}={_quoted_if(key)}\nRUN make\n"
    ),
    "diff": lambda name, key: f"@@ -1,2 +1,3 @@\n import os\n+{name} = {json.dumps(key)}\n x = 1\n",
}
# Places in which the form alone must do.
PLACES: Mapping[str, Put] = {
    "URL": lambda _name, key: (
        f"GET https://api.example.net/v1/items?key={quote(key, safe='')}&n=2\n"
    ),
    "header": lambda _name, key: f"POST /v1 HTTP/1.1\nAuthorization: Bearer {_one_line(key)}\n",
    "command": lambda _name, key: f"curl -H 'X-Auth: {_one_line(key)}' https://api.example.net/\n",
    "log line": lambda _name, key: (
        f"2026-01-02 03:04:05 INFO connected using {_one_line(key)} ok\n"
    ),
    "prose": lambda _name, key: f"You can log in with {_one_line(key)}, which is ours.\n",
    "list": lambda _name, key: f"values = ['a', {key!r}, 'b']\n",
}
NAMES = ("api_key", "token", "secret", "service_token", "auth", "value", "key", "credentials")


def placed(key: str, kind_of: str, name: str | None, random: Random) -> str:
    """`key` in a context of this kind; `name` is given where only a name tells what it is."""
    put = FILES.get(kind_of) or PLACES[kind_of]
    return put(name or random.choice(NAMES), key)


def _one_line(key: str) -> str:
    return key.replace("\n", "\\n")


def _quoted_if(key: str) -> str:
    return json.dumps(key) if any(c in key for c in "\n #$&'\"") else key
