"""Short generated passages of facts, with a question and its answer each.

A passage tells several facts about one person, company or thing, some of them with values of the
same sort (two places, two names), and now and then one about something else. So an answer is found
by what the question asks for, in whatever words. The test passages use other wordings of every
fact and question, other names and other words; only numbers come from the same range.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from name_data import TEST_NAMES, TRAIN_NAMES, Names, made_up_name, made_up_word, pick, words
from question_wordings import RELATIONS, Relation


@dataclass(frozen=True)
class Example:
    """A question, the passage that answers it, and where the answer stands in the passage."""

    question: str
    context: str
    start: int  # first character of the answer
    end: int  # the character after its last

    @property
    def answer(self) -> str:
        """The answer as it stands in the passage."""
        return self.context[self.start : self.end]


@dataclass(frozen=True)
class Fact:
    """One thing that a passage tells."""

    relation: Relation
    subject: str
    value: str


@dataclass(frozen=True)
class Split:
    """The material one half of the data is made from."""

    half: int  # which half of each pair of wordings
    names: Names
    jobs: tuple[str, ...]
    languages: tuple[str, ...]
    things: tuple[str, ...]
    spots: tuple[str, ...]
    colours: tuple[str, ...]
    asides: tuple[str, ...]  # sentences that answer nothing
    openings: tuple[str, ...]  # before a question


TRAIN = Split(
    half=0,
    names=TRAIN_NAMES,
    jobs=words(
        "teacher, doctor, baker, nurse, driver, painter, lawyer, farmer, singer, cook, pilot,"
        "engineer, waiter, dentist, writer, carpenter, bus driver, police officer, architect"
    ),
    languages=words(
        "English, French, German, Spanish, Italian, Polish, Dutch, Arabic, Turkish, Hindi,"
        "Chinese, Swedish, Russian, Greek, Irish"
    ),
    things=words(
        "key, book, lamp, phone, bicycle, clock, chair, table, camera, guitar, umbrella, knife,"
        "mirror, car, boat, old map, blue cup, letter, ring, carpet, radio, tent"
    ),
    spots=words(
        "drawer, kitchen, garden, garage, cellar, bathroom, box, hall, office, bag, cupboard,"
        "attic, bedroom, barn, living room, top drawer"
    ),
    colours=words("red, blue, green, black, white, yellow, brown, dark blue, light green"),
    asides=(
        "It rained all day",
        "The weather was nice",
        "Nobody said a word",
        "They often meet at the market",
        "We met them last week",
        "Some of them like music",
        "It was a long day",
        "Nothing else is known",
    ),
    openings=("", "", "", "Tell me, ", "Please, ", "And "),
)
TEST = Split(
    half=1,
    names=TEST_NAMES,
    jobs=words(
        "plumber, butcher, gardener, judge, librarian, tailor, surgeon, train driver,"
        "photographer, fisherman, actor, electrician"
    ),
    languages=words("Danish, Finnish, Korean, Portuguese, Japanese, Welsh, Czech, Norwegian"),
    things=words(
        "violin, hammer, suitcase, kettle, ladder, scarf, wallet, sofa, old coin, piano,"
        "laptop, basket, broom, sledge"
    ),
    spots=words(
        "shed, pantry, library, basement, wardrobe, guest room, workshop, stable, bottom box"
    ),
    colours=words("purple, orange, grey, pink, light blue, dark green"),
    asides=(
        "The day was long and nice",
        "They like the market",
        "Nobody knows what the weather was like",
        "We often met last week",
    ),
    openings=("", "", "", "Please tell me, "),
)


class _Writer:
    def __init__(self, split: Split, rng: random.Random) -> None:
        self.split = split
        self.rng = rng
        self.taken: set[str] = set()  # words of the names and values of this passage
        self.makers: dict[str, Callable[[], str]] = {
            "person": self.person,
            "place": lambda: pick(rng, split.names.places, split.names.made_up),
            "name": lambda: made_up_name(rng),
            "company": self.company,
            "language": lambda: pick(rng, split.languages, split.names.made_up),
            "job": lambda: self.noun(split.jobs),
            "thing": lambda: self.noun(split.things),
            "spot": lambda: self.noun(split.spots),
            "colour": lambda: rng.choice(split.colours),
            "small": lambda: self.number(18, 99),
            "large": lambda: self.number(100, 9999),
            "year": lambda: self.number(1850, 2024),
            "price": self.price,
        }

    def noun(self, known: tuple[str, ...]) -> str:
        if self.rng.random() < self.split.names.made_up:
            return made_up_word(self.rng)
        return self.rng.choice(known)

    def person(self) -> str:
        names = self.split.names
        first = pick(self.rng, names.first, names.made_up)
        if self.rng.random() < 0.6:
            return first
        return f"{first} {pick(self.rng, names.last, names.made_up)}"

    def company(self) -> str:
        name = made_up_name(self.rng)
        if self.rng.random() < 0.5:
            return name
        return f"{name} {self.rng.choice(('Bank', 'Ltd', 'Motors', 'Foods', 'Books', 'Air'))}"

    def number(self, low: int, high: int) -> str:
        return str(self.rng.randint(low, high))

    def price(self) -> str:
        unit = self.rng.choice(("euros", "dollars", "pounds"))
        return f"{self.number(4, 900)} {unit}"

    def fresh(self, sort: str) -> str:
        """A name or value that shares no word with the others of the passage but its unit."""
        while True:
            text = self.makers[sort]()
            # A number's unit and a company's kind may repeat, what comes first may not.
            parts = {text} if sort in ("price", "company") else set(text.split())
            if not parts & self.taken:
                self.taken |= parts
                return text

    def facts(self) -> list[Fact]:
        rng = self.rng
        kind = rng.choice(("person", "person", "company", "thing"))
        sorts = [relation for relation in RELATIONS if relation.subject == kind]
        told = rng.sample(sorts, min(len(sorts), rng.randint(3, 5)))
        subject = self.fresh(kind)
        facts = [Fact(relation, subject, self.fresh(relation.value)) for relation in told]
        if rng.random() < 0.3:
            other = rng.choice([relation for relation in RELATIONS if relation not in sorts])
            facts.append(Fact(other, self.fresh(other.subject), self.fresh(other.value)))
        return facts

    def example(self) -> Example:
        """Write one passage and ask for one of its facts."""
        self.taken = set()
        half, rng = self.split.half, self.rng
        facts = self.facts()
        asked = rng.choice(facts)
        context = ""
        start = end = 0
        for fact in facts:
            if rng.random() < 0.15:
                context += rng.choice(self.split.asides) + ". "
            sentence, value = _tell(fact, rng.choice(fact.relation.statements[half]))
            if fact is asked:
                start, end = (len(context) + place for place in value)
            context += sentence + ". "
        wording = rng.choice(asked.relation.questions[half])
        question = rng.choice(self.split.openings) + _fill(asked, wording)
        return Example(_capital(question), context.strip(), start, end)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _fill(fact: Fact, pattern: str) -> str:
    if fact.value[0] in "aeiou":
        pattern = pattern.replace(" a {v}", " an {v}")
    return pattern.replace("{s}", fact.subject).replace("{v}", fact.value)


def _tell(fact: Fact, pattern: str) -> tuple[str, tuple[int, int]]:
    """A sentence, and where its value stands."""
    before = _fill(fact, pattern.split("{v}")[0])
    text = _fill(fact, pattern)
    # "a" may have become "an", which only the whole pattern knows.
    start = text.index(fact.value, len(before))
    return _capital(text), (start, start + len(fact.value))


def make_questions(split: Split, count: int, seed: int) -> list[Example]:
    """Write `count` examples."""
    writer = _Writer(split, random.Random(seed))
    return [writer.example() for _ in range(count)]
