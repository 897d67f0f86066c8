"""Paths that lead, or might be taken to lead, out of a workspace: over a thousand, made by rules."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

STARTS = ("", "a/", "./", "src/../", "src/sub/../../", "link/", "//")
SEPARATORS = ("/", "//", "/./", "\\", "/%2f", "\u2215", "\uff0f")
DOTS = (
    *("..", "...", "....", "..;", "%2e%2e", "..%00", "%252e%252e", "..%c0%af", ".%2e", "\u202e.."),
    *("\uff0e\uff0e", "\u2025", "\u3002\u3002", "\u2024\u2024", ".\u200b.", ". .", ".. ", " .."),
)
GIT = (
    *(".git", ".GIT", ".Git", "git~1", "GIT~1", "git~2", ".git ", ".git.", ".git...", ".git. ."),
    *(".g\u200cit", ".gi\u200dt", ".git::$INDEX_ALLOCATION", ".git\\", "\uff0egit", ".g\ufeffit"),
)
GIT_FILES = ("", "/config", "/hooks/pre-commit", "/HEAD", "/objects/info/alternates", "/index")
LINKS = ("link", "file_link", "up", "chain", "circle", "root", "proc", "out/link", "src/file_link")
PROC = (
    *("/proc/self/root", "/proc/self/cwd/..", "/proc/1/root", "/proc/thread-self/root"),
    *("/dev/fd/../../..", "/proc/self/fd/0/..", "/.", "//", "///", "/./", "file://", "file:"),
    *("~", "~root", "C:\\", "\\\\?\\", "\\\\host\\share\\", "repo:/", "repo:../"),
)
DEVICES = (
    *("/dev/zero", "/dev/stdin", "/dev/full", "/dev/tcp/127.0.0.1/1", "/proc/kcore", "pipe"),
    *("/proc/self/environ", "/proc/self/mem", "CON", "NUL", "aux.txt", "COM1:", "a:stream", "nul."),
)
MAGIC = (
    *(":(top)", ":/", ":!", "**/", "[.][.]/", "{..,a}/", "$(cat ", "`cat ", "-", "--output=", "@"),
    *(
        "HEAD:",
        "HEAD:../",
        "main:",
        "../.git/",
        "=",
        "|cat ",
        ";cat ",
        "&",
        "<",
        ">",
        "'",
        '"',
        "!",
    ),
)


def payloads(secret: Path) -> list[str]:
    """All of them, each once; `secret` is a file outside that some name correctly."""
    return sorted({*_climbs(secret), *_absolute(secret), *_git(), *_links(), *_odd(secret)})


def _climbs(secret: Path) -> Iterator[str]:
    tails = (f"outside/{secret.name}", str(secret).lstrip("/"))
    for depth in (1, 2, 3, 5, 20):
        for start in STARTS:
            for separator in SEPARATORS:
                yield start + separator.join([".."] * depth) + separator + tails[depth > 3]
        for dots in DOTS:
            yield "/".join([dots] * depth) + "/" + tails[depth > 3]


def _absolute(secret: Path) -> Iterator[str]:
    for target in (str(secret), "/etc/passwd", "/etc/shadow", "/root/.ssh/id_rsa"):
        yield target
        yield from (prefix + target for prefix in PROC)
        yield from (magic + target for magic in MAGIC)
        yield from (magic + ".." + target for magic in MAGIC)


def _git() -> Iterator[str]:
    for name in GIT:
        for file in GIT_FILES:
            for start in ("", "sub/", "./", "src/../"):
                yield start + name + file


def _links() -> Iterator[str]:
    for link in LINKS:
        for end in (
            "",
            "/",
            "/.",
            "/..",
            "/secret.txt",
            "/../outside/secret.txt",
            "/new.txt",
            "\0",
        ):
            yield link + end
            yield f"./{link}{end}"


def _odd(secret: Path) -> Iterator[str]:
    for device in DEVICES:
        yield from (device, f"./{device}", f"src/{device}")
    for character in "\0\n\r\t\x1b\x7f\u2028\u202e\ufeff\ud800":
        yield from (f"../outside/{secret.name}{character}", f"{character}/../{secret.name}")
        yield from (f"a.py{character}", f"a.py{character}/../../{secret.name}", character)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        for name in (
            "\uff53ecret.txt",
            "\u1e9bx\u0323.py",
            "\ufb01le",
            "\u2488.",
            "\uff0e\uff0e/x",
        ):
            yield unicodedata.normalize(form, name)
    yield from (
        "",
        ".",
        "..",
        "/",
        "./",
        "../",
        " ",
        "a" * 300,
        "a/" * 3000,
        "../" * 3000,
        "a" * 70000,
    )
