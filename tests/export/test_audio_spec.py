"""Checkpoints of audio classifiers: their settings, their features, their graphs in torch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import ASTFeatureExtractor, WhisperFeatureExtractor

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.ops.fbank import Fbank, FbankSpec
from onnxtasks.session import Feeds, Outputs
from onnxtasks.tasks.audio_classification import AudioClassifier, LogMelFeatures, RawSamples
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.audio_classifier import audio_graph
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.originals.audio_classification import ask, comparison, spec_of
from onnxtasks_export.originals.base import ask_classifier
from onnxtasks_export.quiet import quiet
from onnxtasks_export.specs.audio_classification import score_function, spec
from tests.audio_checkpoints import RATE, SOUNDS, awaken

SAMPLES = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "sampling_rate": 16000,
    "padding_value": 0.0,
    "do_normalize": True,
}
WAV2VEC2 = {
    "model_type": "wav2vec2",
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 2, 2],
    "feat_extract_norm": "layer",
    "id2label": {1: "b", 0: "a"},
    "problem_type": None,
}
BANKS = {
    "feature_extractor_type": "ASTFeatureExtractor",
    "sampling_rate": 16000,
    "num_mel_bins": 128,
    "max_length": 1024,
    "do_normalize": True,
    "mean": -4.25,
    "std": 4.5,
}
AST = {
    "model_type": "audio-spectrogram-transformer",
    "max_length": 1024,
    "num_mel_bins": 128,
    "id2label": {0: "a"},
}
MEL = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "sampling_rate": 16000,
    "feature_size": 80,
    "n_fft": 400,
    "hop_length": 160,
    "chunk_length": 30,
    "dither": 0.0,
    "padding_value": 0.0,
}
WHISPER = {
    "model_type": "whisper",
    "max_source_positions": 1500,
    "num_mel_bins": 80,
    "id2label": {0: "a"},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower with more: their threads wait for busy cores."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def test_the_spec_of_samples():
    made = spec(SAMPLES, WAV2VEC2)
    assert made.audio == AudioSpec(
        sampling_rate=16000, normalize=True, padding_value=0.0, min_samples=40
    )
    assert made.hears == RawSamples(attention_mask=True)
    assert (made.window_seconds, made.audio.max_seconds) == (30.0, 120.0)
    assert made.labels == ("a", "b")
    assert made.function == "softmax"
    group = spec(SAMPLES, {**WAV2VEC2, "feat_extract_norm": "group"})
    assert group.hears == RawSamples(attention_mask=False)


def test_the_spec_of_filter_banks():
    made = spec(BANKS, AST)
    assert made.audio.min_samples == 400
    assert made.window_seconds == made.audio.max_seconds == 10.255  # what 1024 frames are made of
    assert made.hears == FbankSpec(n_mels=128, frames=1024, mean=-4.25, std=4.5)
    plain = spec({**BANKS, "do_normalize": False}, AST)
    assert plain.hears == FbankSpec(n_mels=128, frames=1024, mean=0.0, std=0.5)


def test_the_spec_of_log_mel_features():
    made = spec(MEL, WHISPER)
    assert isinstance(made.hears, LogMelFeatures)
    assert (made.hears.mel.n_mels, made.hears.mel.frames) == (80, 3000)
    assert (made.window_seconds, made.audio.max_seconds, made.audio.min_samples) == (30, 30, 1)


@pytest.mark.parametrize(
    ("problem", "function"),
    [
        (None, "softmax"),
        ("single_label_classification", "softmax"),
        ("multi_label_classification", "sigmoid"),
        ("regression", "none"),
    ],
)
def test_scores_are_the_pipelines(problem, function):
    assert score_function(problem) == function
    assert spec(SAMPLES, {**WAV2VEC2, "problem_type": problem}).function == function


@pytest.mark.parametrize(
    ("extractor", "config", "changes", "message"),
    [
        (MEL, WAV2VEC2, {}, "is 'WhisperFeatureExtractor'; supported with wav2vec2: Wav2Vec2F"),
        (SAMPLES, AST, {}, "is 'Wav2Vec2FeatureExtractor'; supported with audio-spectrogram-tr"),
        (SAMPLES, WAV2VEC2, {"feature_size": 80}, "feature_size is 80; supported: 1"),
        (SAMPLES, {**WAV2VEC2, "add_adapter": True}, {}, "add_adapter is true"),
        (SAMPLES, {**WAV2VEC2, "feat_extract_norm": "batch"}, {}, "feat_extract_norm is 'batch'"),
        (BANKS, AST, {"sampling_rate": 8000}, "sampling_rate is 8000; supported with filter"),
        (BANKS, AST, {"max_length": 512}, r"makes max_length and num_mel_bins \[512, 128\], the "),
        (MEL, WHISPER, {"dither": 1e-4}, "dither is 0.0001; supported: 0"),
        (MEL, WHISPER, {"padding_value": 1.0}, "padding_value is 1.0; supported: 0"),
        (MEL, WHISPER, {"chunk_length": 20}, r"\[2000, 80\], the model takes \[3000, 80\]; the or"),
        (MEL, WHISPER, {"feature_size": 128}, r"frames and bands \[3000, 128\]"),
    ],
)
def test_what_the_runtime_does_not_reproduce_is_refused(extractor, config, changes, message):
    with pytest.raises(UnsupportedModelError, match=message):
        spec({**extractor, **changes}, config)


@pytest.mark.parametrize("size", [400, 559, 560, 5000, 64240, 64399, 70000])
@pytest.mark.parametrize("normal", [True, False])
def test_filter_banks_are_the_feature_extractors(size, normal):
    extractor = ASTFeatureExtractor(max_length=400, num_mel_bins=32, do_normalize=normal)
    hears = spec(extractor.to_dict(), {**AST, "max_length": 400, "num_mel_bins": 32}).hears
    assert isinstance(hears, FbankSpec)
    rng = np.random.default_rng(size)
    samples = (rng.normal(size=size) * rng.uniform(0.01, 1)).astype(np.float32)
    samples[size // 3 : size // 2] = 0
    theirs = extractor(samples, sampling_rate=RATE, return_tensors="np")["input_values"][0]
    ours = Fbank(hears)(samples)
    assert ours.dtype == theirs.dtype == np.float32
    assert np.abs(ours - theirs).max() < 1e-5


class TorchSession:
    """Runs a graph's module in torch."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, feeds: Feeds, outputs: object = None) -> Outputs:
        with torch.no_grad(), quiet():
            logits = self.graph.module(*(torch.from_numpy(feeds[n]) for n in self.graph.inputs))
        return {"logits": logits.numpy()}


