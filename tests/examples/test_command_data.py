"""The grammar of commands."""

from itertools import pairwise

from command_data import commands
from speech_data import WORDS


def test_commands_are_made_of_the_words():
    found = commands(500, 0)
    assert found == commands(500, 0)
    assert found != commands(500, 1)
    assert {word for text in found for word in text.split()} == set(WORDS)
    assert {len(text.split()) for text in found} == set(range(1, 11)) & {
        len(text.split()) for text in found
    }


def test_a_number_follows_a_direction_or_a_digit():
    for text in commands(500, 0):
        words = text.split()
        for before, word in pairwise(words):
            if word in WORDS[:10]:
                assert before in ("left", "right", "up", "down", *WORDS[:10])
