"""Generated sentences in which people, places, organisations and dates are marked.

A sentence is a clause, often with a time, filled with names. The test sentences use other clauses
and other names than the training sentences; only dates are made in the same way.
"""

import random
import re
from dataclasses import dataclass

from name_data import (
    MONTHS,
    TEST_NAMES,
    TRAIN_NAMES,
    Names,
    made_up_name,
    made_up_word,
    pick,
    words,
)

KINDS = ("PER", "LOC", "ORG", "DATE")
LABELS = ("O", *(f"{part}-{kind}" for kind in KINDS for part in "BI"))

WEEKDAYS = words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")

# {p} a person, {l} a place, {o} an organisation, {d} a day, {m} a month or a year.
TRAIN_CLAUSES = (
    "{p} lives in {l}",
    "{p} and {p} live in {l}",
    "{p} moved from {l} to {l}",
    "{p} works for {o}",
    "{p} has worked for {o} since {m}",
    "{p} works at {o} in {l}",
    "{p} joined {o} {on}",
    "{p} left {o} {on}",
    "{p} was born in {l} {on}",
    "{p} was born on {d}",
    "{p}, born in {m}, is a teacher",
    "{p} is the head of {o}",
    "{p}, the head of {o}, spoke in {l}",
    "{p} met {p} in {l}",
    "{p} wrote a long letter to {p}",
    "{p} called {p} {on}",
    "{p} told us about {l}",
    "{p} said that {o} would grow",
    "{p} said nothing",
    "{p} is a friend of {p}",
    "{p} sold the house to {p}",
    "{p} bought a boat in {l}",
    "{p} flew to {l} {on}",
    "{p}'s brother lives near {l}",
    "{p}'s letter arrived {on}",
    "the mother of {p} comes from {l}",
    "my friend {p} loves {l}",
    "our teacher, {p}, was ill {on}",
    "a book by {p} was shown in {l}",
    "the house of {p} is old",
    "the shop in {l} belongs to {p}",
    "the new bridge in {l} is {n} metres long",
    "{p} read a book about {l}",
    "{o} sells cars in {l}",
    "{o} has {n} workers",
    "{o} will move to {l} {on}",
    "{o} plans a new bridge in {l}",
    "{p} was the first head of {o}",
    "{p} lost {n} dollars",
    "we saw {p}, {p} and {p} at the market",
    "we visited {l}, {l} and {l}",
    "we met {p} at the station of {l}",
    "we live in {l} now",
    "we travelled through {l}",
    "we went to {l} {on}",
    "I asked {p} for help",
    "I sent the keys to {p} in {l}",
    "I have been to {l} twice",
    "I work for {o}",
    "did {p} like {l}",
    "do you know {p}",
    "have you ever been to {l}",
    "where did {p} go {on}",
    "{o} is based in {l}",
    "{o} has an office in {l}",
    "{o} was founded by {p} in {m}",
    "{o} was founded in {l} in {m}",
    "{o} bought {o} {on}",
    "{o} and {o} signed a contract {on}",
    "{o} hired {p} {on}",
    "{o} pays its workers in {l} well",
    "{o} opened a new shop in {l} {on}",
    "{o} makes bicycles",
    "{o}'s profit fell {on}",
    "a spokesman of {o} said so {on}",
    "the office of {o} is closed until {d}",
    "the workers of {o} went on strike in {l}",
    "shares of {o} rose {on}",
    "the bus to {l} leaves on {d}",
    "the road from {l} to {l} is closed until {d}",
    "the weather in {l} was bad {on}",
    "the people of {l} voted {on}",
    "the museum in {l} opens on {d}",
    "the price fell {on}",
    "the meeting is on {d}",
    "the meeting with {p} is on {d} in {l}",
    "the contract ends on {d}",
    "our contract with {o} ends on {d}",
    "the letter is from {d}",
    "the school was built in {m}",
    "it rained in {l} from {d} to {d}",
    "it was cold in {m}",
    "nothing happened before {d}",
    "{on} {p} came home",
    "{on}, {p} moved to {l}",
    "{on} {o} closed its office in {l}",
    "{on} we were in {l}",
    "in {l}, {p} works as a doctor",
    "in {l} it was warm {on}",
    "from {l} we drove to {l}",
    "at {o}, {p} is known to everyone",
    "they named {p} the winner",
    "they elected {p} {on}",
    "she studied at {o} in {l}",
    "he was a member of {o} until {m}",
    "he met {p} at {o}",
    "both {p} and {p} work for {o}",
    "thank you, {p}",
    "dear {p}, we will meet on {d}",
    "{p} ({l}) won the race",
    "{p}: a life in {l}",
)
TEST_CLAUSES = (
    "{p} has lived in {l} since {m}",
    "{p} travelled from {l} to {l} {on}",
    "{p} now works for {o} in {l}",
    "{p} and {p} joined {o} {on}",
    "{p} wrote a book about {l}",
    "{p}, a doctor from {l}, met {p} {on}",
    "{p}'s mother works at {o}",
    "my old friend {p} went to {l}",
    "we asked {p} and {p} for help",
    "I met {p} in {l} {on}",
    "have you told {p}",
    "{o} was bought by {o} in {m}",
    "{o} has a new office near {l}",
    "{o}, founded in {m}, hired {p}",
    "{o} will open a museum in {l} on {d}",
    "the head of {o} is {p}",
    "the station of {l} was closed {on}",
    "the contract with {o} was signed by {p}",
    "the house in {l} was sold to {p} on {d}",
    "the letter to {p} arrived {on}",
    "{on} {p} flew from {l} to {l}",
    "{on}, {o} hired {p}",
    "in {l} we saw {p}",
    "she has been a member of {o} since {m}",
    "they moved to {l} {on}",
    "both {o} and {o} have shops in {l}",
    "dear {p}, thank you for the letter of {d}",
)
TRAIN_PLAIN = (
    "the weather was nice",
    "nobody knew the answer",
    "the meeting was long and the coffee was cold",
    "we bought {n} chairs and a table",
    "please close the door",
    "she speaks English and French",
    "he paid {n} dollars for the old car",
    "I don't know what to say",
    "the new teacher is friendly",
    "who wants some tea",
    "they won the game by {n} points",
    "the train was {n} minutes late",
    "it isn't far from here",
    "my sister's dog is ill",
    "the book has {n} pages",
    "a man and a woman waited at the station",
    "there were {n} people in the room",
    "what a beautiful garden",
    "the workers went home early",
    "the doctor came {n} times",
    "old houses need a lot of work",
)
TEST_PLAIN = (
    "the coffee was nice and the room was warm",
    "nobody bought the old table",
    "my teacher speaks English",
    "he waited {n} minutes at the door",
    "we don't need {n} chairs",
    "who knows the answer",
    "the garden has {n} old trees",
    "she wants a new car",
)
TRAIN_OPENINGS = ("", "", "", "", "But ", "Yesterday ", "However, ", "Later ", "Today ", "And ")
TEST_OPENINGS = ("", "", "", "Yesterday ", "Then ", "Later ")
ENDS = (".", ".", ".", "!", "")