WAVE = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "conv_dim": (8, 8, 12),
    "conv_kernel": (10, 8, 8),
    "conv_stride": (5, 8, 8),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 6,
    "initializer_range": 0.3,
    "num_labels": 4,
}
GROUP = {"feat_extract_norm": "group"}
LAYER = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
SUM = {"use_weighted_layer_sum": True}
WAVES: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2 group": ("Wav2Vec2", GROUP),
    "wav2vec2 layer": ("Wav2Vec2", LAYER),
    "wav2vec2 sum": ("Wav2Vec2", {**LAYER, **SUM}),
    "wav2vec2 norm first": ("Wav2Vec2", {"feat_extract_norm": "layer", **SUM}),
    "hubert group": ("Hubert", {**GROUP, **SUM}),
    "hubert layer": ("Hubert", LAYER),
    "hubert batch norm": ("Hubert", {**LAYER, "conv_pos_batch_norm": True}),
    "wavlm group": ("WavLM", GROUP),
    "wavlm layer": ("WavLM", {**LAYER, **SUM}),
}


def wave_checkpoint(name: str) -> Checkpoint:
    family, settings = WAVES[name]
    torch.manual_seed(3)
    config = getattr(transformers, f"{family}Config")(**{**WAVE, **settings})
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # fresh biases are 0 and fresh scales 1, which hides mistakes
                parameter.normal_(0.3, 0.3)
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    awaken(model, extractor, spread=0.1)
    return Checkpoint(
        "here", "audio-classification", config, model, {"feature_extractor": extractor}
    )


def whisper_checkpoint() -> Checkpoint:
    torch.manual_seed(3)
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        max_source_positions=200,
        classifier_proj_size=6,
        num_labels=4,
        use_weighted_layer_sum=True,
        init_std=0.3,
    )
    model = transformers.WhisperForAudioClassification(config).eval()
    extractor = WhisperFeatureExtractor(chunk_length=4)
    awaken(model, extractor, spread=0.1)
    return Checkpoint(
        "here", "audio-classification", config, model, {"feature_extractor": extractor}
    )


@pytest.mark.parametrize("name", [*WAVES, "whisper sum"])
def test_the_task_answers_as_the_pipeline(name):
    checkpoint = whisper_checkpoint() if name == "whisper sum" else wave_checkpoint(name)
    before = set(checkpoint.model.state_dict())
    made = spec_of(checkpoint)
    task = AudioClassifier(TorchSession(audio_graph(checkpoint, made)), made)
    compare = comparison(checkpoint)
    items = compare.samples(np.random.default_rng(1))
    with quiet():
        originals = [compare.original(item) for item in items]

    answers = ask_classifier(task, items)

    assert [answer.key for answer in answers] == [original.key for original in originals]
    assert np.ptp([original.scores.max() for original in originals]) > 1e-3
    for answer, original in zip(answers, originals, strict=True):
        assert np.abs(answer.scores - original.scores).max() < 1e-5
    assert set(checkpoint.model.state_dict()) == before  # the model that was given is whole


def test_a_long_recording_is_the_mean_of_what_the_pipeline_says_of_its_windows():
    checkpoint = whisper_checkpoint()
    made = spec_of(checkpoint)
    task = AudioClassifier(TorchSession(audio_graph(checkpoint, made)), made)
    samples = np.random.default_rng(2).normal(size=9 * RATE).astype(np.float32)
    samples[: 4 * RATE] *= 0.01
    samples[4 * RATE : 8 * RATE : 2] = 0
    pipeline = transformers.AudioClassificationPipeline(
        model=checkpoint.model, feature_extractor=checkpoint.processors["feature_extractor"]
    )
    starts = (0, 4 * RATE, 5 * RATE)
    alone = [ask(pipeline, samples[start : start + 4 * RATE]) for start in starts]

    found = {label.index: label.score for label in task((samples, RATE), top_k=None)}

    assert [found[index] for index in range(4)] == pytest.approx(np.mean(alone, 0), abs=1e-5)
    assert np.ptp(alone, 0).max() > 1e-3
    whole = comparison(checkpoint).original((samples, RATE)).scores[0]
    assert whole == pytest.approx(np.mean(alone, 0), abs=1e-6)


def test_other_architectures_are_refused():
    checkpoint = wave_checkpoint("wav2vec2 group")
    other = Checkpoint("here", checkpoint.task, checkpoint.config, torch.nn.Linear(1, 1))
    with pytest.raises(UnsupportedModelError, match="no audio classifier's graph for Linear; supp"):
        audio_graph(other, spec_of(checkpoint))


def test_a_checkpoint_of_every_family_is_compared():
    from onnxtasks_export.tasks import EXPORTS

    assert {name.removesuffix("-group").removesuffix("-sounds") for name in SOUNDS} == set(
        EXPORTS["audio-classification"].families
    )
