"""Checkpoints of CTC models: their settings, their graphs, their comparison."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    HubertConfig,
    HubertForCTC,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WavLMConfig,
    WavLMForCTC,
)

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Feeds, Outputs
from onnxtasks.tasks.speech_recognition import SpeechRecognizer
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.ctc import ctc_graph
from onnxtasks_export.originals.speech_recognition import comparison, spec_of
from onnxtasks_export.specs.speech_recognition import spec, tokenizer_settings

SYMBOLS = ("<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C")
EXTRACTOR = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "sampling_rate": 16000,
    "padding_value": 0.0,
    "do_normalize": True,
}
TOKENIZER = {
    "symbols": SYMBOLS,
    "pad_token": "<pad>",
    "word_delimiter_token": "|",
    "replace_word_delimiter_char": " ",
    "do_lower_case": True,
    "clean_up_tokenization_spaces": False,
}
CONFIG = {"conv_kernel": [10, 3, 3], "conv_stride": [5, 2, 2], "feat_extract_norm": "layer"}
SMALL = {
    "vocab_size": 8,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "conv_dim": (8, 8, 12),
    "conv_kernel": (10, 3, 2),
    "conv_stride": (5, 2, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}
GROUP = {"feat_extract_norm": "group"}
LAYER = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "wav2vec2 group": (Wav2Vec2Config, Wav2Vec2ForCTC, GROUP),
    "wav2vec2 layer": (Wav2Vec2Config, Wav2Vec2ForCTC, LAYER),
    "wav2vec2 norm first": (Wav2Vec2Config, Wav2Vec2ForCTC, {"feat_extract_norm": "layer"}),
    "hubert group": (HubertConfig, HubertForCTC, GROUP),
    "hubert layer": (HubertConfig, HubertForCTC, LAYER),
    "hubert batch norm": (HubertConfig, HubertForCTC, {**LAYER, "conv_pos_batch_norm": True}),
    "wavlm group": (WavLMConfig, WavLMForCTC, GROUP),
    "wavlm layer": (WavLMConfig, WavLMForCTC, LAYER),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower with more: their threads wait for busy cores."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({symbol: index for index, symbol in enumerate(SYMBOLS)}))
    return Wav2Vec2CTCTokenizer(str(path))


def checkpoint_of(name, tokenizer) -> Checkpoint:
    config_class, model_class, settings = MODELS[name]
    config = config_class(**{**SMALL, **settings})
    torch.manual_seed(3)
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # fresh biases are 0 and fresh scales 1, which hides mistakes
                parameter.normal_(0.3, 0.3)
        model.lm_head.weight.normal_(0, 2)
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=2000, return_attention_mask=True)
    processors = {"tokenizer": tokenizer, "feature_extractor": extractor}
    return Checkpoint("made here", "automatic-speech-recognition", config, model, processors)


class TorchSession:
    """Runs a graph's module in torch."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, feeds: Feeds, outputs: object = None) -> Outputs:
        with torch.no_grad():
            logits = self.graph.module(*(torch.from_numpy(feeds[n]) for n in self.graph.inputs))
        return {"logits": logits.numpy()}


def test_the_spec_holds_every_setting():
    made = spec(EXTRACTOR, TOKENIZER, CONFIG)

    assert (made.audio.sampling_rate, made.audio.normalize) == (16000, True)
    assert (made.audio.padding_value, made.audio.min_samples) == (0.0, 40)
    assert (made.ctc.symbols, made.ctc.blank, made.ctc.word_delimiter) == (SYMBOLS, 0, "|")
    assert (made.ctc.lower_case, made.ctc.clean_up, made.ctc.delimiter_text) == (True, False, " ")
    assert (made.conv_kernels, made.conv_strides) == ((10, 3, 3), (5, 2, 2))
    assert made.attention_mask


