"""Short generated stories of something lost and found, plain or asked for in a chat.

The first sentence names a hero, where they live and a thing of theirs. The thing is lost, looked
for and found by the hero, while a friend and other things come up on the way: so a continuation is
right or wrong, and `mistakes` tells. No training story has both the name and the thing of a
held-out story.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path

from name_data import made_up_name, words

GIRLS = words(
    "Mira, Anna, Clara, Lucy, Nora, Eva, Hannah, Rosa, Ingrid, Priya, Zoe, Alice, Maya, Lena,"
    "Greta, Irene, Naomi, Leila, Tilda, Paula, Olga, Ruby, Wanda, Yara, Freya, Selma, Vera, Cora"
)
BOYS = words(
    "Tom, Peter, Oscar, Simon, Victor, Carlos, Ahmed, Kofi, Ben, Max, Liam, Noah, Hugo, Felix,"
    "Samuel, Tobias, Rafael, Emil, Jonas, Anton, Bruno, Karim, Leo, Milo, Otto, Ravi, Theo, Ivan"
)
NAMES = GIRLS + BOYS
PLACES = words(
    "Brackenford, Eastmoor, Fernhill, Greywater, Hollowby, Kingsmere, Larkwood, Millbrook,"
    "Northhaven, Oakenshaw, Pebble Bay, Redcliff, Saltmarsh, Stonegate, Thornfield, Westport,"
    "Applecross, Birchley, Coldstream, Duskvale, Elmswick, Foxton, Gullhaven, Windridge"
)
THINGS = words(
    "lantern, key, kite, compass, violin, umbrella, ring, map, whistle, clock, drum, scarf, boat,"
    "mirror, candle, feather, basket, button, coin, flute, hammer, kettle, ladder, mask, notebook,"
    "paintbrush, ribbon, saddle, spoon, telescope, trumpet, wallet, bell, cup, doll, hat, necklace,"
    "puzzle, rope, shell"
)
ADJECTIVES = words("old, small, blue, red, green, silver, wooden, painted, tiny, golden")
OTHERS = words("shoe, bucket, newspaper, stone, sock, broom, plate, pencil, glove, bottle")
SPOTS = words(
    "under the bridge, behind the mill, on the roof, in the barn, under the bed, behind the stove,"
    "by the well, behind the church, on a bench, under the stairs, behind a wall, by the gate,"
    "under a tree, in the stable, on the beach, by the harbour"
)
WRONG_SPOTS = words(
    "in the attic, by the river, in the garden, at the market, in the school, in the cellar,"
    "in the forest, in the bakery, in the library, at the station"
)
USUAL = 0.6  # how often a choice follows from the name, place or thing: greedy stories differ too
HOLD_OUT = 10  # one in so many pairs of a name and a thing
SAMPLE_SEED = 2000

OPENINGS = (
    "{name} lived in {place} and had {a_thing}.",
    "In {place} there lived a {child} called {name}, who had {a_thing}.",
    "{name} from {place} owned {a_thing} and was proud of it.",
    "Every day {name} walked through {place} with {a_thing}.",
    "A {child} called {name} came to {place} with {a_thing}.",
    "When {name} moved to {place}, {he} brought {a_thing}.",
)
LOSSES = (
    "One {weather} {time} {he} could not find the {thing} anywhere.",
    "On a {weather} {time} the {thing} was gone.",
    "But one {weather} {time} {name} lost the {thing}.",
    "One {time} {he} came home without the {thing}.",
)
FRIENDS = (
    "{name} asked {friend}, but {friend} had not seen it.",
    "{He} told {friend}, who came to help {him}.",
    "{friend} saw that {name} was sad and began to search too.",
    "{friend} offered {him} something new, but {name} wanted the {thing}.",
)
SEARCHES = (
    "{He} looked {wrong_spot}, but there was only {a_other}.",
    "{name} searched {wrong_spot} and found {a_other}, but not the {thing}.",
    "First {he} went to look {wrong_spot}, where {he} saw {a_other}.",
    "{name} thought that it was {wrong_spot}, but that was wrong.",
)
FINDS = (
    "At last {name} found the {thing} {spot}.",
    "The next day {name} found the {thing} {spot}.",
    "After a long search {name} found the {thing} {spot}.",
    "Then {he} had an idea, and {name} found the {thing} {spot}.",
)
FINDS_TOGETHER = ("With the help of {friend}, {name} found the {thing} {spot}.", *FINDS)
ENDINGS = (
    "{name} carried the {thing} home and never lost it again.",
    "{name} was so happy that {he} showed the {thing} to everyone in {place}.",
    "From that day on {name} took good care of the {thing}.",
    "Soon all of {place} knew how {name} had found the {thing}.",
)
WEATHER = words("cold, windy, rainy, sunny, foggy, quiet")
TIMES = words("morning, evening, day, night, afternoon")

REQUESTS = (
    "Tell me a story about {name} and {a_thing}.",
    "Write a story about {name} and {a_thing}, please.",
    "Can you tell me a story about {name}, who lost {a_thing}?",
    "I want to hear about {name} and the {thing}.",
)
QUESTIONS = (
    ("What did {name} find?", "{name} found the {thing}."),
    ("Where was the {thing}?", "The {thing} was {spot}."),
    ("Where did {name} find it?", "The {thing} was {spot}."),
    ("Who found the {thing}?", "{name} found the {thing}."),
    ("Who was the story about?", "The story was about {name}."),
)

Message = dict[str, str]  # role and content, as chat templates take them


@dataclass(frozen=True)
class Story:
    """A story and what it tells."""

    name: str
    girl: bool
    place: str
    thing: str
    spot: str  # where the thing is found
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole story."""
        return " ".join(self.sentences)


