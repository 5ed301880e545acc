"""Bundles that write, token for token against `generate`, with every rule and mixed settings."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import onnxtasks
from onnxtasks_export.originals.words import texts
from onnxtasks_export.pipeline import load_checkpoint
from onnxtasks_export.quiet import quiet

WRITERS = ("gpt2-text", "llama-text", "bart-summaries", "t5-rewriter", "marian-translations")
NEW = {"max_new_tokens": 14}
PLAIN = {"num_beams": 1, "do_sample": False, "num_return_sequences": 1, "min_length": 0}
RULES = (
    {"repetition_penalty": 1.7},
    {"no_repeat_ngram_size": 2},
    {"bad_words_ids": [[20], [21, 22]]},
    {"suppress_tokens": [10, 11, 12]},
    {"begin_suppress_tokens": [30, 31]},
    {"forced_eos_token_id": 5},
    {"min_new_tokens": 6},
    {"min_length": 9},
    {"exponential_decay_length_penalty": (3, 1.4)},
    {"sequence_bias": {(40,): 3.0, (41, 42): -4.0}},
    {"renormalize_logits": True},
    {"eos_token_id": [1, 7, 33]},
)
ENCODER_RULES = (
    {"encoder_repetition_penalty": 1.6},
    {"encoder_no_repeat_ngram_size": 2},
)
MIXED = (
    {"num_beams": 2},
    {"num_beams": 4, "length_penalty": 0.4, "early_stopping": True},
    {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 2.0, "early_stopping": "never"},
    {"num_beams": 3, "no_repeat_ngram_size": 2, "min_new_tokens": 4},
    {"num_beams": 4, "repetition_penalty": 1.3, "forced_eos_token_id": 5},
    {"num_beams": 2, "bad_words_ids": [[20], [21, 22]], "length_penalty": -1.0},
    {"num_beams": 4, "exponential_decay_length_penalty": (2, 1.2), "renormalize_logits": True},
    {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "suppress_tokens": [9]},
    {"num_beams": 5, "eos_token_id": [1, 7], "sequence_bias": {(40,): 2.0}},
    {"min_new_tokens": 5, "exponential_decay_length_penalty": (4, 1.1), "eos_token_id": [3, 4]},
)


class Pair:
    """A bundle's task and the original, asked alike."""

    def __init__(self, name, exported, checkpoint_folder):
        self.task: Any = onnxtasks.load(exported(name)[0])
        checkpoint, _ = load_checkpoint(str(checkpoint_folder(name)), None)
        self.model = checkpoint.model
        self.tokenizer = checkpoint.processors["tokenizer"]
        self.encoder = bool(checkpoint.config.is_encoder_decoder)
        words = texts(self.tokenizer, np.random.default_rng(5))
        self.items = [words[1], words[3], words[4]]

    def original(self, item, **settings):
        text = self.task.spec.prefix + item if self.encoder else item
        given = self.tokenizer(text, return_tensors="pt")
        with torch.inference_mode(), quiet():  # it warns where a checkpoint says no length
            return self.model.generate(
                input_ids=given["input_ids"],
                attention_mask=given["attention_mask"],
                output_scores=True,
                return_dict_in_generate=True,
                **settings,
            ), (1 if self.encoder else given["input_ids"].shape[1])

    def check(self, **settings):
        settings = PLAIN | NEW | settings
        if "min_new_tokens" in settings:  # a call gives one of them
            del settings["min_length"]
        found = self.task.predict(self.items, **settings)
        for item, got in zip(self.items, found, strict=True):
            wanted, start = self.original(item, **settings)
            assert len(got) == settings["num_return_sequences"]
            for row, one in enumerate(got):
                self.compare(one, wanted, row, start, settings)

    def compare(self, got, wanted, row, start, settings):
        ids = wanted.sequences[row, start:].tolist()
        mine = list(got.token_ids)
        assert mine + ids[len(mine) :] == ids, (mine, ids)
        padding = set(ids[len(mine) :])
        assert len(padding) <= 1  # nothing but padding behind the end
        beams = settings["num_beams"] > 1
        scores = self.model.compute_transition_scores(
            wanted.sequences, wanted.scores, wanted.beam_indices if beams else None
        )
        if beams or settings.get("renormalize_logits"):
            expected = scores[row, : len(mine)].numpy()
        else:
            logits = torch.stack(wanted.scores)[:, row].log_softmax(-1)
            expected = logits[range(len(mine)), mine].numpy()
        np.testing.assert_allclose(got.token_logprobs, expected, atol=1e-4)
        if beams:
            penalty = settings.get("length_penalty", self.task.spec.defaults.length_penalty)
            assert got.logprob / len(mine) ** penalty == pytest.approx(
                float(wanted.sequences_scores[row]), abs=1e-4, rel=1e-5
            )


