"""Recognises commands that destroy what cannot be brought back, whoever asks for them.

Not a sandbox and not complete: what runs is confined elsewhere. This is the rule that such a
command is not even proposed to a person as one among others.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "ash", "fish"})
# Programs that run the command that follows; the number of own words to skip is not fixed.
PREFIXES = frozenset(
    {"sudo", "doas", "env", "nice", "ionice", "nohup", "time", "timeout", "xargs", "exec", "setsid"}
)
SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "root", "sbin", "srv"}
    | {"sys", "usr", "var", "Users", "System"}
)
READERS = frozenset({"grep", "egrep", "rg", "ag", "echo", "printf", "cat", "ls"})  # only show text
NESTING_MAX = 4
LINE_CHARS_MAX = 128 * 1024  # Linux takes no longer word; and shlex's time grows with the square

_SQL = re.compile(
    r"(?i)\b(?:drop\s+(?:table|database|schema|owned)\b|truncate\s+(?:table\s+)?[\w\".]+\s*(?:;|$)"
    r"|delete\s+from\s+[\w\".]+\s*(?:;|$))"
)
_FORK_BOMB = re.compile(r"\(\)\s{0,9}\{[^}|]{0,99}\|[^}&]{0,99}&\s{0,9}\}\s{0,9};")
_TO_DEVICE = re.compile(r">\s*/dev/(?:sd|nvme|hd|vd|xvd|mmcblk|disk|mem)\w*")
_FETCHED_INTO_SHELL = re.compile(
    r"\b(?:curl|wget)\b[^|;&\n]{0,999}\|\s{0,99}(?:\w+=\S+\s+|sudo\s+|env\s+)*(?:\S*/)?"
    r"(?:sh|bash|zsh|dash|ksh|python3?|perl|ruby|node)\b"
    r"|\b(?:sh|bash|zsh|source|eval|\.)\s+(?:-\w+\s+)*[\"']?(?:<\(|\$\(|`)\s*(?:curl|wget)\b"
)
_CODE = re.compile(
    r"shutil\.rmtree\(\s*['\"](?:/|~)['\"]|rm_rf\(?\s*['\"]/['\"]|FileUtils\.rm_rf\s*\(?['\"]/['\"]"
)
TEXT_RULES = (
    (_SQL, "drops or empties database tables"),
    (_FORK_BOMB, "fork bomb"),
    (_TO_DEVICE, "writes onto a device"),
    (_FETCHED_INTO_SHELL, "runs what it fetched from the network unseen"),
    (_CODE, "deletes everything"),
)


def destructive(argv: Sequence[str] | str, depth: int = 0) -> str | None:
    """Why this command (words, or a line for a shell) must not run; None when nothing speaks
    against it."""
    if not isinstance(argv, str) and argv and PurePosixPath(argv[0]).name in READERS:
        return None
    text = argv if isinstance(argv, str) else " ".join(argv)
    for pattern, fault in TEXT_RULES:
        if pattern.search(text):
            return fault
    commands = _simple_commands(argv) if isinstance(argv, str) else [list(argv)]
    return next((why for words in commands if (why := _of_words(words, depth))), None)


def _of_words(words: Sequence[str], depth: int) -> str | None:
    words = _unwrapped(words)
    if not words:
        return None
    program = PurePosixPath(words[0]).name.lower()
    if program in SHELLS and depth < NESTING_MAX:
        return next(
            (why for script in _scripts(words) if (why := destructive(script, depth + 1))), None
        )
    rule = RULES.get(program) or (_makes_file_system if program.startswith("mkfs") else None)
    return rule(words[1:]) if rule else None


def _simple_commands(line: str) -> Iterator[list[str]]:
    """The commands of a shell line, split at `;`, `&`, `|`, brackets and ends of lines."""
    for part in line.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for token in [*_tokens(part), ";"]:
            if token and set(token) <= set(";|&()"):
                if words:
                    yield words
                words = []
            else:
                words.append(token)


def _tokens(line: str) -> list[str]:
    """As a shell takes them; words, where a quote is open or the line is too long for a shell."""
    if len(line) > LINE_CHARS_MAX:
        return line.split()
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        return line.split()


def _unwrapped(words: Sequence[str]) -> Sequence[str]:
    """Without `sudo -u x`, `env A=b`, `timeout 5` and their like in front."""
    at = 0
    while at < len(words) and (
        PurePosixPath(words[at]).name in PREFIXES or re.match(r"^\w+=", words[at])
    ):
        is_prefix = PurePosixPath(words[at]).name in PREFIXES
        at += 1
        while is_prefix and at < len(words) and re.match(r"^(?:-|\d+[smhd]?$|\w+=)", words[at]):
            at += 1
    return words[at:]


def _scripts(words: Sequence[str]) -> Iterator[str]:
    """The texts given to a shell with `-c`."""
    for flag, script in pairwise(words):
        if re.match(r"^-[a-z]*c$", flag):
            yield script


def _flags(words: Sequence[str]) -> set[str]:
    """Long options by name, short ones one letter each."""
    found: set[str] = set()
    for word in words:
        if word.startswith("--"):
            found.add(word[2:].split("=")[0])
        elif word.startswith("-"):
            found.update(word[1:])
    return found


def _operands(words: Sequence[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")]


def is_root_of_much(path: str) -> bool:
    """`/`, a system folder, a home, the working folder as a whole, or all that is in one."""
    path = path.strip("\"'").rstrip("*")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or parts in (["~"], ["$HOME"], ["${HOME}"]):
        return True
    if not path.startswith("/"):
        return parts == [".."]
    return (len(parts) == 1 and parts[0] in SYSTEM) or (
        len(parts) == 2 and parts[0] in {"home", "usr", "Users", "var"}
    )


def _removes(words: Sequence[str]) -> str | None:
    flags = _flags(words)
    if "no-preserve-root" in flags:
        return "removes the root of the file system"
    recursive = bool(flags & {"r", "R", "recursive"})
    hit = [path for path in _operands(words) if is_root_of_much(path)]
    return f"removes {hit[0]} with all below it" if recursive and hit else None


def _changes_mode(words: Sequence[str]) -> str | None:
    hit = [path for path in _operands(words)[1:] if is_root_of_much(path)]
    if _flags(words) & {"R", "recursive"} and hit:
        return f"changes rights or owner of {hit[0]} with all below it"
    return None


def _makes_file_system(words: Sequence[str]) -> str | None:
    return "makes a new file system over what is there" if words else None


def _copies_onto_device(words: Sequence[str]) -> str | None:
    hit = any(re.match(r"of=/dev/(?!null|stdout|stderr|fd/)", word) for word in words)
    return "writes onto a device" if hit else None


def _erases_device(words: Sequence[str]) -> str | None:
    return "erases a device" if any(word.startswith("/dev/") for word in words) else None


def _git(words: Sequence[str]) -> str | None:
    if "push" not in words:
        return None
    rest = words[list(words).index("push") + 1 :]
    flags = _flags([word for word in rest if not word.startswith("--")])
    long = {word[2:].split("=")[0] for word in rest if word.startswith("--")}
    if "f" in flags or long & {"force", "force-with-lease", "mirror"}:
        return "rewrites the history of a remote repository"
    if "d" in flags or "delete" in long or any(w.startswith(("+", ":")) for w in _operands(rest)):
        return "rewrites or deletes a remote branch"
    return None


def _stops_machine(_words: Sequence[str]) -> str | None:
    return "stops the machine"


def _systemctl(words: Sequence[str]) -> str | None:
    verbs = {"poweroff", "reboot", "halt", "kexec", "rescue", "emergency"}
    return "stops the machine" if verbs & set(words) else None


def _init(words: Sequence[str]) -> str | None:
    return "stops the machine" if words and words[0] in {"0", "6"} else None


def _kill(words: Sequence[str]) -> str | None:
    return "ends every process" if words and words[-1] == "-1" and len(words) > 1 else None


def _find(words: Sequence[str]) -> str | None:
    deletes = "-delete" in words or ("-exec" in words and "rm" in words)
    starts = [word for word in words[:1] if is_root_of_much(word)]
    narrowed = {"-name", "-iname", "-path", "-regex", "-mtime", "-newer", "-size"} & set(words)
    return f"deletes all below {starts[0]}" if deletes and starts and not narrowed else None


def _redis(words: Sequence[str]) -> str | None:
    return "empties a database" if {"flushall", "flushdb"} & {w.lower() for w in words} else None


def _database(words: Sequence[str]) -> str | None:
    return f"drops the database {words[-1]}" if words else None


def _kubectl(words: Sequence[str]) -> str | None:
    things = {"namespace", "namespaces", "ns", "node", "nodes", "pv", "--all"}
    return "deletes a cluster's parts" if "delete" in words and things & set(words) else None


def _terraform(words: Sequence[str]) -> str | None:
    return "destroys infrastructure" if "destroy" in words or "-destroy" in words else None


def _firewall(words: Sequence[str]) -> str | None:
    return "drops all firewall rules" if {"-F", "--flush", "flush"} & set(words) else None


def _crontab(words: Sequence[str]) -> str | None:
    return "removes all timed commands" if "-r" in words else None


RULES = {
    "rm": _removes,
    "chmod": _changes_mode,
    "chown": _changes_mode,
    "chgrp": _changes_mode,
    "mke2fs": _makes_file_system,
    "mkswap": _makes_file_system,
    "dd": _copies_onto_device,
    "shred": _erases_device,
    "wipefs": _erases_device,
    "blkdiscard": _erases_device,
    "sgdisk": _erases_device,
    "git": _git,
    "shutdown": _stops_machine,
    "reboot": _stops_machine,
    "halt": _stops_machine,
    "poweroff": _stops_machine,
    "systemctl": _systemctl,
    "init": _init,
    "telinit": _init,
    "kill": _kill,
    "find": _find,
    "redis-cli": _redis,
    "valkey-cli": _redis,
    "dropdb": _database,
    "kubectl": _kubectl,
    "terraform": _terraform,
    "tofu": _terraform,
    "iptables": _firewall,
    "nft": _firewall,
    "crontab": _crontab,
}
