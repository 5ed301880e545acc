"""Rules and warpers of generation against transformers' logits processors, step by step.

transformers is asked one sentence at a time, without padding; our rows are all in one ragged batch.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import GenerationMixin

from onnxtasks.generation.history import History
from onnxtasks.generation.options import GenerationDefaults, settings
from onnxtasks.generation.rules import rules_for
from onnxtasks.generation.warpers import warper_for
from onnxtasks.ops.scores import log_softmax

WORDS, STEPS, EOS = 24, 21, 2
PROMPTS = [[7, 8, 9, 7, 8], [1], [4, 4, 4, 4, 11, 12, 4, 4], [1, 20]]
SOURCES = [[5, 6, 7, 8, 9, 7], [3, 3, 4, 5, 6, 7, 8, 9], [9], [20, 21, 20, 21]]


def allowed(item, tokens):
    """Some words that depend on the input and on the text."""
    return [(int(tokens[-1]) + step) % WORDS for step in (0, 1, 2, 5 + item)]


class Halves(LogitsProcessor):
    """A user's processor, which is no rule of transformers and shows its place in the order."""

    def __call__(self, input_ids, scores):
        return torch.where(torch.isneginf(scores), 1.5, scores / 2 + input_ids[:, -1:] % 3)


def halve(tokens, scores):
    last = np.array([row[-1] % 3 for row in tokens], np.float32)[:, None]
    return np.where(np.isneginf(scores), np.float32(1.5), scores / 2 + last)