@pytest.mark.parametrize(
    ("changes", "mask"),
    [
        ({"feat_extract_norm": "group"}, False),
        ({"conv_pos_batch_norm": True}, False),
        ({"conv_pos_batch_norm": False}, True),
    ],
)
def test_norms_over_the_padding_take_no_mask(changes, mask):
    assert spec(EXTRACTOR, TOKENIZER, {**CONFIG, **changes}).attention_mask == mask


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        (0, {"feature_extractor_type": "WhisperFeatureExtractor"}, "WhisperFeatureExtractor"),
        (0, {"feature_size": 80}, "feature_size is 80; supported: 1"),
        (1, {"pad_token": None}, "padding token None, which is CTC's blank"),
        (1, {"pad_token": "<blank>"}, "padding token '<blank>'"),
        (1, {"symbols": ["<pad>", None]}, "ids without a symbol"),
        (2, {"add_adapter": True}, "add_adapter is true"),
        (2, {"feat_extract_norm": "batch"}, "feat_extract_norm is 'batch'"),
    ],
)
def test_what_the_runtime_does_not_reproduce_is_refused(part, changes, message):
    parts: list[Any] = [EXTRACTOR, TOKENIZER, CONFIG]
    parts[part] = {**parts[part], **changes}

    with pytest.raises(UnsupportedModelError, match=message):
        spec(*parts)


def test_tokenizer_settings_are_read(tokenizer):
    settings = tokenizer_settings(tokenizer, 10)

    assert settings["symbols"] == [*SYMBOLS, "<unk>", "<unk>"]
    assert {**settings, "symbols": SYMBOLS, "do_lower_case": True} == TOKENIZER
    with pytest.raises(UnsupportedModelError, match="the tokenizer is a str"):
        tokenizer_settings("abc", 10)


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # WavLM's own code
@pytest.mark.parametrize("name", MODELS)
def test_a_padded_batch_answers_as_the_model_alone(name, tokenizer):
    checkpoint = checkpoint_of(name, tokenizer)
    made = spec_of(checkpoint)
    graph = ctc_graph(checkpoint, made)

    for sizes in graph.sizes:
        feeds = graph.feeds(sizes, np.random.default_rng(5))
        logits = TorchSession(graph).run(feeds)["logits"]
        mask = feeds.get("attention_mask", np.ones(feeds["input_values"].shape, np.int64))
        for row, length in enumerate(mask.sum(-1)):
            alone = torch.from_numpy(feeds["input_values"][row : row + 1, :length])
            with torch.no_grad():
                expected = checkpoint.model(alone).logits[0].numpy()
            assert np.abs(logits[row, : len(expected)] - expected).max() < 1e-5


@pytest.mark.parametrize("name", ["wav2vec2 group", "wav2vec2 layer"])
def test_the_task_answers_as_the_pipeline(name, tokenizer):
    checkpoint = checkpoint_of(name, tokenizer)
    made = spec_of(checkpoint)
    task = SpeechRecognizer(TorchSession(ctc_graph(checkpoint, made)), made)
    compare = comparison(checkpoint)
    items = compare.samples(np.random.default_rng(1))

    answers = compare.bundle(task, items)

    originals = [compare.original(item) for item in items]
    assert len(items) >= 8
    assert min(original.margin for original in originals) > 1e-5  # no ties: keys must be equal
    assert [answer.key for answer in answers] == [original.key for original in originals]
    assert len({original.key for original in originals}) > 1
    for answer, original in zip(answers, originals, strict=True):
        assert np.abs(answer.scores - original.scores).max() < 1e-5


def test_the_graph_computes_no_weights_and_leaves_the_model_whole(tokenizer):
    checkpoint = checkpoint_of("wav2vec2 layer", tokenizer)
    before = set(checkpoint.model.state_dict())

    graph = ctc_graph(checkpoint, spec_of(checkpoint))

    assert not any("parametrizations" in key for key in graph.module.state_dict())
    assert any("parametrizations" in key for key in before)
    assert set(checkpoint.model.state_dict()) == before
    assert checkpoint.model(torch.zeros(1, 100)).logits.shape[-1] == len(SYMBOLS)


def test_other_architectures_are_refused(tokenizer):
    checkpoint = checkpoint_of("wav2vec2 layer", tokenizer)
    other = Checkpoint("made here", checkpoint.task, checkpoint.config, torch.nn.Linear(1, 1))

    with pytest.raises(UnsupportedModelError, match=r"no CTC graph for Linear; .*Wav2Vec2ForCTC"):
        ctc_graph(other, spec_of(checkpoint))
