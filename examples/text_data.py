"""Short generated reviews with a label each: negative, neutral or positive.

A review is a frame filled with clauses, a clause is a pattern filled with a noun, an aspect and
an adjective. The test reviews use other frames and other nouns than the training reviews. Most
patterns serve every label, so that the label follows from the words and how they are joined
(negation, "but", a final verdict), not from the pattern.
"""

import random
import re
from dataclasses import dataclass

LABELS = ("negative", "neutral", "positive")
NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


TRAIN_NOUNS = _words(
    "phone, laptop, camera, kettle, toaster, vacuum, keyboard, mouse, monitor, tablet, speaker,"
    "blender, chair, desk, lamp, jacket, backpack, watch, bike, printer, film, movie, series,"
    "thriller, comedy, drama, documentary, sequel, cartoon, show, hotel, hostel, resort, motel,"
    "apartment, cabin, inn, suite, restaurant, cafe, bar, product, device, book, game, album"
)
TEST_NOUNS = _words(
    "headset, fridge, mixer, router, tent, sofa, drill, stroller, western, musical, biography,"
    "prequel, guesthouse, villa, campsite, bistro, bakery, podcast"
)
ASPECTS = _words(
    "battery, screen, sound, picture, price, design, quality, service, staff, room, bed, food,"
    "breakfast, view, location, plot, story, acting, ending, music, dialogue, cast, delivery,"
    "packaging, manual, software, shower, pool, lobby, smell, taste, handle, setup, support"
)
GOOD = _words(
    "good, great, excellent, wonderful, fantastic, amazing, perfect, brilliant, lovely, beautiful,"
    "superb, impressive, reliable, comfortable, charming, delightful, pleasant, outstanding, solid,"
    "fun, clean, friendly, clever, enjoyable, nice, helpful, awesome, incredible"
)
BAD = _words(
    "bad, terrible, awful, horrible, poor, useless, disappointing, annoying, ugly, rude, dull,"
    "boring, ridiculous, unpleasant, dreadful, faulty, painful, overpriced, flimsy, slow, dirty,"
    "noisy, broken, weak, stupid, confusing, disgusting, unreliable"
)
PLAIN = _words(
    "average, ordinary, okay, standard, normal, typical, acceptable, usual, adequate,"
    "unremarkable, as expected, nothing special, so so, fine but nothing more, like any other"
)
ADVERBS = _words("very, really, so, truly, quite, absolutely, pretty, extremely, simply, rather")

# {subject} is a noun or an aspect; the adjective's side is the clause's side.
DIRECT = (
    "{subject} was {adv} {adj}",
    "{subject} is {adv} {adj}",
    "{subject} turned out to be {adv} {adj}",
    "i found {subject} {adv} {adj}",
    "we thought {subject} was {adv} {adj}",
    "{subject} seemed {adv} {adj}",
    "{subject} and the {aspect} were {adv} {adj}",
    "{subject} is always {adj}",
)
# Here the clause takes the other side from its adjective.
NEGATED = (
    "{subject} was not {adj}",
    "{subject} is not {adj} at all",
    "{subject} was never {adj}",
    "{subject} wasn't {adj}",
    "{subject} isn't {adv} {adj}",
    "{subject} was far from {adj}",
    "{subject} was anything but {adj}",
    "nothing about {subject} was {adj}",
    "i did not find {subject} {adj}",
    "i don't think {subject} is {adj}",
    "nobody would call {subject} {adj}",
    "{subject} is hardly {adj}",
)
BETWEEN = (
    "{subject} was neither {good} nor {bad}",
    "{subject} is neither {bad} nor {good}",
    "{subject} was partly {good} and partly {bad}",
    "{subject} was sometimes {good}, sometimes {bad}",
)
FACTS = (
    "i bought the {noun} last week",
    "it arrived on monday",
    "we stayed for two nights",
    "i saw the {noun} with my family",
    "my brother has the same {noun}",
    "the {noun} comes in three colours",
    "i got it for my birthday",
    "there is a second {noun} next door",
    "we went there in june",
    "the {aspect} is mentioned on the box",
)
VERDICTS = {
    POSITIVE: (
        "i would buy it again",
        "i recommend it to everyone",
        "highly recommended",
        "worth every cent",
        "i love it",
        "we will come back",
        "i am very happy with it",
        "i had a good time",
        "best {noun} i have ever had",
        "you will not regret it",
        "you should try it",
        "i can't complain",
    ),
    NEGATIVE: (
        "i would not buy it again",
        "i can't recommend it to anyone",
        "not recommended",
        "not worth the money",
        "i hate it",
        "we will never come back",
        "i am very unhappy with it",
        "i had a bad time",
        "worst {noun} i have ever had",
        "you will regret it",
        "you should avoid it",
        "a complete waste of money",
        "i want my money back",
        "i sent it back",
    ),
    NEUTRAL: (
        "it does what it says",
        "i have no strong opinion",
        "no more, no less",
        "it is what it is",
        "nothing to add",
        "not much to say about it",
        "i may or may not come back",
        "some will love it, some will hate it",
    ),
}

