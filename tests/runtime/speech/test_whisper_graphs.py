"""Graphs of the decode loop as Whisper asks for them, on a decoder in numpy."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.encoder import Source, encode_features
from onnxtasks.speech.whisper_graphs import GraphHeard, Listener
from tests.runtime.generation.slot_model import (
    LAYERS,
    FakeBinding,
    SlotDecoder,
    SlotEncoder,
    SlotModel,
)

MODEL = SlotModel(source=True)
SOURCES = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
PROMPTS = [np.array(ids) for ids in ([3, 1, 4, 1, 5], [9], [2, 6, 5])]


class FeatureEncoder:
    """Takes the ids of a source from the first band."""

    def __init__(self):
        self.runs = 0

    def run(self, feeds, outputs=None):
        raise NotImplementedError

    def bind(self):
        return FakeBinding(self._run)

    def _run(self, given, shared, outputs):
        self.runs += 1
        ids = given["input_features"][:, 0].astype(np.int64)
        for index, (keys, values) in enumerate(MODEL.sources(ids)):
            outputs |= {f"source_keys.{index}": keys, f"source_values.{index}": values}


class AlignedDecoder(SlotDecoder):
    """Its two heads look at the position that a token's id names."""

    def _run(self, given, shared, outputs):
        super()._run(given, shared, outputs)
        ids = given["input_ids"]
        looked = (ids[:, None, :, None] % 3 == np.arange(3)).astype(np.float32)
        outputs["alignment"] = np.concatenate([looked, 1 - looked], axis=1)


def features(ids):
    return np.repeat(np.asarray(ids, np.float32)[:, None], 2, axis=1)


def whole():
    return encode_features(FeatureEncoder(), MODEL.spec, features(SOURCES), 3)


def reader_of(source):
    reader = GraphReader(SlotDecoder(MODEL), MODEL.spec, expected=20)
    reader.begin_with(source)
    return reader


def check(scores, texts, sentences):
    """Of rows that are one text each."""
    for found, text, sentence in zip(scores.all_logits(), texts, sentences, strict=True):
        expected = MODEL.read(text, SOURCES[sentence])[-1]
        np.testing.assert_allclose(found[0], expected, atol=2e-5)


def test_scores_after_one_more_token_of_each_prompt():
    reader = reader_of(whole())
    reader.note([2, 0, 1])
    scores = reader.prompt(PROMPTS)
    check(scores, PROMPTS, range(3))
    assert reader.noted is not None
    for found, prompt, place, source in zip(reader.noted, PROMPTS, (2, 0, 1), SOURCES, strict=True):
        np.testing.assert_allclose(found, MODEL.read(prompt, source)[place], atol=2e-5)
    noted = reader.noted.copy()
    tokens = np.array([[1], [2], [3]])
    texts = [[*prompt, token] for prompt, (token,) in zip(PROMPTS, tokens, strict=True)]
    check(reader.step(tokens, np.zeros_like(tokens)), texts, range(3))
    reader.close()
    np.testing.assert_array_equal(reader.noted, noted)


def test_nothing_is_noted_unasked_and_not_beside_the_best_words():
    reader = reader_of(whole())
    reader.prompt(PROMPTS)
    assert reader.noted is None
    reader = reader_of(whole())
    reader.note([0, 0, 0])
    with pytest.raises(TypeError, match="tokens are noted where all scores are given"):
        reader.prompt(PROMPTS, top=2)


def test_runs_share_a_source_whichever_sentence_leaves():
    source = whole()
    before = [array.copy() for array in (*source.keys, *source.values)]
    for windows in ([0, 1, 2], [0, 2], [1, 2], [2]):
        reader = reader_of(source.of(windows))
        prompts = [PROMPTS[window] for window in windows]
        check(reader.prompt(prompts), prompts, windows)
        if len(windows) > 1:
            reader.keep(list(range(1, len(windows))))
            tokens = np.full((len(windows) - 1, 1), 7)
            texts = [[*prompt, 7] for prompt in prompts[1:]]
            check(reader.step(tokens, np.zeros_like(tokens)), texts, windows[1:])
        reader.close()
    for old, new in zip(before, (*source.keys, *source.values), strict=True):
        np.testing.assert_array_equal(old, new)


def test_neighbours_share_memory_and_others_are_copies():
    source = whole()
    assert np.shares_memory(source.of([1, 2]).keys[0], source.keys[0])
    apart = source.of([0, 2])
    assert not np.shares_memory(apart.keys[0], source.keys[0])
    np.testing.assert_array_equal(apart.values[1], source.values[1][[0, 2]])
    assert (source.of([1]).shared, apart.shared) == (True, False)
    assert len(source.keys) == LAYERS


def test_a_source_of_tokens_is_read_as_before():
    reader = GraphReader(SlotDecoder(MODEL), MODEL.spec, SlotEncoder(MODEL), expected=9)
    reader.begin(list(SOURCES))
    check(reader.prompt(PROMPTS), PROMPTS, range(3))


def test_windows_are_encoded_once_for_all_readers():
    encoder = FeatureEncoder()
    heard = Listener(encoder, AlignedDecoder(MODEL), sizes())(features(SOURCES))
    for windows in ([0, 1, 2], [1]):
        reader = heard.reader(windows, 5)
        prompts = [PROMPTS[window] for window in windows]
        check(reader.prompt(prompts), prompts, windows)
        reader.close()
    assert encoder.runs == 1


def test_what_texts_look_at():
    heard = GraphHeard(AlignedDecoder(MODEL), sizes(), whole())
    found = heard.attention([0, 2], [PROMPTS[0], PROMPTS[2]])
    assert [one.shape for one in found] == [(2, 5, 3), (2, 3, 3)]
    assert found[1][0].argmax(axis=1).tolist() == [2, 0, 2]
    np.testing.assert_array_equal(found[0][1], 1 - found[0][0])


def test_only_a_source_can_be_looked_at():
    decoder = SlotModel()
    reader = GraphReader(AlignedDecoder(decoder), decoder.spec, expected=3)
    with pytest.raises(TypeError, match="no source to look at"):
        reader.attention(PROMPTS, 2)
    with pytest.raises(TypeError, match="reads its sources"):
        GraphReader(SlotDecoder(MODEL), MODEL.spec, expected=3).prompt(PROMPTS)
    assert isinstance(whole(), Source)


def sizes() -> Any:
    """What is looked at of a spec."""
    heads = ((0, 0), (1, 1))
    return SimpleNamespace(decoder=MODEL.spec, max_source_positions=3, alignment_heads=heads)