@dataclass(frozen=True)
class Entity:
    """A marked part of a sentence."""

    kind: str  # one of KINDS
    start: int  # first character
    end: int  # the character after the last


@dataclass(frozen=True)
class Sentence:
    """A sentence with its entities, in order."""

    text: str
    entities: tuple[Entity, ...]


@dataclass(frozen=True)
class Split:
    """The material one half of the data is made from."""

    names: Names
    clauses: tuple[str, ...]
    plain: tuple[str, ...]
    openings: tuple[str, ...]
    endings: tuple[str, ...]  # of organisations
    of: tuple[str, ...]  # organisations called "... of" a place
    strange: float  # share of small words made up, so that new words do no harm


TRAIN = Split(
    TRAIN_NAMES,
    TRAIN_CLAUSES,
    TRAIN_PLAIN,
    TRAIN_OPENINGS,
    words(
        "Bank, Ltd, Inc, Motors, Foods, Group, Airlines, Press, Energy, Software, Records, Steel"
    ),
    words("University of, Bank of, Museum of, College of"),
    0.1,
)
TEST = Split(
    TEST_NAMES,
    TEST_CLAUSES,
    TEST_PLAIN,
    TEST_OPENINGS,
    words("Bank, Ltd, Inc, Group, Press, Records, Steel"),
    words("University of, Bank of, College of"),
    0.0,
)


