"""Which deeds stand for another: who "enrolled in a course" has taken one, who "scheduled" it has not.

Groups of verbs that are said of the same doing, by their stems. Some deeds are done with whatever is
dealt with at all: who got advice from Ana has met her, and who learned at a fair was there.
"""

from __future__ import annotations

from collections.abc import Collection

from memory.domain.wording import stem

_ANY = """
meet know be been use try do did done have had work see attend go visit experience encounter
"""
_ALIKE = (
    """write implement build create make develop integrate set setup add configure code install design
    draft put begin start use program compose""",
    """complete practice solve study attempt finish take enroll join learn pass register start begin
    follow do""",
    """submit upload send file post publish deliver hand give share leave""",
    """receive get earn win obtain gain acquire""",
    """buy purchase order get acquire own pay place""",
    """speak talk discuss tell mention call ask interview chat email message contact""",
    """accept sign agree take""",
    """change update revise edit modify adjust rework correct fix resolve""",
    """deploy release publish launch ship host""",
    """decline reject refuse""",
    """cancel end quit stop leave""",
    """miss skip""",
    """test check measure evaluate verify""",
    """read finish""",
    """watch see stream""",
    """host organize organise run lead hold give arrange""",
    """hire recruit employ""",
    """borrow lend""",
    """eat have taste cook""",
    """travel fly drive""",
)
_ANYTHING = frozenset(map(stem, _ANY.split()))
_GROUPS = tuple(frozenset(map(stem, group.split())) for group in _ALIKE)
_KIN = {
    verb: frozenset().union(*(group for group in _GROUPS if verb in group))
    for verb in frozenset().union(*_GROUPS)
}


def is_implied(deed: str) -> bool:
    """Whether it is done with whatever is dealt with at all."""
    return deed in _ANYTHING


def stands_for(words: Collection[str], deed: str) -> bool:
    """Whether what is said in `words`, which are stems, may be the `deed`, a stem too."""
    if not deed or is_implied(deed) or deed in words:
        return True
    return any(kin in words for kin in _KIN.get(deed, ()))
