"""The decode loop against `generate` of transformers, on small random models.

The reference reads one prompt at a time; ours reads all of them in one call.
"""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessorList,
    StoppingCriteria,
    T5Config,
    T5ForConditionalGeneration,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from onnxtasks.generation import selection
from onnxtasks.generation.loop import generate
from onnxtasks.generation.options import GenerationDefaults, Settings, settings
from onnxtasks.generation.result import NewToken, endings
from onnxtasks.generation.rules import rules_for
from onnxtasks.generation.warpers import warper_for
from tests.generation_reader import TorchReader

WORDS = 101
PAD = 0
START = 1
PROMPTS = [[7, 3, 50], [12], [9, 9, 80, 4, 22, 31, 90], [33, 8], [64, 65, 66, 67, 68]]


def gpt2():
    size = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
    return GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, initializer_range=0.3, **size))


def llama():
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=WORDS, initializer_range=0.3, pad_token_id=PAD, **size, **heads)
    )


def bart():
    size = {"d_model": 32, "max_position_embeddings": 64, "init_std": 0.3}
    for side in ("encoder", "decoder"):
        size |= {f"{side}_layers": 2, f"{side}_attention_heads": 4, f"{side}_ffn_dim": 64}
    ids = {"decoder_start_token_id": START, "tie_word_embeddings": False}
    return varied(BartForConditionalGeneration(BartConfig(vocab_size=WORDS, **ids, **size)))


def t5():
    size = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    ids = {"decoder_start_token_id": START, "pad_token_id": PAD, "tie_word_embeddings": False}
    return varied(T5ForConditionalGeneration(T5Config(vocab_size=WORDS, **ids, **size)))


