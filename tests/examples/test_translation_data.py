"""The English and French that the translator learns from."""

import datetime
import re

import pytest
from translation_data import (
    ENGLISH_DAYS,
    ENGLISH_MONTHS,
    FRENCH_DAYS,
    FRENCH_MONTHS,
    LARGEST,
    Pair,
    english_number,
    french_number,
    held_out,
    make_pairs,
    ordinal,
    spoken_time,
)

TRAINING = make_pairs(6000, 0)
TEST = make_pairs(2000, 1000, test=True)


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [
        (0, "zero", "zéro"),
        (16, "sixteen", "seize"),
        (17, "seventeen", "dix-sept"),
        (21, "twenty-one", "vingt et un"),
        (22, "twenty-two", "vingt-deux"),
        (40, "forty", "quarante"),
        (61, "sixty-one", "soixante et un"),
        (70, "seventy", "soixante-dix"),
        (71, "seventy-one", "soixante et onze"),
        (72, "seventy-two", "soixante-douze"),
        (79, "seventy-nine", "soixante-dix-neuf"),
        (80, "eighty", "quatre-vingts"),
        (81, "eighty-one", "quatre-vingt-un"),
        (90, "ninety", "quatre-vingt-dix"),
        (91, "ninety-one", "quatre-vingt-onze"),
        (99, "ninety-nine", "quatre-vingt-dix-neuf"),
        (100, "one hundred", "cent"),
        (101, "one hundred and one", "cent un"),
        (200, "two hundred", "deux cents"),
        (203, "two hundred and three", "deux cent trois"),
        (380, "three hundred and eighty", "trois cent quatre-vingts"),
        (1000, "one thousand", "mille"),
        (1001, "one thousand and one", "mille un"),
        (2000, "two thousand", "deux mille"),
        (5300, "five thousand three hundred", "cinq mille trois cents"),
        (
            9999,
            "nine thousand nine hundred and ninety-nine",
            "neuf mille neuf cent quatre-vingt-dix-neuf",
        ),
    ],
)
def test_numbers_in_words(number, english, french):
    assert english_number(number) == english
    assert french_number(number) == french


@pytest.mark.parametrize(
    ("number", "french"),
    [
        (1, "une"),
        (11, "onze"),
        (21, "vingt et une"),
        (71, "soixante et onze"),
        (81, "quatre-vingt-une"),
        (101, "cent une"),
        (1021, "mille vingt et une"),
        (2000, "deux mille"),
    ],
)
def test_numbers_of_feminine_things(number, french):
    assert french_number(number, feminine=True) == french


def test_english_may_leave_out_and():
    assert english_number(4312, joined=False) == "four thousand three hundred twelve"


def test_no_two_numbers_are_the_same_words():
    numbers = range(LARGEST + 1)
    assert len({english_number(number) for number in numbers}) == LARGEST + 1
    assert len({french_number(number) for number in numbers}) == LARGEST + 1


def test_ordinals():
    found = [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 20, 21, 30, 31)]
    assert found == [
        "first", "second", "third", "fourth", "eleventh", "twelfth", "thirteenth", "twentieth",
        "twenty-first", "thirtieth", "thirty-first",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hour", "minute", "english", "french"),
    [
        (1, 0, "one o'clock in the morning", "une heure du matin"),
        (7, 15, "a quarter past seven in the morning", "sept heures et quart du matin"),
        (13, 30, "half past one in the afternoon", "une heure et demie de l'après-midi"),
        (17, 35, "twenty-five to six in the evening", "six heures moins vingt-cinq du soir"),
        (21, 5, "five past nine in the evening", "neuf heures cinq du soir"),
        (0, 0, "midnight", "minuit"),
        (0, 30, "half past midnight", "minuit et demi"),
        (11, 45, "a quarter to noon", "midi moins le quart"),
        (12, 20, "twenty past noon", "midi vingt"),
        (23, 50, "ten to midnight", "minuit moins dix"),
    ],
)
def test_spoken_times(hour, minute, english, french):
    slot = spoken_time(hour, minute, with_part=True)
    assert (slot.english, slot.french) == (english, french)


def test_a_spoken_time_without_the_part_of_the_day():
    assert spoken_time(19, 10, with_part=False).french == "sept heures dix"


def values(pairs: list[Pair], pattern: str) -> list[re.Match[str]]:
    """Where a pattern is found in the English texts."""
    return [found for pair in pairs for found in re.finditer(pattern, pair.english)]