class _Writer:
    def __init__(self, split: Split, rng: random.Random) -> None:
        self.split = split
        self.rng = rng

    def person(self) -> str:
        names, rng = self.split.names, self.rng
        first = pick(rng, names.first, names.made_up)
        last = pick(rng, names.last, names.made_up)
        return rng.choice((first, f"{first} {last}", f"{first} {last}", f"{first[0]}. {last}"))

    def place(self) -> str:
        name = pick(self.rng, self.split.names.places, self.split.names.made_up)
        kind = self.rng.random()
        if kind < 0.05:
            return f"{self.rng.choice(('New', 'North', 'South', 'San', 'Lake', 'Mount'))} {name}"
        return name

    def organisation(self) -> str:
        rng, names = self.rng, self.split.names
        kind = rng.random()
        if kind < 0.2:
            return f"{rng.choice(self.split.of)} {self.place()}"
        if kind < 0.35:
            last = pick(rng, names.last, names.made_up)
            return f"{last} & {pick(rng, names.last, names.made_up)}"
        if kind < 0.45:
            return "".join(rng.choices("ABCDEFGHIKLMNOPRSTUVWXYZ", k=rng.randint(2, 4)))
        return f"{made_up_name(rng)} {rng.choice(self.split.endings)}"

    def year(self) -> str:
        return str(self.rng.randint(1900, 2030))

    def day(self) -> str:
        rng = self.rng
        number, month = rng.randint(2, 28), rng.choice(MONTHS)
        return rng.choice(
            (
                f"{number} {month} {self.year()}",
                f"{number} {month}",
                f"{month} {number}, {self.year()}",
                f"{month} {number}",
                f"{number}/{rng.randint(2, 10)}/{self.year()}",
                f"{self.year()}-{rng.randint(10, 12)}-{number:02}",
                rng.choice(WEEKDAYS),
                f"{rng.choice(WEEKDAYS)}, {number} {month}",
            )
        )

    def month(self) -> str:
        name = self.rng.choice(MONTHS)
        return self.rng.choice((self.year(), f"{name} {self.year()}", name))

    def time(self) -> str:
        """A time with its preposition, as a pattern; often none."""
        return self.rng.choice(("", "", "on {d}", "in {m}"))

    def value(self, mark: str) -> tuple[str, str | None]:
        """A text for a mark of a pattern, and its kind."""
        match mark:
            case "p":
                return self.person(), "PER"
            case "l":
                return self.place(), "LOC"
            case "o":
                return self.organisation(), "ORG"
            case "d":
                return self.day(), "DATE"
            case "m":
                return self.month(), "DATE"
            case _:
                return str(self.rng.randint(2, 900)), None

    def maybe_strange(self, word: re.Match[str]) -> str:
        """The word, or a made-up one in its place."""
        return made_up_word(self.rng) if self.rng.random() < self.split.strange else word[0]

    def sentence(self) -> Sentence:
        """Write one sentence; about one in eight has no entity."""
        rng = self.rng
        pattern = rng.choice(self.split.plain if rng.random() < 0.13 else self.split.clauses)
        starts_with_time = pattern.startswith("{on}")
        time = rng.choice(("on {d}", "in {m}")) if starts_with_time else self.time()
        pattern = pattern.replace("{on}", time).strip()
        if re.match(r"(did|do|have|where|who) ", pattern):
            pattern += "?"
        else:
            opening = "" if starts_with_time else rng.choice(self.split.openings)
            pattern = opening + pattern + rng.choice(ENDS)
        pattern = pattern[0].upper() + pattern[1:]
        text, entities = "", []
        for part in re.split(r"(\{\w\})", pattern):
            if not part.startswith("{"):
                text += re.sub(r"\b[a-z]{3,}\b", self.maybe_strange, part)
                continue
            value, kind = self.value(part[1])
            if kind is not None:
                entities.append(Entity(kind, len(text), len(text) + len(value)))
            text += value
        return Sentence(text, tuple(entities))


def make_sentences(split: Split, count: int, seed: int) -> list[Sentence]:
    """Write `count` distinct sentences."""
    writer = _Writer(split, random.Random(seed))
    sentences: dict[str, Sentence] = {}
    while len(sentences) < count:
        sentence = writer.sentence()
        sentences.setdefault(sentence.text, sentence)
    return list(sentences.values())