@pytest.fixture(scope="module")
def pair(exported, checkpoint_folder):
    made = {}

    def get(name):
        if name not in made:
            made[name] = Pair(name, exported, checkpoint_folder)
        return made[name]

    yield get
    for one in made.values():
        one.task.close()


@pytest.mark.parametrize("settings", RULES, ids=lambda one: next(iter(one)))
@pytest.mark.parametrize("name", WRITERS)
def test_each_rule_on_its_own(name, settings, pair):
    pair(name).check(**settings)


@pytest.mark.parametrize("settings", ENCODER_RULES, ids=lambda one: next(iter(one)))
@pytest.mark.parametrize("name", ["bart-summaries", "t5-rewriter", "marian-translations"])
def test_rules_about_the_source(name, settings, pair):
    pair(name).check(**settings)


@pytest.mark.parametrize("settings", MIXED, ids=range(len(MIXED)))
@pytest.mark.parametrize("name", WRITERS)
def test_mixed_settings(name, settings, pair):
    pair(name).check(**settings)


@pytest.mark.parametrize("name", WRITERS)
def test_the_checkpoint_s_own_settings(name, pair):
    one = pair(name)
    settings = one.task.spec.defaults
    for item, got in zip(one.items, one.task.predict(one.items), strict=True):
        wanted, start = (
            one.original(item, do_sample=False) if settings.do_sample else one.original(item)
        )
        if settings.do_sample:
            got = one.task(item, do_sample=False)
        ids = wanted.sequences[0, start:].tolist()
        assert list(got[0].token_ids) == ids[: len(got[0].token_ids)]


@pytest.mark.parametrize("name", WRITERS)
def test_a_stream_is_the_whole_text_in_pieces(name, pair):
    one = pair(name)
    for item in one.items:
        (whole,) = one.task(item, **PLAIN, **NEW)
        assert "".join(one.task.stream(item, **PLAIN, **NEW)) == whole.text
        (drawn,) = one.task(item, do_sample=True, seed=4, num_beams=1, **NEW)
        pieces = one.task.stream(item, do_sample=True, seed=4, num_beams=1, **NEW)
        assert "".join(pieces) == drawn.text


@pytest.mark.parametrize("name", WRITERS)
def test_samples_do_not_depend_on_their_batch_and_repeat_with_their_seed(name, pair):
    one = pair(name)
    settings = {"do_sample": True, "seed": 9, "top_k": 20, "temperature": 1.3, "num_beams": 1}
    settings |= NEW | {"num_return_sequences": 3}
    together = one.task.predict(one.items, **settings)
    for item, got in zip(one.items, together, strict=True):
        alone = one.task(item, **settings)
        assert [two.token_ids for two in alone] == [two.token_ids for two in got]
    assert len({two.token_ids for got in together for two in got}) > len(one.items)
    assert one.task.predict(one.items, **settings | {"seed": 10}) != together


@pytest.mark.parametrize("name", WRITERS)
def test_looking_up_changes_no_token(name, pair):
    one = pair(name)
    for item in one.items:
        item = " ".join([item] * 3)
        plain = one.task(item, **PLAIN, max_new_tokens=30, prompt_lookup_num_tokens=0)
        found = one.task(item, **PLAIN, max_new_tokens=30, prompt_lookup_num_tokens=6)
        assert found[0].token_ids == plain[0].token_ids
        np.testing.assert_allclose(found[0].token_logprobs, plain[0].token_logprobs, atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2-text", "llama-text"])
def test_a_prompt_that_goes_on_is_as_one_read_afresh(name, pair):
    one = pair(name)
    first = " ".join(one.items)
    (answer,) = one.task(first, **PLAIN, **NEW)
    longer = f"{first} {answer.text} {one.items[0]}"
    kept = one.task(longer, **PLAIN, **NEW)
    assert one.task.prefixes.bytes > 0
    one.task.prefixes.clear()
    fresh = one.task(longer, **PLAIN, **NEW)
    assert [replace(two, logprob=None, token_logprobs=None) for two in kept] == [
        replace(two, logprob=None, token_logprobs=None) for two in fresh
    ]


@pytest.mark.parametrize("name", ["gpt2-text", "bart-summaries"])
def test_past_beyond_64_and_finished_beams(name, pair):
    pair(name).check(max_new_tokens=40, num_beams=3, num_return_sequences=3, eos_token_id=[1, 7])
    pair(name).check(max_new_tokens=60, num_beams=1)
