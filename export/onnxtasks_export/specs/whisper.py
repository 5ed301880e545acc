"""The parts of a Whisper checkpoint and their settings -> `WhisperSpec`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.speech.whisper_spec import MelSpec, WhisperSpec
from onnxtasks_export.specs.decoder import decoder_spec
from onnxtasks_export.specs.generation_defaults import generation_defaults

FEATURE_EXTRACTOR = "WhisperFeatureExtractor"
START, NO_TIMES, PREVIOUS = "<|startoftranscript|>", "<|notimestamps|>", "<|startofprev|>"
TRANSCRIBE, TRANSLATE = "<|transcribe|>", "<|translate|>"
MARK = re.compile(r"<\|([a-z]{2,3})\|>")
"""A language's token, such as <|en|> or <|yue|>."""
ENGLISH_WORDS = 51864
"""Vocabulary of the published English-only checkpoints; that of multilingual ones is larger."""
LONGEST = 24 * 3600.0
"""Seconds of a recording that is read whole; windows are read one after the other."""
OWN = ("suppress_tokens", "begin_suppress_tokens")
"""Settings that are fields of the spec."""


def spec(
    feature_extractor: Mapping[str, Any],
    tokens: Mapping[str, int],
    config: Mapping[str, Any],
    generation: Mapping[str, Any],
) -> WhisperSpec:
    """Freeze everything that the runtime needs to know about a Whisper model.

    Generation configs of before transformers 4.31 know neither languages nor tasks nor the tokens
    of times; these are then read from the tokenizer, and what is asked for from
    `forced_decoder_ids`.

    Args:
        feature_extractor: `WhisperFeatureExtractor.to_dict()`.
        tokens: Special token -> id; see `special_tokens`.
        config: `WhisperConfig.to_dict()`.
        generation: `model.generation_config.to_dict()`.

    Raises:
        UnsupportedModelError: A setting that the runtime does not reproduce.
    """
    mel = _mel(feature_extractor, config)
    decoder = decoder_spec({**config, "max_position_embeddings": config["max_target_positions"]})
    settings = {name: value for name, value in generation.items() if name not in OWN}
    defaults = generation_defaults(settings, encoder=True)
    return _fitting(
        audio=AudioSpec(
            sampling_rate=mel.sampling_rate,
            normalize=False,
            padding_value=float(feature_extractor["padding_value"]),
            min_samples=1,  # a window is filled up
            max_seconds=LONGEST,
        ),
        mel=mel,
        decoder=decoder,
        defaults=defaults,
        start_token=defaults.decoder_start_token_id,
        end_token=_end(defaults.eos_token_id),
        **_marks(tokens, generation),
        **_languages_and_tasks(tokens, config, generation),
        **{name: tuple(generation.get(name) or ()) for name in OWN},
        max_initial_timestamp_index=generation.get("max_initial_timestamp_index"),
        max_target_positions=config["max_target_positions"],
        max_source_positions=config["max_source_positions"],
        alignment_heads=_pairs(generation.get("alignment_heads") or ()),
        median_filter_width=generation.get("median_filter_width")
        or config.get("median_filter_width", 7),
        words=decoder.words,
    )


def special_tokens(tokenizer: Any) -> dict[str, int]:
    """The tokens of a loaded tokenizer that are no text, with their ids; times are not among them.

    Args:
        tokenizer: A `WhisperTokenizer`.
    """
    found = tokenizer.get_added_vocab() | {
        str(token): tokenizer.convert_tokens_to_ids(str(token))
        for token in tokenizer.all_special_tokens
    }
    return {token: int(index) for token, index in found.items() if not TIME.fullmatch(token)}


TIME = re.compile(r"<\|\d+\.\d+\|>")


def is_multilingual(
    tokens: Mapping[str, int], config: Mapping[str, Any], generation: Mapping[str, Any]
) -> bool:
    """Whether the model is asked with a language and a task.

    A generation config says it, or has languages. Before there were either, what the model was
    asked with says it: an English-only one with <|notimestamps|> at most.
    """
    said = generation.get("is_multilingual")
    if said is not None:
        return bool(said)
    if generation.get("lang_to_id"):
        return True
    forced = _forced(generation, config)
    if forced:
        return forced[0] != tokens.get(NO_TIMES)
    return config["vocab_size"] != ENGLISH_WORDS and any(map(MARK.fullmatch, tokens))


