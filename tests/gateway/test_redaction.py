"""Secrets never reach a prompt, a log or a row: canaries are planted, and looked for."""

from __future__ import annotations

import io
import logging
import logging.config
from typing import Any

import pytest
import structlog

from agentsys import gateway, logs
from agentsys.gateway.loopback import Loopback, Say, outage
from agentsys.gateway.redaction import redacted, redacted_value

CANARY = "canary-2f9c41d7e8aa"
FORMS = {
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp_" + "a1B2" * 9,
    "openai": "sk-proj-" + "abcdefghijklmnop1234",
    "google": "AIza" + "Sy" + "x" * 33,
    "slack": "xoxb-" + "123456789012-abcdef",
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".c2lnbmF0dXJlLW9mLWl0",
    "pem": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\n-----END RSA " + "PRIVATE KEY-----",
    "url": "postgresql://me:" + "hunter22" + "@host/db",
}


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SOME_API_KEY", CANARY)
    return CANARY


@pytest.mark.parametrize("form", FORMS)
def test_what_looks_like_a_key_is_taken_out_and_what_is_around_it_stays(form: str) -> None:
    secret = FORMS[form].partition("://")[2].rpartition("@")[0] or FORMS[form]
    said = redacted(f"before {FORMS[form]} after")
    assert secret not in said
    assert said.startswith("before ")
    assert said.endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "123e4567-e89b-12d3-a456-426614174000", "task-list, sketch, ask-me, risk-free", "sk-learn",
        "https://host:8080/path@1", "the key is under the mat", "password: see the vault",
        "def secret_key(x): return x", "skeleton_key_of_the_house", "0.12.3-rc_1",
    ],
)  # fmt: skip
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "name", ["SOME_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "secret_key"]
)
def test_values_of_the_environment_are_known_by_their_names(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, CANARY)
    assert CANARY not in redacted(f"x{CANARY}y")


def test_the_password_within_a_url_of_the_environment_is_known(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setenv("OTHER_URL", f"redis://:{CANARY}@host/0")
    assert CANARY not in redacted(f"it is {CANARY}")
    assert settings.SECRET_KEY not in redacted(f"{settings.SECRET_KEY}")


def test_no_secret_is_sent_to_a_model(canary: str, use: Any) -> None:
    pytest.importorskip("langchain_openai")
    talk = [
        {"role": "system", "content": f"the key is {canary}"},
        {"role": "user", "content": FORMS["aws"]},
        {"role": "assistant", "content": "",
         "tool_calls": [{"id": "c", "name": "look", "args": {"at": [canary]}}]},
        {"role": "tool", "tool_call_id": "c", "content": f"{FORMS['pem']}"},
    ]  # fmt: skip
    with Loopback(["done"]) as server:
        use(server.model_name())
        gateway.chat(talk, role="model")
    sent = str(server.asked[0].body)
    assert canary not in sent
    assert FORMS["aws"] not in sent
    assert "MIIEow" not in sent
    assert "[redacted: aws-key]" in sent


def test_no_secret_comes_back_in_answers_and_errors(canary: str, use: Any) -> None:
    """A model or a provider that knows one repeats it; rows are made of what comes out here."""
    pytest.importorskip("langchain_openai")
    fault = outage(400)
    turns = [
        Say(f"it is {canary}", calls=(("send", {"key": canary}),)),
        type(fault)(fault.body.replace(b"the provider", canary.encode()), 400),
    ]
    with Loopback(turns) as server:
        use(server.model_name())
        said = gateway.chat([{"role": "user", "content": "?"}], role="model")
        with pytest.raises(gateway.GatewayError) as caught:
            gateway.chat([{"role": "user", "content": "?"}], role="model")
    assert canary not in str(said)
    assert canary not in str(caught.value)
    assert canary not in str(caught.value.context)


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_logged(canary: str, form: str) -> None:
    formatter = logs.config(level="INFO", form=form)["formatters"]["default"]
    made = formatter.pop("()")(**formatter)
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(made)
    plain = logging.getLogger("canary.plain")
    plain.addHandler(handler)
    plain.propagate = False
    try:
        plain.warning("the key is %s", canary)
        structlog.get_logger("canary.plain").warning("event", key=canary, deep={"a": [canary]})
        plain.error("it broke", exc_info=ValueError(canary))
    finally:
        plain.removeHandler(handler)
    assert "it broke" in out.getvalue()
    assert "ValueError" in out.getvalue()
    assert canary not in out.getvalue()


def test_values_without_secrets_keep_their_shape() -> None:
    value = {"a": [1, None, 2.5, True], "b": {"c": "d"}}
    assert redacted_value(value) == value
