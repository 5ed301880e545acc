"""Numbers, dates, times, prices and short sentences around them, in English and in French.

An item is a pair of frames with equal slots ("The {event} is on {date}.", "{event} est le
{date}."), filled with equal values. Held-out items hold only values that no training item holds:
numbers, days of a year, years, hours with minutes, and cents, each sort by itself. Names, nouns and
frames are the same in both halves; numbers up to twenty are for training only, as the larger ones
are made of them.

French is written as before the reform of 1990: hyphens join the words below a hundred, but not
around "et" (vingt-deux, vingt et un, soixante et onze, quatre-vingt-onze, deux cent trois).
Spaces are ordinary ones, where print would have some that do not break.
"""

import datetime
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter

from translation_wordings import (
    AGES,
    COUNTED,
    DISTANCES,
    DURATIONS,
    EVENTS,
    MONEY,
    PEOPLE,
    PLACES,
    SENTENCES,
    THINGS,
    VALUES,
    Noun,
    Slot,
)

HELD_OUT = 5  # one value in so many
LARGEST = 9999
KNOWN = 20  # numbers up to here are for training only


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ENGLISH_SMALL = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
ENGLISH_TENS = _words("- ten twenty thirty forty fifty sixty seventy eighty ninety")
FRENCH_SMALL = _words(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
    " dix-sept dix-huit dix-neuf"
)
FRENCH_TENS = _words("- dix vingt trente quarante cinquante soixante")

ENGLISH_MONTHS = _words(
    "January February March April May June July August September October November December"
)
FRENCH_MONTHS = _words(
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
)
ENGLISH_DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
FRENCH_DAYS = _words("lundi mardi mercredi jeudi vendredi samedi dimanche")
ORDINALS = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth"}


@dataclass(frozen=True)
class Pair:
    """An English text and its French translation."""

    english: str
    french: str


def held_out(kind: str, value: int) -> bool:
    """Whether a value is kept out of training; it does not depend on any seed."""
    return zlib.crc32(f"{kind} {value}".encode()) % HELD_OUT == 0


def english_number(number: int, joined: bool = True) -> str:
    """A number from 0 to 9999 in words; `joined` with "and" before its last part."""
    if number < 20:
        return ENGLISH_SMALL[number]
    if number < 100:
        tens, units = divmod(number, 10)
        return ENGLISH_TENS[tens] + (f"-{ENGLISH_SMALL[units]}" if units else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, size)
    text = f"{english_number(head)} {name}"
    if not rest:
        return text
    link = " and " if joined and rest < 100 else " "
    return text + link + english_number(rest, joined)


def french_number(number: int, feminine: bool = False) -> str:
    """A number from 0 to 9999 in words; `feminine` ends in "une" where the other ends in "un"."""
    if number == 1 and feminine:
        return "une"
    if number < 20:
        return FRENCH_SMALL[number]
    if number < 100:
        return _french_below_hundred(number, feminine)
    size, name = (1000, "mille") if number >= 1000 else (100, "cent")
    head, rest = divmod(number, size)
    text = name if head == 1 else f"{FRENCH_SMALL[head]} {name}"
    if rest:
        return f"{text} {french_number(rest, feminine)}"
    return text + ("s" if size == 100 and head > 1 else "")  # deux cents, but deux mille


