"""Times of Whisper's tokens and words against transformers: random weights, and a random model."""

from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration
from transformers.generation.utils import GenerateEncoderDecoderOutput
from transformers.models.whisper import generation_whisper, tokenization_whisper

from onnxtasks.speech import alignment
from tests.awkward import awkward_texts

PRECISION = 0.02  # seconds of a frame
HEADS = ((0, 1), (1, 0), (1, 2))
LAYERS = 2
PROMPT = 3
FRAMES = 60
TIMES = 40  # the id of the first timestamp of the random model
END = 38
ASKED = {
    "return_timestamps": True,
    "return_token_timestamps": True,
    "force_unique_generate_call": True,
}
LANGUAGES = {"en": "english", "zh": "chinese", "ja": "japanese", "th": "thai", None: None}


def attentions(rng, heads, tokens, frames):
    """Softmaxed weights [head, token, frame]: a diagonal in noise, as a model's are."""
    place = np.linspace(0, frames - 1, tokens)[:, None]
    near = -((np.arange(frames) - place) ** 2) / (2.0 * rng.uniform(1, 9) ** 2)
    logits = near * rng.uniform(0.2, 2) + rng.normal(size=(heads, tokens, frames))
    # Never quite 0: where all tokens have the same weight, the source divides by 0.
    weights = np.exp(np.maximum(logits - logits.max(-1, keepdims=True), -20))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def reference_times(weights, width):
    """The source's seconds of the written tokens, of weights [head, read token, frame]."""
    steps = [
        tuple(torch.tensor(weights[None, :, None, place]) for _ in range(LAYERS))
        for place in range(weights.shape[1])
    ]
    asked = SimpleNamespace(
        config=SimpleNamespace(decoder_layers=LAYERS, median_filter_width=width)
    )
    outputs = GenerateEncoderDecoderOutput(
        sequences=torch.zeros((1, weights.shape[1] + 1), dtype=torch.long),
        cross_attentions=tuple(steps),
    )
    heads = [(layer, head) for layer in range(LAYERS) for head in range(len(weights))]
    found = generation_whisper.WhisperGenerationMixin._extract_token_timestamps(
        asked, outputs, heads, num_input_ids=PROMPT
    )
    return found[0].numpy()


@pytest.mark.parametrize("width", [1, 3, 7])
@pytest.mark.parametrize("tokens", [4, 9, 60, 200])
def test_times_of_tokens(tokens, width):
    rng = np.random.default_rng(10 * tokens + width)
    for frames in (2, 5, 97, 300):
        weights = attentions(rng, 3, tokens, frames)
        expected = reference_times(weights, width)
        edges = alignment.token_edges(weights[:, PROMPT:], width) * PRECISION
        np.testing.assert_allclose(edges[1:], expected[PROMPT:], atol=1e-5)
        assert expected[PROMPT - 1] == edges[0] == 0


@pytest.mark.parametrize("seed", range(40))
def test_paths_with_and_without_ties(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 15), rng.integers(1, 30)
    cost = rng.normal(size=shape).astype(np.float32)
    for costs in (cost, np.round(cost), np.zeros_like(cost)):
        expected = generation_whisper._dynamic_time_warping(costs.astype(np.float64))
        for ours, theirs in zip(alignment.warp(costs), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@cache
def random_model():
    torch.manual_seed(3)
    config = WhisperConfig(
        vocab_size=TIMES + FRAMES + 1,
        d_model=32,
        encoder_layers=1,
        decoder_layers=LAYERS,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=FRAMES,
        max_target_positions=48,
        num_mel_bins=8,
        median_filter_width=5,
        decoder_start_token_id=37,
        eos_token_id=END,
        bos_token_id=END,
        pad_token_id=END,
        init_std=0.2,
        attn_implementation="eager",
    )
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(
        alignment_heads=[list(head) for head in HEADS],
        no_timestamps_token_id=TIMES - 1,
        is_multilingual=False,
        decoder_start_token_id=37,
        eos_token_id=END,
        bos_token_id=END,
        pad_token_id=END,
        max_initial_timestamp_index=20,
        max_length=40,
        repetition_penalty=1.5,  # or a random model says one word again and again
    )
    return model


@pytest.mark.parametrize("seed", range(8))
def test_times_of_what_a_model_wrote(seed):
    model = random_model()
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn((1, 8, 2 * FRAMES), generator=generator)
    with torch.no_grad():
        wrote = model.generate(features, **ASKED)
        tokens = wrote["sequences"]  # the first one is the prompt
        assert len(set(tokens[0].tolist())) > 5
        read = tokens[:, :-1]
        seen = model(features, decoder_input_ids=read, output_attentions=True).cross_attentions
    weights = np.stack([seen[layer][0, head].numpy() for layer, head in HEADS])
    edges = alignment.token_edges(weights[:, 1:], 5) * PRECISION
    expected = wrote["token_timestamps"][0].numpy()
    # Each time is where a token ends and the next one starts.
    np.testing.assert_allclose(edges, expected, atol=PRECISION / 4)
    assert len(set(expected.tolist())) > 5


class ByteLevel:
    """As much of a `WhisperTokenizer` as the source asks for; trained on awkward texts."""

    language = None
    eos_token_id = 10**6

    def __init__(self):
        self.own = Tokenizer(models.BPE())
        self.own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.own.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=600, initial_alphabet=alphabet, show_progress=False
        )
        self.own.train_from_iterator(awkward_texts(200, 3, 12), trainer)

    def decode(self, ids, decode_with_timestamps=True):
        return self.own.decode(list(ids))


@cache
def byte_level():
    return ByteLevel()


@pytest.mark.parametrize("language", LANGUAGES)
def test_words(language):
    tokenizer = byte_level()
    rng = np.random.default_rng(7)
    for text in awkward_texts(150, 11, 9):
        ids = tokenizer.own.encode(" " + text).ids
        ids = ids[rng.integers(3) : len(ids) - rng.integers(3)]  # may part a character
        if not ids:
            continue
        expected = tokenization_whisper._combine_tokens_into_words(
            tokenizer, ids, LANGUAGES[language]
        )
        times = np.sort(rng.uniform(0, 9, len(ids) + 1))
        pairs = list(pairwise(times))
        probabilities = rng.uniform(0, 1, len(ids)).tolist()
        found = alignment.words(ids, pairs, probabilities, tokenizer.decode, language)
        assert [word.text for word in found] == expected[0], text
        assert [list(word.tokens) for word in found] == expected[1], text
        for word, places in zip(found, expected[2], strict=True):
            assert word.start == round(pairs[places[0]][0], 2)
            assert word.end == round(pairs[places[-1]][1], 2)
            assert word.probability == pytest.approx(np.mean([probabilities[i] for i in places]))
