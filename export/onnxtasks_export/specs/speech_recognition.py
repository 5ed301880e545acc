"""Feature extractor, tokenizer and config of a CTC model -> `CtcSpeechSpec`."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.ops.ctc import CtcSpec, receptive_field
from onnxtasks.tasks.speech_recognition import CtcSpeechSpec
from onnxtasks_export.specs.wave import takes_mask

FEATURE_EXTRACTOR = "Wav2Vec2FeatureExtractor"
TOKENIZER = "Wav2Vec2CTCTokenizer"


def spec(
    feature_extractor: Mapping[str, Any],
    tokenizer_settings: Mapping[str, Any],
    config: Mapping[str, Any],
) -> CtcSpeechSpec:
    """Freeze everything that the runtime needs to know about the model.

    Args:
        feature_extractor: `Wav2Vec2FeatureExtractor.to_dict()`.
        tokenizer_settings: What `tokenizer_settings` below reads from a loaded tokenizer.
        config: `Wav2Vec2Config.to_dict()`, or HuBERT's or WavLM's.

    Raises:
        UnsupportedModelError: A setting that the runtime does not reproduce.
    """
    kernels, strides = tuple(config["conv_kernel"]), tuple(config["conv_stride"])
    return CtcSpeechSpec(
        audio=_audio(feature_extractor, receptive_field(kernels, strides)),
        ctc=_ctc(tokenizer_settings),
        conv_kernels=kernels,
        conv_strides=strides,
        attention_mask=takes_mask(config),
    )


def tokenizer_settings(tokenizer: Any, symbol_count: int) -> dict[str, Any]:
    """Read a loaded transformers tokenizer into plain values.

    Args:
        tokenizer: A `Wav2Vec2CTCTokenizer`.
        symbol_count: How many symbols the model scores; ids that the tokenizer does not know are
            decoded as its unknown token.

    Raises:
        UnsupportedModelError: Another tokenizer.
    """
    kind = type(tokenizer).__name__
    if kind != TOKENIZER:
        raise UnsupportedModelError(f"the tokenizer is a {kind}; supported with CTC: {TOKENIZER}")
    return {
        "symbols": tokenizer.convert_ids_to_tokens(list(range(symbol_count))),
        "pad_token": tokenizer.pad_token,
        "word_delimiter_token": tokenizer.word_delimiter_token,
        "replace_word_delimiter_char": tokenizer.replace_word_delimiter_char,
        "do_lower_case": tokenizer.do_lower_case,
        "clean_up_tokenization_spaces": tokenizer.clean_up_tokenization_spaces,
    }


def _audio(settings: Mapping[str, Any], min_samples: int) -> AudioSpec:
    kind = settings.get("feature_extractor_type")
    if kind != FEATURE_EXTRACTOR:
        raise UnsupportedModelError(
            f"the feature extractor is {kind!r}; supported with CTC: {FEATURE_EXTRACTOR}"
        )
    if settings["feature_size"] != 1:
        raise UnsupportedModelError(
            f"feature_size is {settings['feature_size']}; supported: 1 (raw samples)"
        )
    return AudioSpec(
        sampling_rate=settings["sampling_rate"],
        normalize=settings["do_normalize"],
        padding_value=float(settings["padding_value"]),
        min_samples=min_samples,
    )


def _ctc(settings: Mapping[str, Any]) -> CtcSpec:
    symbols, pad_token = tuple(settings["symbols"]), settings["pad_token"]
    if any(not isinstance(symbol, str) for symbol in symbols):
        raise UnsupportedModelError(
            "the model scores ids without a symbol, and the tokenizer has no unknown token"
        )
    if pad_token not in symbols:
        raise UnsupportedModelError(
            f"the padding token {pad_token!r}, which is CTC's blank, is no symbol of the model"
        )
    return CtcSpec(
        symbols=symbols,
        blank=symbols.index(pad_token),
        word_delimiter=settings["word_delimiter_token"],
        delimiter_text=settings["replace_word_delimiter_char"],
        lower_case=settings["do_lower_case"],
        clean_up=settings["clean_up_tokenization_spaces"],
    )