def _french_below_hundred(number: int, feminine: bool) -> str:
    """20 to 99: from sixty on, French counts in twenties."""
    if number == 80:
        return "quatre-vingts"
    if number > 80:
        return f"quatre-vingt-{french_number(number - 80, feminine)}"
    tens = min(number // 10, 6)
    rest = number - 10 * tens
    if not rest:
        return FRENCH_TENS[tens]
    link = " et " if rest in (1, 11) else "-"
    return FRENCH_TENS[tens] + link + french_number(rest, feminine)


def _both(number: int) -> tuple[str, str]:
    return english_number(number), french_number(number)


def ordinal(number: int) -> str:
    """1 to 31 as an English ordinal in words."""
    if number in ORDINALS:
        return ORDINALS[number]
    if number < 20:
        return f"{ENGLISH_SMALL[number]}th"
    tens, units = divmod(number, 10)
    if not units:
        return f"{ENGLISH_TENS[tens].removesuffix('y')}ieth"
    return f"{ENGLISH_TENS[tens]}-{ordinal(units)}"


def spoken_time(hour: int, minute: int, with_part: bool) -> Slot:
    """A time as it is spoken.

    Args:
        hour: 0 to 23.
        minute: A multiple of 5.
        with_part: Whether to add the part of the day, which noon and midnight never have.
    """
    to_next = minute > 30
    named = (hour + to_next) % 24
    if named % 12:
        english, french = english_number(named % 12), french_number(named % 12, feminine=True)
        french += " heure" if named % 12 == 1 else " heures"
    else:
        english, french = ("noon", "midi") if named else ("midnight", "minuit")
    if to_next:
        before = 60 - minute
        words = ("a quarter", "le quart") if before == 15 else _both(before)
        english, french = f"{words[0]} to {english}", f"{french} moins {words[1]}"
    elif minute:
        half = "et demie" if named % 12 else "et demi"
        words = {15: ("a quarter", "et quart"), 30: ("half", half)}.get(minute, _both(minute))
        english, french = f"{words[0]} past {english}", f"{french} {words[1]}"
    elif named % 12:
        english += " o'clock"
    if with_part and named % 12:
        part = ("morning", "matin") if named < 12 else ("evening", "soir")
        if 12 < named < 18:
            return Slot(f"{english} in the afternoon", f"{french} de l'après-midi")
        return Slot(f"{english} in the {part[0]}", f"{french} du {part[1]}")
    return Slot(english, french)


@dataclass(frozen=True)
class Maker:
    """Draws values of one half of the data."""

    rng: random.Random
    test: bool

    def draw(self, kind: str, make: Callable[[], int]) -> int:
        """A value of this half."""
        while held_out(kind, value := make()) != self.test:
            pass
        return value

    def integer(self, low: int = 0, high: int = LARGEST) -> int:
        """A number of this half; small ones as often as large ones."""
        while True:
            top = min(high, self.rng.choice((99, 999, LARGEST)))
            number = self.rng.randint(low, top)
            if (number > KNOWN and held_out("number", number)) == self.test:
                return number

    def number(self) -> Slot:
        """A number by itself."""
        number = self.integer()
        return Slot(english_number(number, self.rng.random() < 0.8), french_number(number))

    def counted(self, nouns: tuple[Noun, ...], low: int = 1, high: int = LARGEST) -> Slot:
        """A number of things."""
        noun, number = self.rng.choice(nouns), self.integer(low, high)
        one = number == 1
        return Slot(
            f"{english_number(number)} {noun.english if one else noun.english_plural}",
            f"{french_number(number, noun.feminine)} {noun.french if one else noun.french_plural}",
        )

    def price(self) -> Slot:
        """Euros with or without cents, dollars or pounds, in words or in digits."""
        form = self.rng.random()
        if form < 0.4:
            return self.counted(MONEY)
        whole = self.integer(2, 999)
        cents = self.draw("cents", lambda: self.rng.randint(2, 99))
        if form < 0.6:
            return Slot(
                f"{english_number(whole)} euros and {english_number(cents)} cents",
                f"{french_number(whole)} euros et {french_number(cents)} centimes",
            )
        sign = self.rng.choice("€$£")
        if form < 0.8:
            return Slot(f"{sign}{whole}", f"{whole} {sign}")
        return Slot(f"{sign}{whole}.{cents:02}", f"{whole},{cents:02} {sign}")

    def date(self) -> Slot:
        """A day, with or without the year and the day of the week."""
        rng = self.rng
        day_of_year = self.draw("day", lambda: rng.randint(1, 365))
        year = self.draw("year", lambda: rng.randint(1600, 2099))
        # The day of a year without the 29th of February, so that it is one date in every year.
        day = (datetime.date(2001, 1, 1) + datetime.timedelta(day_of_year - 1)).replace(year=year)
        month = ENGLISH_MONTHS[day.month - 1]
        form = rng.choice(("ordinal", "day first", "month first"))
        english = {
            "ordinal": f"the {ordinal(day.day)} of {month}",
            "day first": f"{day.day} {month}",
            "month first": f"{month} {day.day}",
        }[form]
        french = f"{'1er' if day.day == 1 else day.day} {FRENCH_MONTHS[day.month - 1]}"
        if rng.random() < 0.5:
            english += f"{',' if form == 'month first' else ''} {year}"
            french += f" {year}"
        if rng.random() < 0.4:
            english = f"{ENGLISH_DAYS[day.weekday()]}, {english}"
            french = f"{FRENCH_DAYS[day.weekday()]} {french}"
        return Slot(english, french)

    def time(self) -> Slot:
        """An hour, spoken or in digits."""
        if self.rng.random() < 0.3:
            return self._digital_time()
        # Half a day, as "seven o'clock" may be either; which one is drawn by itself.
        hour, minute = divmod(self.draw("time", lambda: 5 * self.rng.randrange(12 * 12)), 60)
        return spoken_time(hour + self.rng.choice((0, 12)), minute, self.rng.random() < 0.5)

    def _digital_time(self) -> Slot:
        value = self.draw("digital", lambda: self.rng.randrange(24 * 60))
        hour, minute = divmod(value, 60)
        half = "a.m." if hour < 12 else "p.m."
        return Slot(f"{(hour - 1) % 12 + 1}:{minute:02} {half}", f"{hour} h {minute:02}")

    def slot(self, name: str) -> Slot:
        """What stands in a slot of a frame."""
        makers: dict[str, Callable[[], Slot]] = {
            "number": self.number,
            "date": self.date,
            "time": self.time,
            "price": self.price,
            "count": lambda: self.counted(COUNTED, low=2),
            "duration": lambda: self.counted(DURATIONS, high=999),
            "distance": lambda: self.counted(DISTANCES),
            "age": lambda: self.counted(AGES, high=99),
            "event": lambda: self.rng.choice(EVENTS),
            "thing": lambda: self.rng.choice(THINGS),
            "place": lambda: self.rng.choice(PLACES),
            "person": lambda: self.rng.choice(PEOPLE),
        }
        return makers[name.rstrip("2")]()

    def pair(self) -> Pair:
        """A value by itself, or a sentence."""
        alone = self.rng.random() < 0.3
        english, french = self.rng.choice(VALUES if alone else SENTENCES)
        names = [name for _, name, _, _ in Formatter().parse(english) if name]
        slots = {name: self.slot(name) for name in names}
        ending = "e" if any(slot.feminine for slot in slots.values()) else ""
        left = english.format(**{name: slot.english for name, slot in slots.items()})
        right = french.format(e=ending, **{name: slot.french for name, slot in slots.items()})
        if alone:
            return Pair(left, right)
        # A sentence that ends in "p.m." has no second full stop.
        return Pair(left.replace(".m..", ".m."), right[0].upper() + right[1:])


def make_pairs(count: int, seed: int, test: bool = False) -> list[Pair]:
    """Draw pairs.

    Args:
        count: How many.
        seed: Start of the random generator.
        test: Whether to use the held-out values and only these.

    Returns:
        The pairs; held-out ones are all different.
    """
    maker = Maker(random.Random(seed), test)
    if not test:
        return [maker.pair() for _ in range(count)]
    pairs: dict[str, Pair] = {}
    while len(pairs) < count:
        pair = maker.pair()
        pairs[pair.english] = pair
    return list(pairs.values())
