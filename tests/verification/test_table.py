"""The tribunal's table has every cell, and each is what the rules say once more in other words."""

from __future__ import annotations

from itertools import product

from verification.contracts import Authority, Kind, RulingOutcome
from verification.domain.matters import RISKS
from verification.domain.table import BESIDE, SAYS, YES_OR_NO, Cell, cells

ACCEPT, REJECT = RulingOutcome.ACCEPT, RulingOutcome.REJECT
PERSON, PENDING = RulingOutcome.PERSON, RulingOutcome.PENDING
BY_WORD = {"yes": ACCEPT, "no": REJECT}
ALONE = {"fail": REJECT, "veto": REJECT, "abstain": PERSON, "error": PERSON, "nothing": PENDING}


def alone(cell: Cell) -> RulingOutcome:
    if cell.says in ALONE:
        return ALONE[cell.says]
    if cell.says == "most pass" and cell.risk == "irreversible":
        return PERSON
    opinion = cell.kind in (Kind.SEMANTIC, Kind.CONSENSUS)
    return PERSON if opinion and cell.risk == "write" else ACCEPT


def expected(cell: Cell) -> RulingOutcome:
    by_itself = alone(cell)
    match cell.beside:
        case "verifier" if cell.word == "no":
            return PENDING if cell.says == "nothing" else REJECT
        case "person with reason":
            return BY_WORD[cell.word]
        case "person" if by_itself is PERSON and cell.says != "most pass":
            return BY_WORD[cell.word]  # was asked, and contradicts nobody
    return by_itself


def test_every_cell_is_what_the_rules_say() -> None:
    wrong = [
        (cell, expected(cell)) for cell in cells() if cell.ruling.outcome is not expected(cell)
    ]
    assert wrong == []


def test_no_cell_is_missing() -> None:
    there = {(c.risk, c.kind, c.says, c.beside, c.word) for c in cells()}
    words = [("nobody", ""), *product(BESIDE[1:], YES_OR_NO)]
    wanted = {
        (risk, kind, says, *word)
        for risk, kind, says, word in product(RISKS, Kind, SAYS, words)
        if says != "most pass" or kind is Kind.CONSENSUS
    }
    assert there == wanted


def test_no_cell_rests_on_an_authority_below_a_verifier() -> None:
    for cell in cells():
        by_person = cell.beside.startswith("person") and cell.ruling.rule == "word"
        assert cell.ruling.authority is (Authority.HUMAN if by_person else Authority.VERIFIER)
