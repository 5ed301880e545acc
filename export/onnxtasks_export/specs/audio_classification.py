"""Feature extractor and config of an audio classifier -> `AudioClassificationSpec`."""

from collections.abc import Callable, Mapping
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.ops.ctc import receptive_field
from onnxtasks.ops.fbank import FRAME, RATE, FbankSpec
from onnxtasks.ops.labels import Function
from onnxtasks.speech.whisper_spec import MelSpec
from onnxtasks.tasks.audio_classification import (
    AudioClassificationSpec,
    LogMelFeatures,
    RawSamples,
)
from onnxtasks_export.specs.labels import ordered_labels
from onnxtasks_export.specs.wave import takes_mask

WINDOW_SECONDS = 30.0
"""Of models that hear samples: attention over more takes much memory."""

Settings = Mapping[str, Any]
Heard = tuple[AudioSpec, RawSamples | FbankSpec | LogMelFeatures]


def spec(extractor: Settings, config: Settings) -> AudioClassificationSpec:
    """Freeze everything that the runtime needs to know about the model.

    Args:
        extractor: The feature extractor's `to_dict()`.
        config: The model's.

    Raises:
        UnsupportedModelError: A setting that the runtime does not reproduce, or features that the
            model does not take.
    """
    kind, family = extractor.get("feature_extractor_type"), config["model_type"]
    wanted, read = READS[family]
    if kind != wanted:
        raise UnsupportedModelError(
            f"the feature extractor is {kind!r}; supported with {family}: {wanted}"
        )
    audio, hears = read(extractor, config)
    return AudioClassificationSpec(
        audio=audio,
        window_seconds=min(WINDOW_SECONDS, audio.max_seconds),
        hears=hears,
        labels=ordered_labels(config),
        function=score_function(config.get("problem_type")),
    )


def score_function(problem_type: str | None) -> Function:
    """What transformers 5.23's AudioClassificationPipeline applies by default.

    Unlike those of texts and images it takes softmax for a single class too, whose score is 1.
    """
    if problem_type == "regression":
        return "none"
    return "sigmoid" if problem_type == "multi_label_classification" else "softmax"


def _samples(extractor: Settings, config: Settings) -> Heard:
    if extractor["feature_size"] != 1:
        raise UnsupportedModelError(
            f"feature_size is {extractor['feature_size']}; supported: 1 (raw samples)"
        )
    audio = AudioSpec(
        sampling_rate=extractor["sampling_rate"],
        normalize=extractor["do_normalize"],
        padding_value=float(extractor["padding_value"]),
        min_samples=receptive_field(config["conv_kernel"], config["conv_stride"]),
    )
    return audio, RawSamples(attention_mask=takes_mask(config))


def _filter_banks(extractor: Settings, config: Settings) -> Heard:
    if extractor["sampling_rate"] != RATE:
        raise UnsupportedModelError(
            f"sampling_rate is {extractor['sampling_rate']}; supported with filter banks: {RATE}"
        )
    made = (extractor["max_length"], extractor["num_mel_bins"])
    taken = (config["max_length"], config["num_mel_bins"])
    _check_length(made, taken, "max_length and num_mel_bins")
    normal = extractor["do_normalize"]
    fbank = FbankSpec(
        n_mels=extractor["num_mel_bins"],
        frames=extractor["max_length"],
        mean=extractor["mean"] if normal else 0.0,
        std=extractor["std"] if normal else 0.5,
    )
    return _whole(RATE, FRAME, fbank.samples), fbank


def _log_mel(extractor: Settings, config: Settings) -> Heard:
    for name in ("dither", "padding_value"):
        if extractor.get(name, 0.0) != 0:
            raise UnsupportedModelError(f"{name} is {extractor[name]}; supported: 0")
    mel = MelSpec(
        n_fft=extractor["n_fft"],
        hop_length=extractor["hop_length"],
        n_mels=extractor["feature_size"],
        sampling_rate=extractor["sampling_rate"],
        chunk_seconds=float(extractor["chunk_length"]),
    )
    taken = (2 * config["max_source_positions"], config["num_mel_bins"])
    _check_length((mel.frames, mel.n_mels), taken, "frames and bands")
    return _whole(mel.sampling_rate, 1, mel.samples), LogMelFeatures(mel=mel)


READS: dict[str, tuple[str, Callable[[Settings, Settings], Heard]]] = {
    "audio-spectrogram-transformer": ("ASTFeatureExtractor", _filter_banks),
    "hubert": ("Wav2Vec2FeatureExtractor", _samples),
    "wav2vec2": ("Wav2Vec2FeatureExtractor", _samples),
    "wavlm": ("Wav2Vec2FeatureExtractor", _samples),
    "whisper": ("WhisperFeatureExtractor", _log_mel),
}
"""Model type -> its feature extractor, and what reads that one's settings."""


def _whole(rate: int, least: int, most: int) -> AudioSpec:
    """What a model of features takes: samples as they are, from the least number to the most."""
    return AudioSpec(
        sampling_rate=rate,
        normalize=False,
        padding_value=0.0,
        min_samples=least,
        max_seconds=most / rate,
    )


def _check_length(made: tuple[int, int], taken: tuple[int, int], what: str) -> None:
    if made != taken:
        raise UnsupportedModelError(
            f"the feature extractor makes {what} {list(made)}, the model takes {list(taken)}; the "
            "original fails too"
        )
