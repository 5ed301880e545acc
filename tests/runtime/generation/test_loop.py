from typing import Any

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.generation.loop import generate
from onnxtasks.generation.options import Settings
from onnxtasks.generation.reader import Scores
from onnxtasks.generation.result import Ending, Generation, NewToken, endings
from tests.runtime.generation.table_reader import TableReader, prompts

# 0 -> 1 -> 2 -> 0
TABLE = np.roll(np.eye(3), 1, axis=1) * 5

WAYS: list[dict[str, Any]] = [
    {},
    {"num_beams": 2},
    {"prompt_lookup_num_tokens": 2},
]


def test_no_prompts():
    reader = TableReader(TABLE)
    assert endings(generate(reader, [], Settings())) == []
    assert not reader.open


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_is_closed_at_the_end(way):
    reader = TableReader(TABLE)
    ((ending,),) = endings(generate(reader, prompts([0]), Settings(max_new_tokens=4, **way)))
    assert ending.token_ids == (1, 2, 0, 1)
    assert not reader.open


@pytest.mark.parametrize("way", [WAYS[0], WAYS[2]])
def test_a_cancelled_stream_closes_the_reader(way):
    reader = TableReader(TABLE)
    stream = generate(reader, prompts([0]), Settings(max_new_tokens=4, **way))
    assert isinstance(next(stream), NewToken)
    assert reader.open
    stream.close()
    assert not reader.open


@pytest.mark.parametrize("way", WAYS)
def test_a_failing_rule_closes_the_reader(way):
    def rule(history, scores):
        raise RuntimeError("a rule of the caller's")

    reader = TableReader(TABLE)
    with pytest.raises(RuntimeError, match="caller's"):
        endings(generate(reader, prompts([0]), Settings(**way), rules=[rule]))
    assert not reader.open


@pytest.mark.parametrize("way", WAYS)
def test_the_models_room_ends_a_text(way):
    reader = TableReader(TABLE, room=5)
    ((ending,),) = endings(generate(reader, prompts([0, 0]), Settings(max_new_tokens=9, **way)))
    assert (ending.token_ids, ending.finish_reason) == ((1, 2, 0), "length")


@pytest.mark.parametrize("way", WAYS)
def test_a_prompt_as_long_as_the_room(way):
    reader = TableReader(TABLE, room=2)
    with pytest.raises(InputError, match="the prompt has 2 tokens, and the model takes 2"):
        endings(generate(reader, prompts([0], [0, 0]), Settings(**way)))
    assert reader.log == []
    assert not reader.open


def test_log_probabilities_that_nobody_wants():
    for way in WAYS:
        reader = TableReader(TABLE)
        settings = Settings(max_new_tokens=2, **way)
        ((ending,),) = endings(generate(reader, prompts([0]), settings, logprobs=False))
        assert ending == Ending((1, 2), "length", None)
        assert ending.logprob is None


def test_generation_of_an_ending():
    ending = Ending((4, 5), "stop", (-0.5, -0.25))
    found = Generation.of(ending, "four five")
    assert found == Generation("four five", (4, 5), "stop", -0.75, (-0.5, -0.25))
    assert found.to_dict() == {"generated_text": "four five"}


def test_scores_that_were_not_asked_for():
    with pytest.raises(TypeError, match="gave no logits"):
        Scores().all_logits()
    with pytest.raises(TypeError, match="gave no best scores"):
        Scores().best()
