"""Adapters of a language (MMS): merged into the model, and written into its graph."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
)

from onnxtasks.devices import resolve
from onnxtasks.errors import ExportError
from onnxtasks.session import Feeds, OrtSession
from onnxtasks_export.adapters import merge_adapter
from onnxtasks_export.capture import capture
from onnxtasks_export.checkpoint import Checkpoint, load_model, load_tokenizer
from onnxtasks_export.graphs.ctc import ctc_graph
from onnxtasks_export.originals.speech_recognition import spec_of
from tests.export.test_speech_spec import LAYER, SMALL

VOCABULARIES = {
    "eng": ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C"],
    "fra": ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "É"],
}


@pytest.fixture
def folder(tmp_path):
    """A checkpoint in "eng", and the adapter of "fra" beside it."""
    settings = {**SMALL, **LAYER, "adapter_attn_dim": 4}
    torch.manual_seed(5)
    french = Wav2Vec2ForCTC(Wav2Vec2Config(**{**settings, "vocab_size": 7})).eval()
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**settings))
    with torch.no_grad():
        for one in (french, model):
            for weight in one._get_adapters().values():
                weight.normal_(0, 1)
    model.save_pretrained(tmp_path)
    save_file(french._get_adapters(), tmp_path / "adapter.fra.safetensors")
    Wav2Vec2FeatureExtractor(sampling_rate=2000, return_attention_mask=True).save_pretrained(
        tmp_path
    )
    return tmp_path


def checkpoint_of(folder, language) -> Checkpoint:
    path = folder / "words.json"
    numbered = {
        name: {symbol: index for index, symbol in enumerate(symbols)}
        for name, symbols in VOCABULARIES.items()
    }
    path.write_text(json.dumps(numbered))
    Wav2Vec2CTCTokenizer(str(path), target_lang=language).save_pretrained(folder)
    model, _ = load_model(str(folder), "AutoModelForCTC")
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    processors = {"tokenizer": load_tokenizer(str(folder)), "feature_extractor": extractor}
    task = "automatic-speech-recognition"
    return Checkpoint(str(folder), task, model.config, model, processors)


def test_the_adapter_of_the_tokenizers_language_is_merged_and_captured(folder, tmp_path):
    reference = Wav2Vec2ForCTC.from_pretrained(
        folder, target_lang="fra", ignore_mismatched_sizes=True
    ).eval()
    merged = merge_adapter(checkpoint_of(folder, "fra"))
    spec = spec_of(merged)
    graph = ctc_graph(merged, spec)

    assert spec.ctc.symbols == tuple(VOCABULARIES["fra"])
    path = tmp_path / "fra.onnx"
    capture(graph, path)
    session = OrtSession(path, resolve("cpu", ["CPUExecutionProvider"]), threads=1)
    sound = np.random.default_rng(0).normal(size=(1, 1000)).astype(np.float32)
    feeds: Feeds = {"input_values": sound, "attention_mask": np.ones((1, 1000), np.int64)}
    with torch.no_grad():
        expected = reference(torch.from_numpy(sound)).logits.numpy()
        english = checkpoint_of(folder, "eng").model(torch.from_numpy(sound)).logits.numpy()
    found = session.run(feeds)["logits"]
    assert np.abs(found - expected).max() < 1e-4
    assert english.shape[-1] == 8
    assert np.abs(found - english[..., :7]).max() > 0.1


def test_a_model_that_holds_its_language_stays_as_it_is(folder):
    checkpoint = checkpoint_of(folder, "eng")

    assert merge_adapter(checkpoint) is checkpoint
    plain = replace(checkpoint, processors={})
    assert merge_adapter(plain) is plain


def test_a_language_without_an_adapter_is_refused(folder):
    (folder / "adapter.fra.safetensors").unlink()

    with pytest.raises(ExportError, match="no adapter.fra.safetensors, and its head scores 8"):
        merge_adapter(checkpoint_of(folder, "fra"))
    (folder / "adapter.fra.bin").write_bytes(b"")
    with pytest.raises(ExportError, match="adapter.fra.bin is pickled"):
        merge_adapter(checkpoint_of(folder, "fra"))


def test_an_adapter_of_another_model_is_refused(folder):
    save_file({"lm_head.weight": torch.zeros(7, 16)}, folder / "adapter.fra.safetensors")

    with pytest.raises(ExportError, match="the adapter of 'fra': .*missing keys"):
        merge_adapter(checkpoint_of(folder, "fra"))