ALONE = {
    "repetition_penalty": {"repetition_penalty": 1.3},
    "repetition_penalty, a reward": {"repetition_penalty": 0.8},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 1.7},
    "no_repeat_ngram_size 1": {"no_repeat_ngram_size": 1},
    "no_repeat_ngram_size 2": {"no_repeat_ngram_size": 2},
    "no_repeat_ngram_size 3": {"no_repeat_ngram_size": 3},
    "encoder_no_repeat_ngram_size 1": {"encoder_no_repeat_ngram_size": 1},
    "encoder_no_repeat_ngram_size 2": {"encoder_no_repeat_ngram_size": 2},
    "encoder_no_repeat_ngram_size 3": {"encoder_no_repeat_ngram_size": 3},
    "bad_words_ids": {"bad_words_ids": [[3], [EOS], [7, 8], [4, 4, 4, 4], [9, 8], [3]]},
    "suppress_tokens": {"suppress_tokens": [0, 3, 9, 500]},
    "begin_suppress_tokens": {"begin_suppress_tokens": [0, 3, 9, 500]},
    "begin_suppress_tokens, forced bos": {"begin_suppress_tokens": [0], "forced_bos_token_id": 5},
    "forced_bos_token_id": {"forced_bos_token_id": 5},
    "forced_eos_token_id": {"forced_eos_token_id": EOS, "max_new_tokens": STEPS - 2},
    "forced_eos_token_id, several": {"forced_eos_token_id": [EOS, 9], "max_length": 10},
    "forced_eos_token_id, no length": {"forced_eos_token_id": EOS},
    "min_length": {"min_length": 9},
    "min_new_tokens": {"min_new_tokens": 4},
    "min_new_tokens before min_length": {"min_new_tokens": 4, "min_length": 12},
    "several end tokens": {"min_length": 9, "eos_token_id": [EOS, 5, 999]},
    "exponential_decay_length_penalty": {"exponential_decay_length_penalty": (3, 1.4)},
    "sequence_bias": {
        "sequence_bias": {(3,): 2.0, (7, 8): -3.5, (9, 8): 1e3, (8,): -1e3, (4, 4, 4): -np.inf}
    },
    "prefix_allowed_tokens_fn": {"prefix_allowed_tokens_fn": allowed},
    "rules": {"rules": [halve]},
    "renormalize_logits": {"renormalize_logits": True},
    "remove_invalid_values": {"remove_invalid_values": True, "no_repeat_ngram_size": 2},
    "temperature": {"do_sample": True, "top_k": 0, "temperature": 0.7},
    "top_k": {"do_sample": True, "top_k": 5},
    "top_k 1": {"do_sample": True, "top_k": 1},
    "top_p": {"do_sample": True, "top_k": 0, "top_p": 0.6},
    "top_p 0": {"do_sample": True, "top_k": 0, "top_p": 0.0},
    "min_p": {"do_sample": True, "top_k": 0, "min_p": 0.2},
    "typical_p": {"do_sample": True, "top_k": 0, "typical_p": 0.5},
    "epsilon_cutoff": {"do_sample": True, "top_k": 0, "epsilon_cutoff": 0.05},
    "epsilon_cutoff, all": {"do_sample": True, "top_k": 0, "epsilon_cutoff": 0.99},
    "eta_cutoff": {"do_sample": True, "top_k": 0, "eta_cutoff": 0.1},
    "samples renormalised": {"do_sample": True, "top_k": 4, "renormalize_logits": True},
}
MIXED = [
    {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "min_new_tokens": 5},
    {
        "do_sample": True,
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 3,
        "temperature": 0.8,
        "top_k": 50,
        "top_p": 0.95,
    },
    {"do_sample": True, "top_k": 9, "top_p": 0.8, "min_p": 0.05, "temperature": 1.4},
    {
        "do_sample": True,
        "top_k": 12,
        "typical_p": 0.8,
        "epsilon_cutoff": 0.01,
        "eta_cutoff": 0.02,
        "renormalize_logits": True,
    },
    {
        "sequence_bias": {(7, 8): -2.0, (4,): 1.5},
        "encoder_repetition_penalty": 1.4,
        "repetition_penalty": 1.4,
        "encoder_no_repeat_ngram_size": 2,
        "bad_words_ids": [[9], [8, 7]],
    },
    {
        "forced_bos_token_id": 6,
        "forced_eos_token_id": EOS,
        "max_length": 9,
        "begin_suppress_tokens": [4, 5],
        "suppress_tokens": [10],
        "min_length": 6,
        "remove_invalid_values": True,
    },
    {
        "exponential_decay_length_penalty": (2, 1.2),
        "suppress_tokens": [3],
        "rules": [halve],
        "renormalize_logits": True,
        "no_repeat_ngram_size": 1,
    },
    {
        "do_sample": True,
        "rules": [halve],
        "prefix_allowed_tokens_fn": allowed,
        "temperature": 0.5,
        "top_k": 3,
    },
    {
        "do_sample": True,
        "top_k": 0,
        "top_p": 0.9,
        "min_p": 0.02,
        "typical_p": 0.9,
        "bad_words_ids": [[1], [2, 2]],
        "remove_invalid_values": True,
        "temperature": 0.6,
    },
    {
        "do_sample": True,
        "top_k": 6,
        "eos_token_id": [EOS, 3],
        "min_new_tokens": 3,
        "exponential_decay_length_penalty": (1, 1.5),
        "sequence_bias": {(EOS,): 0.5, (1, 3): -np.inf},
        "top_p": 0.5,
        "epsilon_cutoff": 0.2,
    },
]
CASES = [*ALONE.values(), *MIXED]
NO_EFFECT = {"do_sample": True, "top_k": 400}
NAMES = [*ALONE, *(f"mixed {number}" for number in range(len(MIXED)))]


class Generates(GenerationMixin):
    """As much of a model as the list of processors asks for."""

    def __init__(self, encoder_decoder):
        self.config = SimpleNamespace(is_encoder_decoder=encoder_decoder)


def reference(options, encoder_decoder, prompt, source, beams):
    """The processors that `generate` makes for one sentence."""
    options = {"eos_token_id": EOS, "num_beams": beams} | options
    prefix = options.pop("prefix_allowed_tokens_fn", None)
    user = LogitsProcessorList([Halves()] if options.pop("rules", None) else [])
    model = Generates(encoder_decoder)
    config = GenerationConfig(**options)
    config.update(**GenerationConfig._get_default_generation_params(), defaults_only=True)
    config = model._prepare_generated_length(
        generation_config=config,
        has_default_max_length="max_length" not in options,
        has_default_min_length="min_length" not in options,
        model_input_name="input_ids",
        input_ids_length=len(prompt),
        inputs_tensor=None,
    )
    config._eos_token_tensor = torch.tensor(options["eos_token_id"]).reshape(-1)
    return model._get_logits_processor(
        config,
        input_ids_seq_length=len(prompt),
        encoder_input_ids=torch.tensor([source if encoder_decoder else prompt]),
        prefix_allowed_tokens_fn=prefix,
        logits_processor=user,
        device="cpu",
        model_kwargs={},
    )


