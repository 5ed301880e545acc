"""A reader on exported graphs against transformers reading every text again from its start."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from onnxtasks.devices import resolve
from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.prefix import Prefixes
from onnxtasks.session import OrtSession
from onnxtasks_export.capture import capture
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.causal_decoder import causal_graphs
from onnxtasks_export.graphs.sequence_decoder import sequence_graphs
from onnxtasks_export.quiet import quiet
from onnxtasks_export.specs.decoder import decoder_spec
from tests.generation_checkpoints import GENERATORS, SEQUENCES
from tests.generation_reader import TorchReader

# Heads of their own and in groups, a window in all layers and in some, relative positions.
NAMES = ("gpt2-text", "mistral-text", "gemma3-text", "bart-summaries", "t5-rewriter")
LENGTHS = (5, 1, 9, 3)
SOURCES = (4, 11, 1, 7)


class Pair:
    """A model and its exported graphs, read side by side."""

    def __init__(self, name, folder):
        torch.manual_seed(0)
        GENERATORS[name](folder)
        kind: Any = transformers.AutoModelForCausalLM
        if name in SEQUENCES:
            kind = transformers.AutoModelForSeq2SeqLM
        with quiet():
            self.model = kind.from_pretrained(folder, dtype=torch.float32).eval()
        checkpoint = Checkpoint(name, "", self.model.config, self.model)
        make = sequence_graphs if name in SEQUENCES else causal_graphs
        device = resolve("cpu", ["CPUExecutionProvider"])
        self.sessions = {}
        for role, graph in make(checkpoint, None).items():
            capture(graph, folder / f"{role}.onnx")
            self.sessions[role] = OrtSession(folder / f"{role}.onnx", device, 1)
        self.spec = decoder_spec(self.model.config.to_dict())
        self.ids = min(self.spec.words, 90)

    def texts(self, lengths, seed=0):
        """Random token ids that are none of the special ones."""
        rng = np.random.default_rng(seed)
        return [rng.integers(10, self.ids, length) for length in lengths]

    def reader(self, count, expected=40, prefixes=None):
        """The exported graphs' reader, and transformers'."""
        sources = self.texts(SOURCES[:count], seed=1) if self.spec.encoder else None
        decoder, encoder = self.sessions["decoder"], self.sessions.get("encoder")
        reader = GraphReader(decoder, self.spec, encoder, expected=expected, prefixes=prefixes)
        if sources is not None:
            reader.begin(sources, pad_id=self.model.config.pad_token_id)
        return reader, TorchReader(self.model, sources, cached=False)


@pytest.fixture(scope="module", params=NAMES)
def pair(request, tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are so small that threads only wait for each other
    yield Pair(request.param, tmp_path_factory.mktemp(request.param))
    torch.set_num_threads(threads)


def same(found, expected):
    np.testing.assert_allclose(found.all_logits(), expected.all_logits(), atol=1e-4, rtol=1e-4)


def walk(pair, readers, rng, sentences, rows, before, steps):
    """Steps with random tokens and parents; each compared."""
    for _ in range(steps):
        tokens = rng.integers(10, pair.ids, (sentences, rows))
        parents = rng.integers(0, before, (sentences, rows))
        same(*(reader.step(tokens, parents) for reader in readers))
        before = rows


def test_ragged_prompts_rows_and_leaving(pair):
    readers, rng = pair.reader(4, expected=3), np.random.default_rng(2)
    same(*(reader.prompt(pair.texts(LENGTHS)) for reader in readers))
    walk(pair, readers, rng, 4, rows=3, before=1, steps=6)
    for kept in ([0, 2, 3], [0, 1], [1]):
        for reader in readers:
            reader.keep(kept)
        walk(pair, readers, rng, len(kept), rows=3, before=3, steps=3)


def test_long_texts_of_many_rows(pair):
    """Past the window, and with slots dropped."""
    readers, rng = pair.reader(2), np.random.default_rng(3)
    same(*(reader.prompt(pair.texts((30, 12))) for reader in readers))
    walk(pair, readers, rng, 2, rows=4, before=1, steps=45)
    assert readers[0]._slots.filled < 30 + 4 * 45 - 64


def test_drafts_are_read_and_forgotten(pair):
    readers = pair.reader(1)
    same(*(reader.prompt(pair.texts((6,))) for reader in readers))
    for seed, (length, wrong) in enumerate([(4, 2), (1, 0), (7, 7), (30, 1)]):
        (tokens,) = pair.texts((length,), seed + 5)
        same(*(reader.chain(tokens) for reader in readers))
        for reader in readers:
            reader.forget(wrong)
    walk(pair, readers, np.random.default_rng(4), 1, rows=2, before=1, steps=2)


def test_the_best_of_each_row(pair):
    readers = pair.reader(3)
    prompts, tokens = pair.texts(LENGTHS[:3]), np.array([[11, 12], [13, 14], [15, 16]])
    calls = [reader.prompt(prompts, top=4) for reader in readers]
    for found, expected in (
        calls,
        [reader.step(tokens, np.zeros_like(tokens), top=7) for reader in readers],
    ):
        np.testing.assert_allclose(found.top_scores, expected.top_scores, atol=1e-4, rtol=1e-4)
        assert found.top_ids.tolist() == expected.top_ids.tolist()


def test_kept_prefixes(pair):
    """An encoder-decoder keeps none: its slots depend on the source."""
    prefixes = Prefixes(10**8)
    text, more = pair.texts((20, 5))
    for prompt in (text[:12], text, np.concatenate([text[:15], more]), text):
        reader, reference = pair.reader(1, prefixes=prefixes)
        readers = reader, reference
        same(*(reader.prompt([prompt]) for reader in readers))
        walk(pair, readers, np.random.default_rng(6), 1, rows=1, before=1, steps=3)
        reader.close()
        assert (prefixes.bytes > 0) == (not pair.spec.encoder)


def test_nothing_is_kept_of_a_call(pair):
    """Two calls of different sizes after each other, from the same sessions."""
    for count in (4, 1, 2):
        readers = pair.reader(count)
        same(*(reader.prompt(pair.texts(LENGTHS[:count])) for reader in readers))
        walk(pair, readers, np.random.default_rng(7), count, rows=2, before=1, steps=2)
        readers[0].close()
