"""Over two hundred bad answers, through real HTTP and a real SDK: each ends in a typed outcome.

A valid result or an error of the gateway, nothing else; and nothing that a row could not hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from django.db import connection

from agentsys import gateway
from agentsys.gateway.loopback import Cut, Loopback, Raw, Say, limited, outage
from agentsys.gateway.loopback.turns import completion
from agentsys.kernel.hashing import canonical

pytest.importorskip("langchain_openai")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic's, of odd answers

ASK = [{"role": "user", "content": "how many?"}]
SCHEMA = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer"}, "t": {"type": "string"}},
}
TOOLS = [{"name": "look", "description": "d", "parameters": {"type": "object"}}]
LONG = "x" * 10_000_000
OK = completion(Say('{"n": 1}'))


def with_message(**fields: Any) -> dict[str, Any]:
    choice = OK["choices"][0]
    return {**OK, "choices": [{**choice, "message": {**choice["message"], **fields}}]}


def with_call(call: Any) -> dict[str, Any]:
    return with_message(content=None, tool_calls=[call])


def call(**fields: Any) -> dict[str, Any]:
    base = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return {**base, **fields}


def statuses() -> Iterator[tuple[str, Any]]:
    for status in (400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 418, 421, 422, 423, 424,
                   425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520,
                   522, 524, 529, 599):  # fmt: skip
        yield f"status-{status}", outage(status)
        yield f"status-{status}-html", Raw(b"<h1>no</h1>", status, content_type="text/html")
        yield f"status-{status}-empty", Raw(b"", status)
    for wait in ("7200", "soon", "-1", "1e9", "", "Wed, 21 Oct 2099 07:28:00 GMT", "nan"):
        yield f"retry-after-{wait or 'empty'}", limited(wait)
    yield "retry-after-none", limited()


def bodies() -> Iterator[tuple[str, Any]]:
    whole = json.dumps(OK).encode()
    for after in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        yield f"reset-{after}", Cut(Raw(whole), after)
        yield f"closed-{after}", Cut(Raw(whole), after, reset=False)
        yield f"truncated-{after}", Raw(whole[:after])
    for name, body in {
        "null": b"null", "true": b"true", "number": b"3", "text": b'"hello"', "list": b"[]",
        "object": b"{}", "nan": b"NaN", "html": b"<html>", "blank": b"  ", "bom": b"\xef\xbb\xbf{}",
        "latin": b'{"choices": "\xff\xfe"}', "nul": b"\x00", "deep": b"[" * 50_000,
        "two": whole + whole, "sse": b"data: " + whole + b"\n\n", "yaml": b"choices: []",
        "comma": whole[:-1] + b",}", "error": b'{"error": {"message": "odd"}}',
        "error-text": b'{"error": "odd"}', "error-null": b'{"error": null}',
    }.items():  # fmt: skip
        yield f"body-{name}", Raw(body)
    yield "body-wrong-type", Raw(whole, content_type="text/plain")
    yield "body-gzip-lie", Raw(whole, headers=(("content-encoding", "gzip"),))
    yield "body-204", Raw(b"", 204)
    yield "body-redirect-loop", Raw(b"", 307, (("location", "/v1/chat/completions"),))


ODD: tuple[Any, ...] = (None, "", "x", 0, -1, 1.5, True, [], {}, [None], [1], ["x"], [{}], {"a": 1})


def shapes() -> Iterator[tuple[str, Any]]:
    """A well-formed answer with one value of another kind, at every place."""
    for n, odd in enumerate(ODD):
        yield f"choices-{n}", {**OK, "choices": odd}
        yield f"message-{n}", {**OK, "choices": [{"index": 0, "message": odd}]}
        yield f"content-{n}", with_message(content=odd)
        yield f"calls-{n}", with_message(tool_calls=odd)
        yield f"function-{n}", with_call(call(function=odd))
        yield f"arguments-{n}", with_call(call(function={"name": "look", "arguments": odd}))
        yield f"name-{n}", with_call(call(function={"name": odd, "arguments": "{}"}))
        yield f"id-{n}", with_call(call(id=odd))
        yield f"usage-{n}", {**OK, "usage": odd}
        yield f"finish-{n}", {**OK, "choices": [{**OK["choices"][0], "finish_reason": odd}]}
    for key in ("id", "object", "created", "model", "choices", "usage"):
        yield f"without-{key}", {k: v for k, v in OK.items() if k != key}
    for key in ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"):
        for n, odd in enumerate((None, "x", -5, 10**18, [], 1.5)):
            yield f"{key}-{n}", {**OK, "usage": {**OK["usage"], key: odd}}


def sayings() -> Iterator[tuple[str, Any]]:
    """Proper answers that are of no use, or dangerous to keep."""
    texts = {
        "prose": "There are three.", "nothing": "", "wrong": '{"n": "three"}', "list": "[1]",
        "float": '{"n": 1.5}', "nan": '{"n": NaN}', "huge": '{"n": 1e999}', "half": '{"n": ',
        "braces": "{" * 20_000, "nul": '{"n": 1, "t": "a\\u0000b"}', "nul-raw": "a\x00b",
        "lone": '{"n": 1, "t": "\\ud800"}', "think": "<think>" * 1000, "digits": "9" * 6000,
        "digits-json": '{"n": ' + "9" * 6000 + "}", "fence": "```json\n", "tags": "<|im_end|>",
        "bidi": "\u202e\u2066", "long": LONG, "long-json": json.dumps({"n": 1, "t": LONG}),
    }  # fmt: skip
    for name, text in texts.items():
        yield f"says-{name}", Say(text)
    for ended in ("length", "content_filter", "refusal", "odd", ""):
        yield f"ended-{ended or 'nothing'}", Say("half an ans", ended=ended)
    yield "refused", Say(refusal="I will not")
    yield "refused-nul", Say(refusal="I will\x00not")
    yield "no-usage", Say("x", tokens=None)
    yield "unknown-tool", Say(calls=(("no_such_tool", {}),))
    yield "nul-tool", Say(calls=(("lo\x00ok", {"at": "a\x00b"}),))
    yield "doubled-ids", Say(calls=(("look", {}), ("look", {})), ids=("same", "same"))
    yield "empty-ids", Say(calls=(("look", {}), ("look", {})), ids=("", ""))
    for n, args in enumerate(("", "{", "[]", "null", '"x"', "NaN", '{"a": NaN}', '{"a": 1e999}',
                              '{"a": "\\ud800"}', "9" * 6000, "{" * 5_000)):  # fmt: skip
        yield f"arguments-text-{n}", Say(calls=(("look", args),))
    yield "many-calls", Say(calls=tuple(("look", {"n": n}) for n in range(500)))


CASES = dict([*statuses(), *bodies(), *shapes(), *sayings()])


def turn_of(case: Any) -> Any:
    """Dicts of ours are whole bodies here, not texts."""
    return Raw(json.dumps(case).encode()) if isinstance(case, dict) else case


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    now: list[Any] = []
    with Loopback(lambda asked: turn_of(now[-1])) as server:
        yield server, now


def keep_outcome(ask: Any) -> None:
    """What came of it goes where a row would keep it."""
    try:
        value = ask()
    except gateway.GatewayError as error:
        kept, text = error.context, str(error)
    else:
        kept = value if isinstance(value, dict) else asdict(value)
        text = kept.get("text") or ""
    with connection.cursor() as cursor:  # PostgreSQL refuses NUL, half characters and NaN
        cursor.execute("SELECT %s::jsonb, %s::text", [canonical(kept), text])
    assert len(str(kept)) < 4_000_000


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 200


@pytest.mark.parametrize("name", CASES)
def test_a_bad_answer_has_a_typed_outcome(server: Any, use: Any, name: str) -> None:
    """Asked for free text with tools, and asked for an object."""
    loopback, now = server
    now.append(CASES[name])
    use(loopback.model_name("timeout_seconds=20"), breaker_outages=10**6, model_wait_seconds=0.001)
    keep_outcome(lambda: gateway.chat(ASK, role="model", tools=TOOLS))
    keep_outcome(lambda: gateway.structured(ASK, SCHEMA, role="planner", repairs_max=1))
