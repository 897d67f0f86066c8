"""What is said otherwise later is linked, never lost; facts keep the interval in which they held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memory import services as memory
from memory.contracts import MemoryDraft
from memory.current import links_for
from memory.models import Fact, Link, Memory
from tests.memory.disagreeing import CONTRADICTIONS, NEITHER, UPDATES, Pair

pytestmark = pytest.mark.django_db
HERE = "project-1"
DAY = datetime(2026, 3, 2, tzinfo=UTC)


def told(text: str, *, days: int = 0, actor: str = "ana", trust: str = "unverified") -> int:
    return memory.remember(
        HERE, "semantic", text, actor=actor, trust=trust, occurred_at=DAY + timedelta(days=days)
    )


def kind_of(pair: Pair) -> str:
    older, newer = told(pair.older), told(pair.newer, days=3)
    link = Link.objects.filter(older=older, newer=newer).first()
    return link.kind if link else ""


@pytest.mark.parametrize("pair", CONTRADICTIONS)
def test_a_contradiction_is_marked_when_it_is_written(pair: Pair) -> None:
    assert kind_of(pair) == "contradicts"


@pytest.mark.parametrize("pair", UPDATES)
def test_an_update_is_marked_when_it_is_written(pair: Pair) -> None:
    assert kind_of(pair) == "updates"


@pytest.mark.parametrize("pair", NEITHER)
def test_what_only_looks_like_it_is_not_marked(pair: Pair) -> None:
    assert kind_of(pair) == ""


def test_a_link_quotes_both_texts_and_neither_is_changed() -> None:
    older, newer = told(UPDATES[0].older), told(UPDATES[0].newer, days=3)
    link = Link.objects.get()
    assert (link.older_id, link.newer_id, link.reason) == (
        older,
        newer,
        "deadline of audit: 5 May → 12 May",
    )
    rows = Memory.objects.order_by("pk").values_list("text", "state", "valid_to")
    assert list(rows) == [(text, "live", None) for text in UPDATES[0]]


def test_a_newer_value_closes_the_interval_of_the_older_one_and_keeps_it() -> None:
    told(UPDATES[0].older), told(UPDATES[0].newer, days=3)
    held, holds = Fact.objects.order_by("valid_from")
    assert (held.value, held.valid_to, held.closed_by) == ("5 May", DAY + timedelta(days=3), holds)
    assert (holds.value, holds.valid_to, held.retracted_at) == ("12 May", None, None)


def test_a_correction_is_read_as_any_other_text() -> None:
    wrong = told("The deadline of the audit is 12 May")
    right = memory.supersede(wrong, "The deadline of the audit is 19 May")
    assert Fact.objects.get(valid_to=None).evidence_id == right
    assert not Link.objects.exists()  # the rows say it
    later = told("The deadline of the audit is 20 May", days=900)
    standing = links_for([right, later])
    assert (standing[right].outdated_by, standing[later].updates) == (later, (right,))


def test_what_was_said_in_a_text_that_was_corrected_holds_no_longer() -> None:
    wrong = told("The owner of billing is Ana")
    memory.supersede(wrong, "Nobody is in charge of that yet")
    assert not Fact.objects.filter(valid_to=None).exists()


def test_what_is_said_late_takes_its_place_in_time() -> None:
    for value, days in ((1, 0), (3, 20), (2, 10)):
        told(f"retry limit: {value}", days=days)
    facts = Fact.objects.order_by("valid_from").values_list("value", "valid_to")
    until = [DAY + timedelta(days=days) for days in (10, 20)]
    assert list(facts) == [("1", until[0]), ("2", until[1]), ("3", None)]


def test_lesser_trust_conflicts_and_does_not_update() -> None:
    verified = told("retry limit: 3", trust="verified")
    planted = told("retry limit: 900", days=1, trust="untrusted")
    assert Fact.objects.get(valid_to=None).value == "3"
    standing = links_for([verified, planted])
    assert (standing[verified].outdated_by, standing[verified].conflicts_with) == (0, (planted,))


def test_lesser_trust_outdates_no_answer_when_somebody_asks_either() -> None:
    older = told("My reading goal is 10 books this winter.", trust="verified")
    newer = told("I extended my winter reading goal to 12 books.", days=1, trust="unverified")
    standing = links_for([older, newer], query="How many books is my winter reading goal?")
    assert (standing[older].outdated_by, standing[older].conflicts_with) == (0, (newer,))
    assert (standing[newer].updates, standing[newer].conflicts_with) == ((), (older,))


def test_what_one_says_of_oneself_is_not_held_against_another() -> None:
    told(CONTRADICTIONS[0].older, actor="ben")
    told(CONTRADICTIONS[0].newer, actor="ana", days=3)
    assert not Link.objects.exists()


def test_another_project_is_never_compared_with() -> None:
    memory.remember("project-2", "semantic", "retry limit: 3")
    memory.remember("project-2", "semantic", CONTRADICTIONS[0].older, actor="ana")
    told("retry limit: 5", days=2)
    told(CONTRADICTIONS[0].newer, days=3)
    assert not Link.objects.exists()
    assert Fact.objects.filter(attribute="retry limit", valid_to=None).count() == 2


def test_within_one_batch_each_text_is_compared_with_those_before_it() -> None:
    drafts = [
        MemoryDraft(HERE, "semantic", text, actor="ana", occurred_at=DAY + timedelta(days=n))
        for n, text in enumerate((*CONTRADICTIONS[1], *UPDATES[0]))
    ]
    ids = memory.remember_many(drafts)
    links = set(Link.objects.values_list("older", "newer", "kind"))
    assert links == {(ids[0], ids[1], "contradicts"), (ids[2], ids[3], "updates")}


def test_forgetting_a_text_takes_its_quotes_with_it() -> None:
    older, newer = told(UPDATES[0].older), told(UPDATES[0].newer, days=3)
    memory.forget(newer, "ana", "a test")
    assert not Link.objects.exists()
    assert list(Fact.objects.values_list("evidence", flat=True)) == [older]


def test_a_question_shows_which_of_two_answers_is_out_of_date() -> None:
    older = told("I'm going to the dentist on Friday at 3 PM, should I fast before it?")
    newer = told("I had to reschedule my dentist visit on Friday to 5 PM.", days=2)
    other = told("The dentist on Elm Street has new chairs.", days=3)
    standing = links_for([older, newer, other], query="What time is my dentist visit on Friday?")
    assert [standing[one].outdated_by for one in (older, newer, other)] == [newer, 0, 0]
    assert standing[newer].updates == (older,)


def test_a_mark_is_told_to_who_asks_about_that_part_of_a_text() -> None:
    older = told("I've never used Zotero before. My draft of the essay has 4,700 words now.")
    newer = told("I just started using Zotero for my sources.", days=2)
    assert links_for([older])[older].outdated_by == newer
    sources = links_for([older, newer], query="Have I used Zotero?")
    words = links_for([older, newer], query="How many words does my draft of the essay have?")
    assert (sources[older].outdated_by, words[older].outdated_by) == (newer, 0)


def test_a_number_that_has_grown_is_of_what_the_question_counts() -> None:
    older = told("I'm proud of mentoring those 5 women in local radio.")
    newer = told("The number of mentees I work with in local radio has increased to 7.", days=2)
    standing = links_for(
        [older, newer], query="How many women do I mentor as mentees in local radio?"
    )
    assert (standing[older].outdated_by, standing[newer].outdated_by) == (newer, 0)


def test_a_value_said_in_passing_has_to_answer_as_well_as_the_older_one() -> None:
    older = told("I've set aside $4,000 for the filing fees of the harbour permit.")
    other = told("The harbour permit has a fee of $1,500 for a filing.", days=2)
    query = "What have I set aside as budget for the filing fees of the harbour permit?"
    assert links_for([older, other], query=query)[older].outdated_by == 0


def test_a_value_said_in_passing_is_about_as_much_as_the_older_one() -> None:
    query = "What is the fee for the mooring permit of the harbour?"
    older = told("The fee for the mooring permit of the harbour: I set $4,000 aside.")
    other = told("I paid the fee of $280 for the mooring permit of the harbour.", days=2)
    newer = told("I paid the fee of $3,500 for the mooring permit of the harbour.", days=3)
    assert links_for([older, other], query=query)[older].outdated_by == 0
    assert links_for([older, newer], query=query)[older].outdated_by == newer


def test_what_went_back_to_a_value_before_is_no_later_version() -> None:
    first = told("I worked 12 hours of overtime in February.")
    second = told("I got my overtime down to just 4 hours in March.", days=20)
    third = told("I cut my weekly overtime down from 12 to 5 hours.", days=40)
    standing = links_for([first, second, third], query="How many hours of overtime did I work?")
    assert [bool(standing[one].outdated_by) for one in (first, second)] == [True, False]


def test_a_value_that_is_only_said_again_outdates_nothing() -> None:
    first = told("My reading goal is 10 books this winter.")
    raised = told("I extended my winter reading goal to 12 books.", days=1)
    again = told("My reading goal was 10 books this winter, to begin with.", days=2)
    standing = links_for([first, raised, again], query="How many books is my winter reading goal?")
    assert standing[first].outdated_by == raised
    assert standing[raised].outdated_by == 0