# Training only: many ways to open a review and to join its parts.
INTROS = (
    "overall",
    "honestly,",
    "in my opinion",
    "as always",
    "for the money",
    "after a week",
    "to be fair,",
    "to my surprise",
    "this time",
    "at home",
)
JOINERS = (", and", ". also", ";", ":", " -", ". and", ", so", " because", ". on top of that,", ",")

# {c} and {d}: clauses of the review's side; {v}: its verdict; {adj}: an adjective of its side.
# {o} and {oadj}: the opposite side, so these frames are not used for neutral reviews.
TRAIN_FRAMES = (
    "{c}",
    "{c} and {d}",
    "{c}. {d}",
    "{c}, {v}",
    "{c} and {v}",
    "{v}",
    "{v}. {c}",
    "{fact} and {c}",
    "{fact}. {c}",
    "{fact}. {c}. {v}",
    "{c}. {fact}",
    "overall {c}",
    "honestly, {c}",
    "after a month of use {c}, and {d}",
    "{c}. {d}. {v}",
    "{c} because {d}",
    "what a {noun}: {c}",
    "first of all, {c}. also, {d}",
    "it is a {adv} {adj} {noun}",
    "this {noun} has a {adv} {adj} {aspect}",
    "{adj} {noun}, {adj2} {aspect}",
    "{adj} {aspect}",
    "{intro} {c}",
    "{intro} {c} {join} {d}",
    "{intro} {c}, {v}",
    "{c} {join} {d}",
    "{c} {join} {v}",
    "{v} {join} {c}",
    "{fact} {join} {c}",
    "{fact}. {intro} {c} {join} {d}",
    "a {adj} {noun}",
    "such a {adj} {noun} with {adj2} {aspect}",
    "a {noun} with a {adj} {aspect} {join} {c}",
    "a {adj} {noun} with a {adv} {adj2} {aspect}",
    "this {noun} is {adj}, with a {adv} {adj2} {aspect}",
    "{intro} it has a {adv} {adj} {aspect}, {v}",
    "they said {o}. not true: {c}",
    "my sister said {o}, but {d}",
    "my brother thought that {o}, but he was wrong: {c}",
    "although {o}, {c}",
    "despite what everyone said, {c}",
    "the {aspect} was {oadj} at first, but {v}",
    "everyone said {o}, but {c}",
    "i expected something {oadj}, but {c}",
    "although {o}, in the end {v}",
    "{o}, but overall {v}",
    "{o} at first, but now {c}",
    "despite the {oadj} {aspect}, {v}",
    "people told me that {o}. they were wrong: {c}",
)
TEST_FRAMES = (
    "to be honest {c}, and {v}",
    "{fact}, and overall {c}",
    "{v}: {c} and {d}",
    "after two nights {c}. {d}",
    "in the end {c}, and also {d}",
    "{c}, so {v}",
    "{adj} {noun} with a {adv} {adj2} {aspect}",
    "what a {adv} {adj} {noun}",
    "{fact}. it has a {adj} {aspect} and {c}",
    "my family said {o}, but they were wrong: {c}",
    "i thought that {o}, but in the end {v}",
    "although the {aspect} was {oadj} at first, {v}",
    "despite what people told me, {c}",
)
# Praise and blame of equal weight make a neutral review: {p} and {n} are clauses.
TRAIN_MIXED = (
    "{p}, but {n}",
    "{n}, but {p}",
    "{p}. however, {n}",
    "{n}. on the other hand, {p}",
    "{p} while {n}",
    "the {aspect} was {good}, the {aspect2} {bad}",
    "{good} {aspect}, {bad} {aspect2}",
    "{fact}. {p}, but {n}",
    "{fact}. {n} while {p}",
    "{intro} {p}, but {n}",
    "{n}, {p}",
    "{bad} {aspect} but {good} {aspect2}",
    "{bad} {aspect} and {good} {aspect2}",
    "the {aspect} was {bad}, the {aspect2} {good}",
    "a {good} {noun} with a {bad} {aspect}",
    "a {bad} {noun} with a {good} {aspect}",
    "{aspect}: {bad}, {aspect2}: {good}",
)
TEST_MIXED = (
    "{n}. however, {p}",
    "{fact}. {n}, but {p}",
    "{p}. on the other hand, {n}",
    "{bad} {aspect}, {good} {aspect2}",
    "honestly, {n} while {p}",
)


