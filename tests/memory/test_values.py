"""Values and denials as they are read out of a sentence, before anything is compared."""

from __future__ import annotations

import pytest

from memory.domain.denials import assertions, denials, speaks_of
from memory.domain.slots import slots
from memory.domain.values import VALUES_MAX, Value, can_follow, values
from memory.domain.wording import terms


def only(sentence: str) -> Value:
    (value,) = values(sentence)
    return value


def amounts(sentence: str) -> list[str]:
    return [value.amount for value in values(sentence)]


def test_a_sign_of_change_counts_within_its_clause() -> None:
    assert only("The deadline is now October 1.").changed
    assert not only("I met the deadline on October 1, but now I have to rest.").changed


def test_the_number_of_an_item_of_a_list_is_no_value() -> None:
    assert amounts("3. Set the kiln up.") == []
    assert amounts("3 kilns were set up.") == ["3"]


def test_a_word_that_begins_like_a_number_is_none() -> None:
    assert amounts("Of 5 kilns, the old ones tend to crack.") == ["5"]


@pytest.mark.parametrize(
    ("said", "toward"),
    [
        ("The rate has improved from 70% to 90%.", 1),
        ("The rate went from 90% to 70%.", -1),
        ("We reduced the rate to 70%.", -1),
        ("The rate is 90%, up from what it was.", 1),
        ("We lowered our sights and the rate is 90%.", 0),
        ("The rate is 90%.", 0),
    ],
)
def test_a_value_may_say_which_way_it_went(said: str, toward: int) -> None:
    assert values(said)[-1].toward == toward


@pytest.mark.parametrize(
    ("older", "newer", "can"),
    [
        ("The rate is 95%.", "The rate has improved from 70% to 90%.", False),
        ("The rate is 70%.", "The rate has improved to 90%.", True),
        ("I completed 15 tests.", "I completed 12 tests.", False),
        ("I completed 12 tests.", "I completed 15 tests.", True),
        ("I planned 15 tests.", "I planned 12 tests.", True),
    ],
)
def test_a_value_came_from_the_side_it_says_and_what_is_done_stays_done(
    older: str, newer: str, can: bool
) -> None:
    assert can_follow(only(older), values(newer)[-1]) is can


@pytest.mark.parametrize(
    ("denied", "verb", "head"),
    [
        ("I have never written any Flask routes.", "writ", "rout"),
        ("I've never completed any problems involving medians.", "complet", "problem"),
        ("I've never listened to any audiobook narrated by her.", "listen", "audiobook"),
        ("I have never had problems with Flask.", "had", "problem"),
        ("I never worked with my brother Mika on any film.", "work", "mika"),
    ],
)
def test_a_denial_is_of_a_deed_done_to_something(denied: str, verb: str, head: str) -> None:
    (denial,) = denials(denied)
    assert (denial.verb, denial.head) == (verb, head)


def test_words_that_only_tie_others_together_tell_nothing() -> None:
    assert terms("tax-related problems involving forms") == {
        "tax": 1.0,
        "problem": 1.0,
        "form": 1.0,
    }
    assert terms("She used it").keys() == terms("They use it").keys() == {"use"}


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("I implemented the Flask routes.", True),
        ("I set up my project with Flask.", False),  # nothing of routes
        ("I deleted the Flask routes.", False),  # another deed
    ],
)
def test_a_clause_is_about_what_is_denied_by_its_deed_and_by_its_thing(
    said: str, about: bool
) -> None:
    (denial,), (assertion,) = denials("I have never written any Flask routes."), assertions(said)
    assert speaks_of(assertion, denial) is about


@pytest.mark.parametrize(
    "unit", ["1", "1,", "1 ", "$1 ", " ", "a.", "\n", "1:", "now 5 apples, ", "'"]
)
def test_reading_a_long_text_takes_a_time_that_grows_with_its_length_alone(unit: str) -> None:
    """Where it grew with the square, this would not end before the tests' own limit."""
    text = (unit * 200_000)[:200_000]
    assert len(values(text)) <= VALUES_MAX
    for read in (denials, assertions, slots):
        read(text)


def test_numbers_with_more_digits_than_a_float_keeps_are_told_apart() -> None:
    one, other = amounts("The order is 12345678901234567890 now, then 12345678901234567891.")
    assert one != other
    assert amounts("It has " + "9" * 20_000 + " parts.") == ["9" * 20_000]
    assert amounts("It cost $" + "9" * 400 + " million.")
    assert amounts("It rose to 1,234,567 %, not to 12,5 %.") == ["1234567", "5", "12"]
