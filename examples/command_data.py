"""Commands made of the words of `speech_data`, by a small grammar: which word follows is no chance.

A command moves ("go left two"), several moves follow each other ("up three down one stop"), or it
answers first ("no go right").
"""

import random

from speech_data import HELD_OUT_VOICE, WORDS, Utterance

DIGITS = WORDS[:10]
DIRECTIONS = ("left", "right", "up", "down")
STEPS = (*DIGITS[1:], *DIGITS[1:], "one zero", "one five", "two zero", "two five", "five zero")
"""Numbers of steps; single digits are likelier."""


def _move(rng: random.Random) -> str:
    """One move, as a rule with its number of steps."""
    words = [rng.choice(DIRECTIONS)]
    if rng.random() < 0.6:
        words.insert(0, "go")
    if rng.random() < 0.8:
        words.append(rng.choice(STEPS))
    return " ".join(words)


def command(rng: random.Random) -> str:
    """One command of one to nine words."""
    form = rng.random()
    if form < 0.1:
        return rng.choice(("stop", "no stop", "yes stop", "yes go", "no go"))
    words = [_move(rng)]
    if form < 0.3:
        words.insert(0, rng.choice(("yes", "no")))
    elif form < 0.6:
        words.append(_move(rng))
    if rng.random() < 0.2:
        words.append("stop")
    return " ".join(words)


def commands(count: int, seed: int) -> list[str]:
    """Draw `count` commands."""
    rng = random.Random(seed)
    return [command(rng) for _ in range(count)]


def plan_commands(count: int, seed: int) -> list[Utterance]:
    """Draw `count` commands, spoken by the held-out voice."""
    rng = random.Random(seed)
    return [
        Utterance(command(rng), HELD_OUT_VOICE, rng.randint(140, 200), rng.randint(25, 75), False)
        for _ in range(count)
    ]