def _marks(tokens: Mapping[str, int], generation: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens around a text, as `generate` of transformers 5.23 finds them, and by name."""
    no_times = generation.get("no_timestamps_token_id")
    no_times = _needed(tokens, NO_TIMES) if no_times is None else no_times
    previous = generation.get("prev_sot_token_id")
    return {
        "no_timestamps_token": no_times,
        "timestamp_begin": no_times + 1,
        "no_speech_token": no_times - 1,
        "previous_token": tokens.get(PREVIOUS) if previous is None else previous,
    }


def _languages_and_tasks(
    tokens: Mapping[str, int], config: Mapping[str, Any], generation: Mapping[str, Any]
) -> dict[str, Any]:
    """What a multilingual model knows, and what it is asked for by itself."""
    if not is_multilingual(tokens, config, generation):
        return {}
    languages, tasks = _languages(tokens, generation), _tasks(tokens, generation)
    language, task = _asked(generation, config, languages, tasks)
    return {
        "multilingual": True,
        "languages": languages,
        "transcribe_token": tasks.get("transcribe"),
        "translate_token": tasks.get("translate"),
        "language": language,
        "task": task,
    }


def _languages(tokens: Mapping[str, int], generation: Mapping[str, Any]) -> dict[str, int]:
    """Code -> token id; of an old generation config, those of the tokenizer."""
    known = generation.get("lang_to_id") or tokens
    marks = {found[1]: known[token] for token in known if (found := MARK.fullmatch(token))}
    if not marks:
        raise UnsupportedModelError(
            "the model is multilingual, and neither its generation config (lang_to_id) nor its "
            "tokenizer (<|en|>, ...) has a language"
        )
    return marks


def _tasks(tokens: Mapping[str, int], generation: Mapping[str, Any]) -> dict[str, int]:
    known = generation.get("task_to_id") or {
        name: tokens[token]
        for name, token in (("transcribe", TRANSCRIBE), ("translate", TRANSLATE))
        if token in tokens
    }
    return {name: int(index) for name, index in known.items()}


def _asked(
    generation: Mapping[str, Any],
    config: Mapping[str, Any],
    languages: Mapping[str, int],
    tasks: Mapping[str, int],
) -> tuple[str | None, str | None]:
    """The checkpoint's own language and task, as `_retrieve_init_tokens` of transformers 5.23.

    `forced_decoder_ids`, [[1, language or None], [2, task], ...], count where it names neither.
    """
    language, task = generation.get("language"), generation.get("task")
    if language is None and task is None:
        forced = _forced(generation, config)
        codes = {index: code for code, index in languages.items()}
        names = {index: name for name, index in tasks.items()}
        found = [codes[token] for token in forced if token in codes]
        named = [names[token] for token in forced if token in names]
        return (found[0] if found else None), (named[0] if named else None)
    return (None if language is None else _code(str(language), languages)), task


def _code(language: str, languages: Mapping[str, int]) -> str:
    """A language as a checkpoint may name it ("en", "<|en|>", "English") -> its code."""
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    name = language.lower()
    marked = MARK.fullmatch(name)
    code = marked[1] if marked else TO_LANGUAGE_CODE.get(name, name)
    if code not in languages:
        raise UnsupportedModelError(
            f"the generation config sets language={language!r}, which is not one of the model's "
            f"languages ({', '.join(sorted(languages))})"
        )
    return str(code)


def _forced(generation: Mapping[str, Any], config: Mapping[str, Any]) -> list[int | None]:
    """What stands after the start token; None where the language is left open."""
    pairs = generation.get("forced_decoder_ids") or config.get("forced_decoder_ids") or ()
    return [token for place, (at, token) in enumerate(pairs, start=1) if at == place]


def _mel(settings: Mapping[str, Any], config: Mapping[str, Any]) -> MelSpec:
    kind = settings.get("feature_extractor_type")
    if kind != FEATURE_EXTRACTOR:
        raise UnsupportedModelError(
            f"the feature extractor is {kind!r}; supported with Whisper: {FEATURE_EXTRACTOR}"
        )
    if settings.get("dither"):
        raise UnsupportedModelError(
            f"dither is {settings['dither']}, noise that is drawn anew for every recording; "
            "supported: 0.0"
        )
    if settings["feature_size"] != config["num_mel_bins"]:
        raise UnsupportedModelError(
            f"the feature extractor gives {settings['feature_size']} bands, the model takes "
            f"{config['num_mel_bins']}"
        )
    return MelSpec(
        n_fft=settings["n_fft"],
        hop_length=settings["hop_length"],
        n_mels=settings["feature_size"],
        sampling_rate=settings["sampling_rate"],
        chunk_seconds=float(settings["chunk_length"]),
    )


def _fitting(**settings: Any) -> WhisperSpec:
    try:
        return WhisperSpec(**settings)
    except ValueError as error:
        raise UnsupportedModelError(f"the checkpoint contradicts itself: {error}") from None


def _pairs(heads: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(layer), int(head)) for layer, head in heads)


def _end(ends: Sequence[int]) -> int:
    if len(ends) != 1:
        raise UnsupportedModelError(
            f"the generation config has the end tokens {list(ends)}; Whisper has one"
        )
    return ends[0]


def _needed(tokens: Mapping[str, int], token: str) -> int:
    if token not in tokens:
        raise UnsupportedModelError(f"the tokenizer has no {token}")
    return tokens[token]