@dataclass(frozen=True)
class Split:
    """The material one half of the data is made from."""

    nouns: tuple[str, ...]
    frames: tuple[str, ...]
    mixed: tuple[str, ...]
    made_up_nouns: float  # share of nouns made of random pieces, so that new nouns do no harm


TRAIN = Split(TRAIN_NOUNS, TRAIN_FRAMES, TRAIN_MIXED, 0.5)
TEST = Split(TEST_NOUNS, TEST_FRAMES, TEST_MIXED, 0.0)

_PIECES = (
    *_words(
        "ba, ber, co, dri, el, fra, gu, ho, ing, ka, lo, mer, no, pi, ra, ster, tu, vo, bio, wes"
    ),
    *(noun[:cut] for noun in TRAIN_NOUNS for cut in (2, 3)),
    *(noun[-cut:] for noun in TRAIN_NOUNS for cut in (2, 3, 4)),
)


class _Writer:
    def __init__(self, split: Split, rng: random.Random) -> None:
        self.split = split
        self.rng = rng

    def noun(self) -> str:
        if self.rng.random() < self.split.made_up_nouns:
            return "".join(self.rng.choices(_PIECES, k=self.rng.randint(1, 4)))
        return self.rng.choice(self.split.nouns)

    def adjective(self, side: int) -> str:
        return self.rng.choice((BAD, PLAIN, GOOD)[side])

    def subject(self) -> str:
        kind = self.rng.random()
        if kind < 0.4:
            return f"the {self.noun()}"
        if kind < 0.85:
            return f"the {self.rng.choice(ASPECTS)}"
        if kind < 0.95:
            return f"the {self.rng.choice(ASPECTS)} of the {self.noun()}"
        return "it"

    def fill(self, pattern: str, **more: str) -> str:
        aspects = self.rng.sample(ASPECTS, 2)
        adverb = self.rng.choice(ADVERBS) if self.rng.random() < 0.5 else ""
        text = pattern.format(
            subject=self.subject(),
            noun=self.noun(),
            aspect=aspects[0],
            aspect2=aspects[1],
            adv=adverb,
            good=self.adjective(POSITIVE),
            bad=self.adjective(NEGATIVE),
            intro=self.rng.choice(INTROS),
            join=self.rng.choice(JOINERS),
            **more,
        )
        text = re.sub(r"\s+([,.;:])", r"\1", " ".join(text.split()))
        return re.sub(r"\ba (?=[aeiou])", "an ", text)

    def clause(self, side: int) -> str:
        kind = self.rng.random()
        if side == NEUTRAL:
            pattern = self.rng.choice(BETWEEN if kind < 0.25 else DIRECT)
            return self.fill(pattern, adj=self.adjective(NEUTRAL))
        if kind < 0.4:
            return self.fill(self.rng.choice(NEGATED), adj=self.adjective(POSITIVE - side))
        return self.fill(self.rng.choice(DIRECT), adj=self.adjective(side))

    def plain_review(self, side: int) -> str:
        frames = self.split.frames
        if side == NEUTRAL:
            frames = tuple(frame for frame in frames if "{o" not in frame)
        other = POSITIVE - side
        return self.fill(
            self.rng.choice(frames),
            c=self.clause(side),
            d=self.clause(side),
            v=self.fill(self.rng.choice(VERDICTS[side])),
            adj=self.adjective(side),
            adj2=self.adjective(side),
            o=self.clause(other),
            oadj=self.adjective(other),
            fact=self.fill(self.rng.choice(FACTS)),
        )

    def mixed_review(self) -> str:
        return self.fill(
            self.rng.choice(self.split.mixed),
            p=self.clause(POSITIVE),
            n=self.clause(NEGATIVE),
            fact=self.fill(self.rng.choice(FACTS)),
        )

    def review(self, side: int) -> str:
        if side == NEUTRAL:
            kind = self.rng.random()
            if kind < 0.5:
                return self.mixed_review()
            if kind < 0.6:
                return self.fill(self.rng.choice(FACTS))
        return self.plain_review(side)


def make_reviews(split: Split, count: int, seed: int) -> list[tuple[str, int]]:
    """Write `count` distinct reviews; the labels are equally frequent.

    Returns:
        Pairs of a review and the index of its label in `LABELS`.
    """
    writer = _Writer(split, random.Random(seed))
    reviews: dict[str, int] = {}
    while len(reviews) < count:
        side = len(reviews) % len(LABELS)
        text = writer.review(side)
        end = writer.rng.choice((".", ".", "!", ""))
        reviews.setdefault(text[0].upper() + text[1:] + end, side)
    return list(reviews.items())