def alone(options, item):
    """Options for a sentence that is asked alone: transformers then calls it number 0."""
    prefix = options.get("prefix_allowed_tokens_fn")
    if prefix is None:
        return options
    return options | {"prefix_allowed_tokens_fn": lambda _, tokens: prefix(item, tokens)}


def scores_of(generator, rows, options):
    """Random logits; many are equal, but where transformers then drops any one of them."""
    if "top_p" in options or "min_p" in options:
        return (3 * generator.standard_normal((rows, WORDS))).astype(np.float32)
    return generator.integers(-12, 12, (rows, WORDS)).astype(np.float32) / 2


def chosen(found, words):
    """Candidates as scores of all words."""
    scores = np.full((len(found.ids), words), -np.inf, np.float32)
    for row, ids, values in zip(scores, found.ids, found.scores, strict=True):
        kept = values > -np.inf
        assert len(set(ids[kept].tolist())) == kept.sum()
        row[ids[kept]] = values[kept]
    return scores


def settings_of(options, beams):
    defaults = GenerationDefaults(eos_token_id=(EOS,), num_beams=beams)
    if "min_new_tokens" in options and "min_length" in options:  # a contradiction in one call
        options = dict(options)
        defaults = GenerationDefaults(eos_token_id=(EOS,), min_length=options.pop("min_length"))
    return settings(defaults, options)


def compare(options, encoder_decoder, beams, seed, prompts=PROMPTS):
    """Random texts step by step; says how often the scores were changed."""
    generator = np.random.default_rng(seed)
    found = settings_of(options, beams)
    rules, warp = rules_for(found, words=WORDS), warper_for(found)
    arrays = [np.array(prompt) for prompt in prompts]
    sources = [np.array(source) for source in SOURCES]
    history = History(arrays, sources if encoder_decoder else None)
    history.reorder(np.repeat(np.arange(len(prompts)), beams))
    processors = [
        reference(alone(options, item), encoder_decoder, prompt, source, beams)
        for item, (prompt, source) in enumerate(zip(prompts, SOURCES, strict=True))
    ]
    changed = 0
    for _ in range(STEPS):
        scores = scores_of(generator, len(prompts) * beams, options)
        if beams > 1:
            scores = log_softmax(scores)
        expected = []
        for item, processor in enumerate(processors):
            rows = range(item * beams, (item + 1) * beams)
            tokens = torch.tensor(np.stack([history.row(row) for row in rows]))
            raw = torch.tensor(scores[rows.start : rows.stop])
            expected.append(processor(tokens, raw).numpy())
        ours = scores.copy()
        for rule in rules:
            ours = rule(history, ours)
        if options.get("do_sample"):
            ours = chosen(warp(ours), WORDS)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-5, atol=1e-5)
        changed += not np.array_equal(ours, scores)
        history.append(generator.integers(0, 9, len(ours)))
        if beams > 1:
            shuffled = generator.integers(0, beams, (len(prompts), beams))
            history.reorder((shuffled + beams * np.arange(len(prompts))[:, None]).ravel())
    return changed


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of torch cost more than they do on rows of a few words."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("options", CASES, ids=NAMES)
@pytest.mark.parametrize("encoder_decoder", [False, True], ids=["decoder", "encoder-decoder"])
def test_scores_are_those_of_transformers_at_every_step(options, encoder_decoder, request):
    seeds = range(20) if request.config.getoption("--exhaustive") else [int(encoder_decoder)]
    assert sum(compare(options, encoder_decoder, 1, seed) for seed in seeds) > 0


def test_more_candidates_than_there_are_words():
    assert compare(NO_EFFECT, False, 1, 0) == 0


def test_of_equal_scores_at_the_border_as_many_stay():
    options = {"do_sample": True, "top_k": 0, "top_p": 0.6}
    scores = scores_of(np.random.default_rng(4), 40, {})
    expected = reference(options, False, [1], None, 1)(None, torch.tensor(scores)).numpy()
    ours = chosen(warper_for(settings_of(options, 1))(scores.copy()), WORDS)
    np.testing.assert_array_equal(np.sort(ours), np.sort(expected))
    assert (np.isneginf(ours) != np.isneginf(expected)).any()  # else there were none


