"""What a document holds that must not be passed on: credentials, and text that steers its reader.

No defence by itself: attacks adapt. What holds is that no text of a document has authority here;
this only keeps the crude cases out of claims and shows a person where to look.
"""

from __future__ import annotations

import math
import re
from collections import Counter

MASK = "•"
PASSWORD_ENTROPY_MIN = 3.0  # bits per character; what stands for a password has less
# Forms as their issuers document them; a private key is masked with its body.
_CREDENTIAL = re.compile(
    r"""(?x)
    \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
    | \bgh[pousr]_[A-Za-z0-9]{36,255}\b | \bgithub_pat_[A-Za-z0-9_]{60,255}\b
    | \bglpat-[A-Za-z0-9_-]{20,255} | \bxox[abeoprs]-[A-Za-z0-9-]{10,255}
    | \bsk-(?:ant-|proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,255} | \b[sr]k_live_[0-9A-Za-z]{20,255}
    | \bAIza[0-9A-Za-z_-]{35} | \bnpm_[A-Za-z0-9]{36}\b | \bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,255}
    | hooks\.slack\.com/services/T[A-Za-z0-9]{2,20}/B[A-Za-z0-9]{2,20}/[A-Za-z0-9]{20,40}
    | \beyJ[A-Za-z0-9_-]{10,999}\.eyJ[A-Za-z0-9_-]{10,9999}\.[A-Za-z0-9_-]{10,999}
    | (?<=[a-z]://)[^\s:/@'"\[\]<>{}]{1,64}:(?P<password>[^\s:/@'"\[\]<>{}]{4,128})(?=@[\w.-])
    | -----BEGIN\ (?:[A-Z]{2,12}\ ){0,3}PRIVATE\ KEY(?:\ BLOCK)?-----
        (?:[^-]{0,20000}-----END\ [A-Z ]{0,60}-----)?
    """
)
# Bidirectional controls, joiners that shape no letter, tags, soft hyphens.
_HIDDEN = re.compile(
    "[\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f\u180e\u00ad]"
)
_ORDERS = re.compile(
    r"""(?ix)
    \b(?:ignore|disregard|forget|override|bypass)\s+(?:\w+\s+){0,3}
        (?:previous|prior|above|earlier|preceding|foregoing|system|your|all|any|these|the)\s+
        (?:\w+\s+){0,2}(?:instructions?|prompts?|rules|directions|guidelines|messages?)\b
    | \b(?:ignore|disregard|forget)\s+(?:everything|anything|all|what)\s+(?:\w+\s+){0,3}
        (?:above|before|previous(?:ly)?|earlier|told)\b
    | \byou\ (?:must|are|will)\ now\b | \bsystem\ prompt\b | \bnew\s+(?:system\s+)?instructions?\s*:
    | \b(?:reveal|print|repeat|show)\s+(?:me\s+)?your\s+(?:hidden|secret|system|initial)\b
    | \bdo\s+not\s+(?:tell|inform|alert|notify)\s+the\s+(?:user|human|operator|reviewer)\b
    | </?\s*(?:system|tool|assistant|invoke|function_calls?|tool_(?:call|use|result))\b
    | <\|\w{2,20}\|> | \[/?INST\] | <</?SYS>> | ^\W{0,9}(?:system|assistant)\s*:\s*\S
    | "(?:tool_calls|function_call)"\s*:
    | \b(?:AI|LLM|language\s+model|chatbot)s?\b .{0,30} \b(?:must|should|shall)\b .{0,60}
        \b(?:approve|delete|send|run|execute|install|grant|e-?mail)\b
    """
)


def without_credentials(text: str) -> tuple[str, int]:
    """The text with each credential masked by as many dots, so that positions stay; how many."""
    count = 0

    def masked(found: re.Match[str]) -> str:
        nonlocal count
        if found["password"] and _entropy(found["password"]) < PASSWORD_ENTROPY_MIN:
            return found[0]  # user:pass@host, as documentation writes it
        count += 1
        return MASK * len(found[0])

    return _CREDENTIAL.sub(masked, text), count


def _entropy(text: str) -> float:
    """Shannon entropy in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def flaw(sentence: str) -> str:
    """Why a sentence is not put forward as a claim; "" when nothing is the matter with it."""
    words = " ".join(sentence.split())
    if _ORDERS.search(words):
        return "gives orders to its reader"
    if not sentence.isascii() and _HIDDEN.search(sentence):
        return "holds characters that nobody sees"
    if MASK * 4 in sentence:
        return "holds a credential"
    return ""