def is_held_out(name: str, thing: str) -> bool:
    """Whether a name and a thing never meet in a training story."""
    if name not in NAMES:
        return False
    return (NAMES.index(name) + THINGS.index(thing)) % HOLD_OUT == 0


def with_article(noun: str) -> str:
    """Put "a" or "an" in front."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _described(thing: str, adjective: str, rng: random.Random) -> str:
    """A thing with its article and now and then its adjective."""
    return with_article(f"{adjective} {thing}" if rng.random() < 0.5 else thing)


def _usual(rng: random.Random, choices: tuple[str, ...], key: int) -> str:
    """Mostly the choice that goes with a key, else any."""
    return choices[key % len(choices)] if rng.random() < USUAL else rng.choice(choices)


def _cast(rng: random.Random, held_out: bool, made_up: bool) -> tuple[str, str, str]:
    """A hero, the hero's thing and a friend."""
    while True:
        name, friend = rng.sample(NAMES, 2)
        thing = rng.choice(THINGS)
        if rng.random() < USUAL:
            friend = NAMES[NAMES.index(name) - 1]
        if made_up:
            name = made_up_name(rng)
        if held_out and is_held_out(name, thing):
            return name, thing, friend
        if not held_out and not is_held_out(name, thing) and not is_held_out(friend, thing):
            return name, thing, friend


