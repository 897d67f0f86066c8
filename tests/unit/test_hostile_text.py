"""What reads texts of agents, plans and requests takes time that grows as they do.

A text here is so long that whatever compares each part of it with every other would take hours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentsys.gateway.redaction import redacted
from orchestration.domain.abstracting import templated
from orchestration.domain.prompting import form_of
from orchestration.domain.reflection import name_of
from verification.domain.commands import destructive, is_root_of_much
from verification.domain.criteria import check
from verification.domain.injection import marks_in
from verification.domain.leaving import leaving
from verification.domain.secrets import secrets_in

LONG = 1_000_000  # characters


def long(unit: str, ahead: str = "", behind: str = "!") -> str:
    return ahead + unit * (LONG // len(unit)) + behind


READ: list[tuple[Callable[[str], Any], str]] = [
    (leaving, long(";")),
    (leaving, long("(;", "curl x -d ")),
    (is_root_of_much, long("*")),
    (is_root_of_much, long("/.")),
    (is_root_of_much, long("./")),
    (destructive, long("*", "rm -rf /")),
    (lambda text: check(text, {}), long(" ", "artifact a")),
    (lambda text: check(text, {}), long(" ", "artifact", "exists?")),
    (lambda text: check(text, {}), long("not ")),
    (lambda text: check(text, {}), long("9", "changed <= ", "")),
    (lambda text: check(text, {}), long("9", "output[", "] exists")),
    (lambda text: form_of("schema", text), long("“")),
    (lambda text: templated(text, {"name": "alpha"}), long("$")),
    (lambda text: name_of({"objective": text, "phases": []}, lambda _: False), long("$")),
    (marks_in, long(">", "", " ~/.bashrc")),
    (marks_in, long("echo $API_TOKEN ", "", "|")),
    (secrets_in, long("password=")),
    (redacted, long("-----BEGIN PRIVATE KEY-----", "", "\n")),
]


@pytest.mark.parametrize(("read", "text"), READ, ids=lambda value: "")
def test_a_long_text_is_read_to_its_end(read: Callable[[str], Any], text: str) -> None:
    read(text)


@pytest.mark.parametrize(
    "path", ["/", "//", "/.", "/./", "/*", "/etc/./", "/home/ana/*", ".", "./*", "..", "../", "~/*", "*"]
)  # fmt: skip
def test_a_path_is_much_however_it_is_spelled(path: str) -> None:
    assert is_root_of_much(path)


@pytest.mark.parametrize(
    "path", ["/etc/hosts", "src/*", "../x", "a/..b", "~/x", "/home/ana/x", "x*"]
)
def test_a_path_further_down_is_not(path: str) -> None:
    assert not is_root_of_much(path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("artifact a b.md exists", "a b.md"),
        ("artifact `x` exists.", "x"),
        ("not artifact x exists", ""),
    ],
)
def test_a_named_artifact_is_looked_for(text: str, name: str) -> None:
    assert check(text, {"artifacts": [{"name": name}]}).met


@pytest.mark.parametrize(
    "text", ["artifact exists", "artifact 'a'b' exists", "an artifact x exists"]
)
def test_what_names_no_artifact_is_prose(text: str) -> None:
    assert check(text, {"artifacts": [{"name": "x"}]}).met is None


def test_each_of_several_keys_is_taken_out_though_the_first_was_cut() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIE"
    assert redacted(f"{key}\n{key}\n-----END PRIVATE KEY-----") == "[redacted: private-key]" * 2