@pytest.mark.parametrize("options", CASES, ids=NAMES)
def test_beams_see_log_probabilities_and_their_own_texts(options):
    compare(options, True, 3, 5)
    compare(options, False, 2, 6)


@pytest.mark.parametrize("beams", [1, 3])
def test_words_that_a_prefix_allows_but_the_scores_do_not(beams):
    """All allowed words of row 0 are banned: transformers then goes by the function alone."""
    options = {"bad_words_ids": [[4]], "prefix_allowed_tokens_fn": lambda item, tokens: [4, item]}
    found = settings_of(options, beams)
    scores = scores_of(np.random.default_rng(1), 2 * beams, options)
    scores[0, 0] = -np.inf
    scores[beams:, 1] = -np.inf
    history = History([np.array([7, 8]), np.array([7, 8])])
    history.reorder(np.repeat([0, 1], beams))
    ours = scores.copy()
    for rule in rules_for(found, words=WORDS):
        ours = rule(history, ours)
    for item in (0, 1):
        rows = slice(item * beams, (item + 1) * beams)
        ids = torch.tensor([[7, 8]] * beams)
        processor = reference(alone(options, item), False, [7, 8], None, beams)
        expected = processor(ids, torch.tensor(scores[rows]))
        np.testing.assert_array_equal(ours[rows], expected.numpy())
    assert (ours[beams:, [1, 4]] == 0).all()  # of item 1 nothing was left


@pytest.mark.parametrize("options", MIXED, ids=NAMES[len(ALONE) :])
def test_a_vocabulary_of_gpt2_with_continuous_scores(options):
    words = 50257
    generator = np.random.default_rng(11)
    found = settings_of(options, 1)
    prompts = [generator.integers(0, 300, length) for length in (40, 9)]
    history = History(prompts)
    rules, warp = rules_for(found, words=words), warper_for(found)
    for _ in range(2):
        scores = (4 * generator.standard_normal((2, words))).astype(np.float32)
        ours = scores.copy()
        for rule in rules:
            ours = rule(history, ours)
        if options.get("do_sample"):
            ours = chosen(warp(ours), words)
        for row, prompt in enumerate(prompts):
            processor = reference(alone(options, row), False, prompt.tolist(), None, 1)
            ids = torch.tensor(history.row(row).copy())[None]
            expected = processor(ids, torch.tensor(scores[row : row + 1]))[0].numpy()
            np.testing.assert_allclose(ours[row], expected, rtol=1e-5, atol=1e-5)
        history.append(generator.integers(0, 300, 2))


@pytest.mark.parametrize("spread", [0.1, 1, 3, 8])
@pytest.mark.parametrize("mass", [0.05, 0.5, 0.9, 0.999])
def test_the_likeliest_of_a_flat_or_steep_distribution(spread, mass):
    options = {"do_sample": True, "top_k": 0, "top_p": mass}
    scores = (spread * np.random.default_rng(7).standard_normal((3, 50257))).astype(np.float32)
    scores[1, 300:] = -np.inf
    expected = reference(options, False, [1], None, 1)(None, torch.tensor(scores)).numpy()
    found = warper_for(settings_of(options, 1))(scores.copy())
    np.testing.assert_array_equal(chosen(found, 50257), expected)


def test_invalid_values_are_replaced_before_what_follows():
    options = {
        "remove_invalid_values": True,
        "exponential_decay_length_penalty": (0, 1.5),
        "suppress_tokens": [4],
        "do_sample": True,
        "temperature": 1.5,
        "top_p": 0.9,
    }
    scores = np.array([[np.nan, np.inf, 1, -np.inf, 2], [0, np.nan, -np.inf, 1, 2]], np.float32)
    found = settings_of(options, 1)
    history = History([np.array([1])] * 2)
    history.append(np.array([0, 3]))
    ours = scores.copy()
    for rule in rules_for(found, words=5):
        ours = rule(history, ours)
    processor = reference(options, False, [1], None, 1)
    expected = processor(torch.tensor([[1, 0], [1, 3]]), torch.tensor(scores)).numpy()
    np.testing.assert_allclose(chosen(warper_for(found)(ours), 5), expected, rtol=1e-5)