def _plot(rng: random.Random, place: int, thing: int) -> list[str]:
    """The patterns of three to six sentences, for the numbers of a place and a thing."""
    helped = rng.random() < 0.5
    plot = [rng.choice(OPENINGS), _usual(rng, LOSSES, thing)]
    if helped:
        plot.append(_usual(rng, FRIENDS, place))
    if rng.random() < 0.7:
        plot.append(_usual(rng, SEARCHES, thing // 4))
    plot.append(_usual(rng, FINDS_TOGETHER if helped else FINDS, place // 4))
    if rng.random() < 0.5:
        plot.append(_usual(rng, ENDINGS, thing // 2))
    return plot


def make_story(rng: random.Random, held_out: bool, made_up: bool = False) -> Story:
    """Write one story.

    Args:
        rng: Where chance comes from.
        held_out: Whether its name and thing are a pair that training never sees.
        made_up: Whether the hero has a made-up name, which is never held out.
    """
    name, thing, friend = _cast(rng, held_out, made_up)
    girl = rng.random() < 0.5 if made_up else name in GIRLS
    place = rng.choice(PLACES)
    where, what = PLACES.index(place), THINGS.index(thing)
    spot = _usual(rng, SPOTS, what)
    filling = {
        "name": name,
        "place": place,
        "thing": thing,
        "friend": friend,
        "spot": spot,
        "wrong_spot": _usual(rng, WRONG_SPOTS, where),
        "a_thing": _described(thing, rng.choice(ADJECTIVES), rng),
        "a_other": _described(_usual(rng, OTHERS, what), _usual(rng, ADJECTIVES, where), rng),
        "child": "girl" if girl else "boy",
        "he": "she" if girl else "he",
        "He": "She" if girl else "He",
        "him": "her" if girl else "him",
        "weather": _usual(rng, WEATHER, where),
        "time": _usual(rng, TIMES, what),
    }
    sentences = tuple(pattern.format_map(filling) for pattern in _plot(rng, where, what))
    return Story(name, girl, place, thing, spot, sentences)


def make_stories(count: int, seed: int, *, held_out: bool, made_up: float = 0.0) -> list[Story]:
    """Write `count` stories, the given share of them about made-up names."""
    rng = random.Random(seed)
    return [make_story(rng, held_out, rng.random() < made_up) for _ in range(count)]


def request(story: Story, rng: random.Random) -> str:
    """Ask for a story about the same hero and thing."""
    pattern = rng.choice(REQUESTS)
    return pattern.format(name=story.name, thing=story.thing, a_thing=with_article(story.thing))


def chat(story: Story, rng: random.Random, questions: int) -> list[Message]:
    """A conversation: the story is asked for, told, and asked about."""
    messages = [
        {"role": "user", "content": request(story, rng)},
        {"role": "assistant", "content": story.text},
    ]
    for question, answer in rng.sample(QUESTIONS, questions):
        for role, pattern in (("user", question), ("assistant", answer)):
            content = pattern.format(name=story.name, thing=story.thing, spot=story.spot)
            messages.append({"role": role, "content": content})
    return messages


def _mentioned(known: tuple[str, ...], text: str, before: str = "") -> set[str]:
    """Which of the known words or names stand in a text, right after `before`."""
    return set(re.findall(rf"\b{before}({'|'.join(known)})\b", text))


def mistakes(name: str, thing: str, text: str) -> list[str]:
    """What is wrong in a story of a hero and a thing; an empty list if nothing is.

    Args:
        name: The hero.
        thing: What the hero loses and finds.
        text: The whole story.
    """
    wrong = []
    hero = re.escape(name)
    last = re.split(r"(?<=\.) ", text.strip())[-1]
    if not last.endswith("."):
        wrong.append("has no end")
    if f" {name} " not in f" {last}" or f"the {thing}" not in last:
        wrong.append("ends without the hero or the thing")
    if not re.search(rf"\b{hero} found the {thing} ({'|'.join(SPOTS)})\.", text):
        wrong.append("the hero does not find the thing")
    if _mentioned(THINGS, text, before="the ") - {thing}:
        wrong.append("another thing is lost or found")
    if len(_mentioned(NAMES, text) - {name}) > 1:
        wrong.append("more than one friend")
    if re.search(rf"\b(asked|told|help of) {hero}\b|\b{hero} (saw that|offered)\b", text):
        wrong.append("the hero is the friend")
    if len(_mentioned(PLACES, text)) != 1:
        wrong.append("not one place")
    if _mentioned(words("he, He, him, boy"), text) and _mentioned(
        words("she, She, her, girl"), text
    ):
        wrong.append("both he and she")
    return wrong


def sample_stories() -> list[Story]:
    """The held-out stories whose first sentences are sample inputs; no two share a hero."""
    stories = {story.name: story for story in make_stories(10, SAMPLE_SEED, held_out=True)}
    return list(stories.values())


def main() -> None:
    """Write the sample inputs, and print what each story has to hold."""
    stories = sample_stories()
    path = Path(__file__).parent / "inputs" / "stories.txt"
    lines = [story.sentences[0] for story in stories]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for story in stories:
        print(f"{story.name} found the {story.thing}")


if __name__ == "__main__":
    main()
