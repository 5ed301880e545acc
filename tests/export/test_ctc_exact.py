"""CTC decoding and normalising against transformers' own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
)
from transformers.pipelines import AutomaticSpeechRecognitionPipeline

from onnxtasks.ops.audio import normalise
from onnxtasks.ops.ctc import frame_count
from onnxtasks.ops.scores import Float
from onnxtasks.tasks.speech_recognition import CtcSpeechSpec, SpeechRecognizer
from onnxtasks_export.specs.speech_recognition import spec, tokenizer_settings

# Multi-character, upper case, spaces, punctuation, the delimiters' own texts.
SYMBOLS = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "b", "É", "'", "s", "ch", " ", ".", "_"]
SYMBOL_COUNT = len(SYMBOLS) + 2  # the last two are unknown to the tokenizer
TOKENIZERS: dict[str, dict[str, Any]] = {
    "default": {},
    "lower case": {"do_lower_case": True},
    "clean up": {"clean_up_tokenization_spaces": True, "do_lower_case": True},
    "delimiter text": {"replace_word_delimiter_char": "_"},
    "other blank and delimiter": {"pad_token": "s", "word_delimiter_token": "A"},
    "space as delimiter": {"word_delimiter_token": " "},
    "special tokens added": {"bos_token": "<bos>", "eos_token": "<eos>"},
    "unknown is blank": {"unk_token": "<pad>"},
}
CONFIG: dict[str, Any] = {
    "vocab_size": SYMBOL_COUNT,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "conv_dim": (8, 8),
    "conv_kernel": (10, 3),
    "conv_stride": (5, 2),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


class References:
    """A pipeline and our task for each tokenizer."""

    def __init__(self, folder: Path) -> None:
        vocabulary = folder / "vocab.json"
        vocabulary.write_text(json.dumps({text: i for i, text in enumerate(SYMBOLS)}))
        extractor = Wav2Vec2FeatureExtractor(sampling_rate=7000)
        config = Wav2Vec2Config(**CONFIG)
        model = Wav2Vec2ForCTC(config).eval()
        self.pairs = {}
        for name, options in TOKENIZERS.items():
            tokenizer = Wav2Vec2CTCTokenizer(str(vocabulary), **options)
            pipeline = AutomaticSpeechRecognitionPipeline(
                model=model, tokenizer=tokenizer, feature_extractor=extractor, device="cpu"
            )
            plain = tokenizer_settings(tokenizer, SYMBOL_COUNT)
            made: CtcSpeechSpec = spec(extractor.to_dict(), plain, config.to_dict())
            self.pairs[name] = pipeline, SpeechRecognizer(NoSession(), made)


class NoSession:
    """Only postprocessing is asked for."""

    def run(self, feeds, outputs=None):
        raise AssertionError(feeds)


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return References(tmp_path_factory.mktemp("tokenizer"))


def logits_of(ids) -> Float:
    logits: Float = np.zeros((len(ids), SYMBOL_COUNT), np.float32)
    logits[np.arange(len(ids)), ids] = 5
    return logits


# Runs of one id, so that repeats and blanks between them are common.
runs = st.tuples(st.integers(0, SYMBOL_COUNT - 1) | st.sampled_from([0, 4, 5]), st.integers(1, 3))
sequences = st.lists(runs, max_size=12).map(lambda parts: [i for i, n in parts for _ in range(n)])


@settings(max_examples=500, deadline=None)
@given(name=st.sampled_from(sorted(TOKENIZERS)), ids=sequences)
def test_text_characters_and_words_are_the_pipelines(references, name, ids):
    pipeline, task = references.pairs[name]

    heard = task.postprocess(logits_of(ids))

    answers = {
        kind: pipeline.postprocess(
            [{"tokens": torch.tensor([ids], dtype=torch.int64)}], return_timestamps=kind
        )
        for kind in ("word", "char")
    }
    assert heard.to_dict() == {key: answers["word"][key] for key in ("text", "chunks")}
    characters = [(span.text, (span.start, span.end)) for span in heard.characters]
    assert characters == [(c["text"], c["timestamp"]) for c in answers["char"]["chunks"]]
    assert [span.text for span in heard.segments] == ([heard.text] if heard.text else [])


@settings(deadline=None)
@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=200),
    st.sampled_from([1.0, 1e-6, 0.0, 1e3]),
)
def test_normalising_is_the_feature_extractors(values, scale):
    samples = np.array(values, np.float32) * np.float32(scale)
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=7000, return_attention_mask=True)

    theirs = extractor(samples, sampling_rate=7000, return_tensors="np").input_values[0]

    ours = normalise(samples)
    assert ours.dtype == theirs.dtype == np.float32
    assert (ours == theirs).all()


def test_frame_counts_are_the_models():
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**CONFIG))
    samples = torch.arange(20, 400)

    theirs = model._get_feat_extract_output_lengths(samples)

    ours = [frame_count(int(n), CONFIG["conv_kernel"], CONFIG["conv_stride"]) for n in samples]
    assert ours == theirs.tolist()