@pytest.mark.parametrize(("pairs", "expected"), [(TRAINING, False), (TEST, True)])
def test_the_halves_share_no_values(pairs, expected):
    years = [int(found[0]) for found in values(pairs, r"\b\d{4}\b")]
    cents = [int(found[1]) for found in values(pairs, r"\.(\d\d)\b")]
    clock = [
        int(found[1]) % 12 * 60 + int(found[2]) + 720 * (found[3] == "p")
        for found in values(pairs, r"(\d+):(\d\d) (a|p)\.m\.")
    ]
    wholes = [int(found[1]) for found in values(pairs, r"[€$£](\d+)") if int(found[1]) > 20]
    assert min(len(found) for found in (years, cents, clock, wholes)) > 20
    assert {held_out("year", year) for year in years} == {expected}
    assert {held_out("cents", cent) for cent in cents} == {expected}
    assert {held_out("digital", minutes) for minutes in clock} == {expected}
    assert {held_out("number", whole) for whole in wholes} == {expected}


def test_the_halves_share_no_numbers_in_words():
    words = {english_number(number): number for number in range(LARGEST + 1)}
    numbers = {
        half: {words[pair.english] for pair in pairs if pair.english in words}
        for half, pairs in (("training", TRAINING), ("test", TEST))
    }
    assert len(numbers["training"]) > 100
    assert len(numbers["test"]) > 50
    assert not any(held_out("number", number) for number in numbers["training"] if number > 20)
    assert all(held_out("number", number) for number in numbers["test"])
    assert min(numbers["test"]) > 20


def test_the_halves_share_no_days():
    pattern = rf"(\d+|the [a-z-]+ of) ({'|'.join(ENGLISH_MONTHS)})\b"
    days = {found[0] for found in values(TRAINING, pattern)}
    assert len(days) > 300
    assert days.isdisjoint(found[0] for found in values(TEST, pattern))


def test_the_same_seed_gives_the_same_pairs_and_held_out_ones_differ():
    assert make_pairs(50, 3) == make_pairs(50, 3)
    assert make_pairs(50, 3) != make_pairs(50, 4)
    assert len({pair.english for pair in TEST}) == len(TEST)


def test_days_of_the_week_are_those_of_the_calendar():
    pattern = rf"({'|'.join(FRENCH_DAYS)}) (\d+|1er) ({'|'.join(FRENCH_MONTHS)}) (\d{{4}})"
    found = [match for pair in TRAINING for match in re.finditer(pattern, pair.french)]
    assert len(found) > 100
    for name, day, month, year in (match.groups() for match in found):
        number = int(day.removesuffix("er"))
        date = datetime.date(int(year), FRENCH_MONTHS.index(month) + 1, number)
        assert FRENCH_DAYS[date.weekday()] == name


def test_days_and_months_agree_in_both_languages():
    days = dict(zip(ENGLISH_DAYS, FRENCH_DAYS, strict=True))
    months = dict(zip(ENGLISH_MONTHS, FRENCH_MONTHS, strict=True))
    for pair in TRAINING:
        for words in (days, months):
            english = re.findall(rf"\b({'|'.join(words)})\b", pair.english)
            french = re.findall(rf"\b({'|'.join(words.values())})\b", pair.french)
            assert [words[word] for word in english] == french


def test_participles_agree():
    french = {pair.french.split(" est né")[0]: pair.french for pair in TRAINING}
    assert french["Anna"].startswith("Anna est née le ")
    assert french["Paul"].startswith("Paul est né le ")
    closed = [pair.french for pair in TRAINING if "closed" in pair.english]
    assert any(text.startswith("La gare est fermée jusqu'au ") for text in closed)
    assert any(text.startswith("Le musée est fermé jusqu'au ") for text in closed)


def test_no_phrase_lacks_an_elision_or_contraction():
    wrong = re.compile(r"\b(de le|à le|de les|que il|le [aéiou]\w+|la [aéiou]\w+) ", re.IGNORECASE)
    assert [pair.french for pair in TRAINING + TEST if wrong.search(pair.french)] == []


def test_sentences_begin_with_a_capital_and_end_once():
    for pair in TRAINING + TEST:
        assert ".." not in pair.english
        if pair.english[-1] in ".?" and not pair.english.endswith(".m."):
            assert pair.english[0].isupper()
            assert pair.french[0].isupper()
            assert pair.french[-1] == pair.english[-1]
