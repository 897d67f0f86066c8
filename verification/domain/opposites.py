"""Words that turn a statement round or change its strength: opposites, quantities, permissions,
units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from verification.domain.wording import stem

_PAIRS = """
increase decrease|rise fall|rose fell|grow shrink|raise lower|gain lose|win lose|before after|earlier later
always never|often rarely|often seldom|usually rarely|more less|greater less
greater smaller|greater fewer|bigger smaller|more fewer|most least|many few
maximum minimum|max min|largest smallest|larger smaller|big small|large small|high low|higher lower
highest lowest|long short|longer shorter|longest shortest|fast slow|faster slower|fastest slowest
quick slow|early late|first last|next previous|start end|start stop|begin end|start finish|open close
open closed|enable disable|enabled disabled|on off|true false|yes no|allow forbid|allow deny
allow prevent|allow prohibit|permit forbid|permit prohibit|grant deny|grant refuse|accept reject
accept refuse|include exclude|add remove|add delete|create delete|create destroy|create remove
insert delete|read write|import export|push pull|send receive|upload download|lock unlock
connect disconnect|attach detach|success failure|succeed fail|pass fail|passed failed|valid invalid
legal illegal|required optional|mandatory optional|necessary unnecessary|public private|internal external
inside outside|inner outer|above below|over under|upper lower|top bottom|left right|leftmost rightmost
front back|forward backward|forwards backwards|up down|input output|import export|client server
local remote|static dynamic|mutable immutable|synchronous asynchronous|same different|equal unequal
similar different|identical different|positive negative|even odd|plus minus|good bad|better worse
best worst|easy hard|easy difficult|easier harder|simple complex|simple complicated|safe dangerous
safe unsafe|strong weak|stronger weaker|old new|older newer|oldest newest|empty full|present absent
present missing|alive dead|active inactive|expensive cheap|hot cold|warm cold|wet dry|rich poor
deep shallow|wide narrow|thick thin|heavy light|hard soft|young old|absolute relative|ascending descending
explicit implicit|explicitly implicitly|implicit explicit|single multiple|singular plural|child parent
ancestor descendant|source target|source destination|horizontal vertical|row column|encode decode
encrypt decrypt|compress decompress|serialize deserialize|pack unpack|load unload|install uninstall
register unregister|subscribe unsubscribe|mount unmount|show hide|visible hidden|known unknown
supported unsupported|safe unsafe|available unavailable|possible impossible|likely unlikely
with without|if unless|love hate|like dislike|buy sell|support oppose|agree disagree|approve reject
improve worsen|expand contract|strengthen weaken|appear disappear|encourage discourage|inherit override
current former|permanent temporary|permanently temporarily|manual automatic|manually automatically
default custom|eager lazy|greedy lazy|direct indirect|directly indirectly|online offline|stable unstable
secure insecure|complete incomplete|correct incorrect|consistent inconsistent|sensitive insensitive
case-sensitive case-insensitive|together apart|everything nothing|everyone nobody|someone nobody
everywhere nowhere|something nothing|north south|east west|morning evening|day night|male female
""".replace("\n", "|")
_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "mis", "de", "a")

# Classes of words of which one stands in a place; two of one rank say the same.
RANKS: Mapping[str, Mapping[str, str]] = {
    "modal": {
        **dict.fromkeys(("must", "shall"), "must"),
        "should": "should",
        **dict.fromkeys(("may", "might", "can", "could"), "may"),
    },
    "quantity": {
        **dict.fromkeys(("all", "every", "each", "always"), "all"),
        **dict.fromkeys(("some", "several", "sometimes", "occasionally", "certain"), "some"),
        **dict.fromkeys(("many", "most", "often", "usually", "mostly", "generally"), "most"),
        **dict.fromkeys(("few", "rarely", "seldom"), "few"),
        **dict.fromkeys(("no", "none", "never"), "no"),
    },
}
_UNITS = """
b byte bytes|kb kilobyte kilobytes kib|mb megabyte megabytes mib|gb gigabyte gigabytes gib
tb terabyte terabytes tib|bit bits|ns nanosecond nanoseconds|us µs microsecond microseconds
ms millisecond milliseconds|s sec secs second seconds|m min mins minute minutes|h hr hrs hour hours
day days|week weeks|month months|year years|decade decades|century centuries|mm|cm|meter meters metre metres
km kilometer kilometers kilometre kilometres|mile miles|inch inches|foot feet|g gram grams
kg kilogram kilograms|tonne tonnes|ton tons|pound pounds|hz|khz|mhz|ghz|watt watts|kw kwh|mw mwh
% percent|hundred|thousand k|million millions|billion billions|trillion trillions|dollar dollars usd
euro euros eur|times|degrees|liter liters litre litres|volt volts v
""".replace("\n", "|")


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in filter(None, _PAIRS.split("|")):
        one, other = (stem(word) for word in pair.split())
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


OPPOSITES = _opposites()
UNITS: Mapping[str, str] = {
    unit: group.split()[0] for group in filter(None, _UNITS.split("|")) for unit in group.split()
}


def opposite_in(word: str, words: Iterable[str]) -> str | None:
    """The stem among `words` that says the contrary of the stem `word`."""
    words = frozenset(words)
    if known := OPPOSITES.get(word, frozenset()) & words:
        return min(known)
    for prefix in _PREFIXES:
        if len(word) >= 4 and prefix + word in words:
            return prefix + word
        if word.startswith(prefix) and len(word) - len(prefix) >= 4:
            bare = word.removeprefix(prefix)
            if bare in words:
                return bare
    return None