def varied(model):
    """A head of its own and less of the source, or the decoder writes one word again and again."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("encoder_attn.out_proj.weight", "EncDecAttention.o.weight")):
                weight *= 0.3
    torch.manual_seed(5)
    head = torch.randn(WORDS, model.config.d_model) * 0.3
    model.lm_head.weight = torch.nn.Parameter(head)
    return model


BUILDERS = {"gpt2": gpt2, "llama": llama, "bart": bart, "t5": t5}


class Model:
    """A random model with end tokens that it writes."""

    def __init__(self, build):
        torch.manual_seed(0)
        self.torch = build().eval()
        self.torch.generation_config = GenerationConfig()
        self.encodes = self.torch.config.is_encoder_decoder
        # Words that come early in the greedy text of the first prompts.
        texts = [self.reference(p, max_new_tokens=8)[0][0] for p in PROMPTS]
        self.one_end = (texts[0][5],)
        self.ends = tuple({texts[0][5], texts[1][3], texts[2][6]})

    def prompt(self, tokens):
        """Prompts and sources of our loop."""
        read = [np.array(one, np.int64) for one in tokens]
        if not self.encodes:
            return read, None
        return [np.array([START], np.int64) for _ in read], read

    @torch.no_grad()
    def reference(self, tokens, **options):
        """(new tokens, score or None, log-probabilities) of each sequence that generate returns."""
        torch.manual_seed(0)
        out = self.torch.generate(
            torch.tensor([tokens]),
            return_dict_in_generate=True,
            output_scores=True,
            pad_token_id=PAD,
            decoder_start_token_id=START if self.encodes else None,
            **{"max_new_tokens": None, **options},
        )
        written = out.sequences[:, 1 if self.encodes else len(tokens) :]
        beams = options.get("num_beams", 1) > 1
        logprobs = self.torch.compute_transition_scores(
            out.sequences,
            out.scores,
            out.beam_indices if beams else None,
            normalize_logits=not beams,
        )
        if beams:
            lengths = (out.beam_indices >= 0).sum(dim=1).tolist()
            scores = out.sequences_scores.tolist()
        else:
            lengths = [length_to_end(row, options.get("eos_token_id") or ()) for row in written]
            scores = [None] * len(lengths)
        return [
            (row[:length].tolist(), score, values[:length].tolist())
            for row, length, score, values in zip(written, lengths, scores, logprobs, strict=True)
        ]

    def ours(self, tokens, *, cached=True, stopping=None, lookup=False, **options):
        """Endings of each prompt, all in one call."""
        prompts, sources = self.prompt(tokens)
        found = settings(GenerationDefaults(), options)
        reader = TorchReader(self.torch, sources, cached=cached)
        events = generate(
            reader,
            prompts,
            found,
            rules=rules_for(found, words=WORDS),
            warp=warper_for(found),
            stopping=stopping,
            sources=sources,
            lookup=sources if lookup else None,
        )
        written = endings(events)
        assert reader.closed and not reader.present
        return written, reader


def length_to_end(row, ends):
    places = [i for i, token in enumerate(row.tolist()) if token in ends]
    return places[0] + 1 if places else len(row)


@pytest.fixture(scope="module", params=BUILDERS)
def model(request):
    return Model(BUILDERS[request.param])


def compare(found, expected, length_penalty=None):
    """Endings of one prompt against what `Model.reference` gives."""
    assert [list(ending.token_ids) for ending in found] == [tokens for tokens, _, _ in expected]
    for ending, (tokens, score, logprobs) in zip(found, expected, strict=True):
        np.testing.assert_allclose(ending.token_logprobs, logprobs, atol=1e-4)
        np.testing.assert_allclose(ending.logprob, sum(ending.token_logprobs), atol=1e-6)
        if length_penalty is not None:
            ours = ending.logprob / len(tokens) ** length_penalty
            np.testing.assert_allclose(ours, score, atol=1e-4, rtol=1e-5)


def compare_all(model, prompts, options, **ours):
    """All prompts in one call of ours against one call of the reference each."""
    found, _ = model.ours(prompts, **ours, **options)
    for tokens, one in zip(prompts, found, strict=True):
        penalty = options.get("length_penalty", 1.0) if options.get("num_beams", 1) > 1 else None
        compare(one, model.reference(tokens, **options), penalty)
    return found


@pytest.mark.parametrize("cached", [True, False])
def test_greedy(model, cached):
    options = {"max_new_tokens": 12, "eos_token_id": model.ends}
    found = compare_all(model, PROMPTS, options, cached=cached)
    assert "stop" in {ending.finish_reason for one in found for ending in one}


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0, -1.0])
@pytest.mark.parametrize("beams", [2, 4])
def test_beams(model, beams, length_penalty, early_stopping):
    options = {
        "max_new_tokens": 10,
        "num_beams": beams,
        "num_return_sequences": beams,
        "length_penalty": length_penalty,
        "early_stopping": early_stopping,
        "eos_token_id": model.one_end if beams == 2 else model.ends,
    }
    compare_all(model, PROMPTS[:3], options)


MIXED: dict[str, dict[str, Any]] = {
    "repetition": {"repetition_penalty": 1.4, "min_new_tokens": 7},
    "repetition-beams": {"repetition_penalty": 1.2, "min_new_tokens": 5, "num_beams": 3},
    "ngrams": {"no_repeat_ngram_size": 2, "bad_words_ids": [[58], [18, 42]], "num_beams": 4},
    "forced": {"forced_bos_token_id": 33, "forced_eos_token_id": 2, "num_beams": 3},
    "forced-greedy": {"forced_bos_token_id": 33, "forced_eos_token_id": 2},
    "suppressed": {"suppress_tokens": (8, 58, 54), "begin_suppress_tokens": (99,), "num_beams": 2},
    "source": {"encoder_repetition_penalty": 1.5, "encoder_no_repeat_ngram_size": 1},
    "normalised": {
        "renormalize_logits": True, "repetition_penalty": 0.8, "num_beams": 4,
        "length_penalty": 0.6,
    },
    "decay": {"exponential_decay_length_penalty": (3, 1.3), "num_beams": 3},
    "allowed": {"prefix_allowed_tokens_fn": lambda _, tokens: list(range(len(tokens), 90, 2))},
    "allowed-beams": {
        "prefix_allowed_tokens_fn": lambda _, tokens: list(range(len(tokens), 90, 2)),
        "num_beams": 4, "early_stopping": True, "num_return_sequences": 4,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_rules(model, name):
    options = {"max_new_tokens": 9, "eos_token_id": model.ends, **MIXED[name]}
    compare_all(model, PROMPTS, options)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "early_stopping": "never"}])
def test_max_length_counts_the_prompt(model, options):
    compare_all(model, PROMPTS, {"max_length": 11, "eos_token_id": model.ends, **options})


class EndsAt(StoppingCriteria):
    """Ends a text of at least 4 new tokens after an even word."""

    def __init__(self, start):
        self.start = start

    def __call__(self, input_ids, scores, **_):
        enough = input_ids.shape[1] >= self.start + 4
        return (input_ids[:, -1] % 2 == 0) & enough


@pytest.mark.parametrize("beams", [1, 3])
def test_stopping_rule(model, beams):
    def stopping(history):
        rows = (history.row(i) for i in range(len(history)))
        lengths = history.lengths - history.prompt_lengths
        return [
            "callable" if row[-1] % 2 == 0 and length >= 4 else None
            for row, length in zip(rows, lengths, strict=True)
        ]

    options = {"max_new_tokens": 12, "eos_token_id": model.ends, "num_beams": beams}
    found, _ = model.ours(PROMPTS, stopping=stopping, **options)
    assert "callable" in {ending.finish_reason for one in found for ending in one}
    for tokens, one in zip(PROMPTS, found, strict=True):
        criteria = EndsAt(1 if model.encodes else len(tokens))
        expected = model.reference(tokens, stopping_criteria=[criteria], **options)
        if beams == 1:  # the reference stops here whatever the row, so nothing is padded
            expected = [(t, s, v[: len(t)]) for t, s, v in expected]
        compare(one, expected, 1.0 if beams > 1 else None)


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_prompt_lookup(model, penalty):
    written = calls = 0
    for tokens in PROMPTS[:3]:
        options = {
            "max_new_tokens": 40,
            "eos_token_id": model.one_end,
            "min_new_tokens": 30,
            "repetition_penalty": penalty,
        }
        (found,), reader = model.ours([tokens], prompt_lookup_num_tokens=5, lookup=True, **options)
        compare(found, model.reference(tokens, **options))
        written, calls = written + len(found[0].token_ids), calls + reader.calls
    assert penalty > 1 or calls < written


def logits_of(model, tokens, written):
    """Logits [new token, word] with which each new token was chosen, in one run."""
    with torch.no_grad():
        if model.encodes:
            decoded = torch.tensor([[START, *written[:-1]]])
            return model.torch(torch.tensor([tokens]), decoder_input_ids=decoded).logits[0]
        text = torch.tensor([[*tokens, *written[:-1]]])
        return model.torch(text).logits[0, len(tokens) - 1 :]


def test_sampled_log_probabilities(model):
    options = {"max_new_tokens": 10, "eos_token_id": model.ends, "do_sample": True}
    cuts = {"temperature": 1.4, "top_k": 20, "top_p": 0.9}
    found, _ = model.ours(PROMPTS, **options, **cuts, seed=7, num_return_sequences=3)
    warpers = LogitsProcessorList(
        [TemperatureLogitsWarper(1.4), TopKLogitsWarper(20), TopPLogitsWarper(0.9)]
    )
    for tokens, one in zip(PROMPTS, found, strict=True):
        assert len({ending.token_ids for ending in one}) == 3
        for ending in one:
            logits = logits_of(model, tokens, ending.token_ids)
            chances = torch.log_softmax(warpers(None, logits), dim=-1)
            expected = chances[torch.arange(len(logits)), torch.tensor(ending.token_ids)]
            np.testing.assert_allclose(ending.token_logprobs, expected.numpy(), atol=1e-4)
        alone, _ = model.ours([tokens], **options, **cuts, seed=7, num_return_sequences=3)
        assert [e.token_ids for e in alone[0]] == [e.token_ids for e in one]


def test_beam_sampling(model, monkeypatch):
    """With both draws replaced by the most likely ones, all else has to be the same."""

    def most_likely(probabilities, num_samples):
        return probabilities.topk(num_samples).indices

    monkeypatch.setattr(torch, "multinomial", most_likely)
    monkeypatch.setattr(
        selection, "race", lambda weights, scores, kept, _: np.argsort(-weights)[:kept]
    )
    options = {
        "max_new_tokens": 10,
        "eos_token_id": model.ends,
        "do_sample": True,
        "num_beams": 3,
        "num_return_sequences": 3,
        "temperature": 0.7,
        "top_k": 30,
    }
    compare_all(model, PROMPTS, options)


def test_tokens_come_as_they_are_chosen(model):
    """A cancelled stream frees the cache."""
    prompts, sources = model.prompt(PROMPTS[:1])
    reader = TorchReader(model.torch, sources)
    stream = generate(reader, prompts, Settings(max_new_tokens=12))
    first = [event for event in islice(stream, 3) if isinstance(event, NewToken)]
    assert reader.calls == 3
    ((tokens, _, logprobs),) = model.reference(PROMPTS[0], max_new_tokens=3)
    assert [event.token_id for event in first] == tokens
    given = np.array([event.logprob for event in first], np.float32)
    np.testing.assert_allclose(given, logprobs, atol=1e-4)
    stream.close()
    assert reader.closed and not reader.present
