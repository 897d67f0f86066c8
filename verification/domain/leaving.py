"""Recognises commands that take what is secret out of the machine: keys, password files, the
environment, sent to a host or put into an address.

Not complete: what may leave is held by the sandbox, which has no network. This is the rule that such
a command is not even proposed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Places where credentials are kept, and names of variables that hold them.
SECRET_FILE = (
    r"(?:\.ssh/|\bid_(?:rsa|dsa|ecdsa|ed25519)\b|(?<![\w-])\.env\b|\.aws/|\.netrc\b|\.pgpass\b|\.npmrc\b|\.pypirc\b"
    r"|\.git-credentials\b|\.kube/config\b|\.docker/config\.json|/etc/(?:shadow|passwd)\b|/proc/\w+/environ"
    r"|\.gnupg/|\.config/gcloud|\bcredentials(?:\.json|\.db|\.csv)?\b|\.bash_history\b|\bsecrets?\.\w{2,5}\b"
    r"|\b\w+\.(?:pem|p12|pfx|kdbx)\b|\bcookies(?:\.sqlite|\.txt)?\b)"
)
SECRET_VARIABLE = (
    r"\$\{?\w*(?:SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL)\w*"
)
ENVIRONMENT = (
    r"(?:\b(?:printenv|export\s+-p|env)\b(?=[ \t]*(?:[|>)`&;]|$))|\bos\.environ\b|\bprocess\.env\b"
    r"|\bENV\.to_h\b)"
)
_SECRET = re.compile(f"{SECRET_FILE}|{SECRET_VARIABLE}|{ENVIRONMENT}")
_SENDS = re.compile(
    r"(?x)"
    r"\b(?:curl|wget|http|https)\b.{0,300}?(?:\s-(?:d|F|T)\b|\s--(?:data|form|upload|post|body)[\w-]*|@|\?\S*=|\$\()"
    r"|\b(?:curl|wget)\b.{0,300}?https?://"
    r"|\b(?:nc|ncat|netcat|socat|telnet)\b\s.{0,300}?\d"
    r"|\b(?:scp|rsync|sftp|ftp|rclone)\b.{0,300}?[\w.-]+:"
    r"|\b(?:aws\s+s3|gsutil|az\s+storage)\b.{0,300}?\b(?:cp|sync|mv|upload\w*)\b"
    r"|\b(?:nslookup|dig|host|ping)\b.{0,300}?(?:\$|`)"
    r"|\b(?:mail|mailx|sendmail|mutt)\b.{0,300}?@"
    r"|/dev/(?:tcp|udp)/"
    r"|\b(?:requests|httpx|urllib\.request|aiohttp|fetch|axios|XMLHttpRequest)\b.{0,300}?(?:post|put|urlopen|get|\()"
    r"|\bgh\s+gist\s+create\b|\bssh\b\s+\S+@\S+"
)
# An identity file, a certificate, a file of variables for a program: used, not sent.
_USED = re.compile(
    r"\s(?:-i|-E|--cert|--key|--cacert|--env-file|--netrc-file|-IdentityFile)[ =]\S+"
    r"|-H\s*(?:\"[^\"]*\"|'[^']*')|--header[ =](?:\"[^\"]*\"|'[^']*')|\s(?:-u|--user)[ =]\S+"
)
_MARK = re.compile(r"\n|&&|\|\||[;()]")


def leaving(argv: Sequence[str] | str) -> str | None:
    """Why the command would let secrets out; None when nothing speaks against it. A credential in a
    header or an identity file is one being used."""
    text = argv if isinstance(argv, str) else " ".join(argv)
    text = _USED.sub(" ", text)
    for part in _parts(text):
        if _SENDS.search(part) and (found := _SECRET.search(part)):
            return f"sends what is secret (`{found[0][:40]}`) out of the machine"
    return None


def _parts(text: str) -> list[str]:
    """What is run by itself. A `;` before a parenthesis that closes, as in `$(a; b)`, parts nothing."""
    parts, end, closes = [], len(text), False
    for mark in reversed(list(_MARK.finditer(text))):
        if mark[0] in "()":
            closes = mark[0] == ")"
        elif mark[0] != ";" or not closes:
            parts.append(text[mark.end() : end])
            end = mark.start()
    return [text[:end], *reversed(parts)]
