"""Feature extractor, tokenizer, config and generation config -> WhisperSpec."""

import functools
from typing import Any

import pytest
import torch
import transformers

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.speech.whisper_spec import WhisperSpec
from onnxtasks_export.specs.whisper import spec, special_tokens
from tests.speech_checkpoints import WHISPER_CHECKPOINTS

Parts = tuple[dict[str, Any], dict[str, int], dict[str, Any], dict[str, Any]]

# What openai/whisper-tiny and openai/whisper-tiny.en say, as far as it is read.
TOKENS = {
    "<|endoftext|>": 50257,
    "<|startoftranscript|>": 50258,
    "<|en|>": 50259,
    "<|haw|>": 50352,
    "<|translate|>": 50358,
    "<|transcribe|>": 50359,
    "<|startoflm|>": 50360,
    "<|startofprev|>": 50361,
    "<|nospeech|>": 50362,
    "<|notimestamps|>": 50363,
}
TINY: dict[str, Any] = {
    "alignment_heads": [[2, 2], [3, 0], [3, 2], [3, 3], [3, 4], [3, 5]],
    "begin_suppress_tokens": [220, 50257],
    "bos_token_id": 50257,
    "decoder_start_token_id": 50258,
    "eos_token_id": 50257,
    "forced_decoder_ids": [[1, None], [2, 50359]],
    "is_multilingual": True,
    "lang_to_id": {"<|en|>": 50259, "<|haw|>": 50352},
    "max_initial_timestamp_index": 50,
    "max_length": 448,
    "no_timestamps_token_id": 50363,
    "pad_token_id": 50257,
    "prev_sot_token_id": 50361,
    "suppress_tokens": [1, 2, 7, 50258, 50358, 50359, 50360, 50361, 50362],
    "task_to_id": {"transcribe": 50359, "translate": 50358},
}
NEW = ("is_multilingual", "lang_to_id", "task_to_id", "no_timestamps_token_id")
"""What generation configs did not say before transformers 4.31."""
ENGLISH_TOKENS = {token: index - 1 for token, index in TOKENS.items()}
ENGLISH: dict[str, Any] = {
    "begin_suppress_tokens": [220, 50256],
    "bos_token_id": 50256,
    "decoder_start_token_id": 50257,
    "eos_token_id": 50256,
    "forced_decoder_ids": [[1, 50362]],
    "is_multilingual": False,
    "max_initial_timestamp_index": 50,
    "max_length": 448,
    "no_timestamps_token_id": 50362,
    "pad_token_id": 50256,
    "prev_sot_token_id": 50360,
    "suppress_tokens": [1, 2, 7, 50257, 50357, 50358, 50359, 50360, 50361],
}


def parts(english: bool = False, **changes: Any) -> Parts:
    """What a checkpoint's parts say; None leaves a setting of the generation config out."""
    words = 51864 if english else 51865
    config = transformers.WhisperConfig(vocab_size=words).to_dict()
    generation = {**(ENGLISH if english else TINY), **changes}
    known = {name: value for name, value in generation.items() if value is not None}
    tokens = ENGLISH_TOKENS if english else TOKENS
    return transformers.WhisperFeatureExtractor().to_dict(), tokens, config, known


def refusal(*given: Any) -> str:
    with pytest.raises(UnsupportedModelError) as refused:
        spec(*given)
    return str(refused.value)


def test_a_multilingual_checkpoint():
    found = spec(*parts())
    assert (found.mel.n_mels, found.mel.frames, found.time_precision) == (80, 3000, 0.02)
    assert (found.audio.sampling_rate, found.audio.normalize) == (16000, False)
    assert (found.start_token, found.end_token, found.timestamp_begin) == (50258, 50257, 50364)
    assert (found.previous_token, found.no_speech_token) == (50361, 50362)
    assert (found.transcribe_token, found.translate_token) == (50359, 50358)
    assert found.languages == {"en": 50259, "haw": 50352}
    assert (found.multilingual, found.language, found.task) == (True, None, "transcribe")
    assert found.suppress_tokens == (1, 2, 7, 50258, 50358, 50359, 50360, 50361, 50362)
    assert found.begin_suppress_tokens == (220, 50257)
    assert found.defaults.suppress_tokens == found.defaults.begin_suppress_tokens == ()
    assert found.defaults.max_length == 448
    assert found.alignment_heads[:2] == ((2, 2), (3, 0))
    assert (found.max_initial_timestamp_index, found.median_filter_width) == (50, 7)
    assert (found.max_source_positions, found.max_target_positions) == (1500, 448)
    sizes = found.decoder
    assert (sizes.layers, sizes.kv_heads, sizes.source_heads, sizes.head_size) == (4, 6, 6, 64)
    assert (sizes.room, sizes.words, sizes.encoder) == (448, 51865, True)


def test_an_english_checkpoint_has_no_languages_and_no_tasks():
    """Although its tokenizer has the tokens."""
    found = spec(*parts(english=True))
    assert (found.multilingual, found.languages) == (False, {})
    assert (found.transcribe_token, found.translate_token, found.task) == (None, None, None)
    assert (found.start_token, found.timestamp_begin, found.previous_token) == (50257, 50363, 50360)
    assert found.alignment_heads == ()


@pytest.mark.parametrize("english", [False, True])
def test_what_old_generation_configs_do_not_say_is_in_the_tokenizer(english):
    new, old = spec(*parts(english)), spec(*parts(english, **dict.fromkeys(NEW)))
    assert old == new
    without = spec(*parts(english, **dict.fromkeys((*NEW, "forced_decoder_ids"))))
    assert without.multilingual == (not english)


def test_what_a_checkpoint_asks_for_by_itself():
    def asked(**changes: Any) -> tuple[str | None, str | None]:
        found = spec(*parts(**changes))
        return found.language, found.task

    assert asked() == (None, "transcribe")
    assert asked(forced_decoder_ids=[[1, 50352], [2, 50358], [3, 50363]]) == ("haw", "translate")
    assert asked(forced_decoder_ids=None) == (None, None)
    # `language` and `task` come before `forced_decoder_ids`, which then do not count.
    assert asked(language="english") == ("en", None)
    assert asked(language="<|haw|>", task="translate") == ("haw", "translate")
    assert asked(task="translate") == (None, "translate")


def test_the_config_may_have_the_forced_ids():
    extractor, tokens, config, generation = parts(forced_decoder_ids=None)
    config = config | {"forced_decoder_ids": [[1, 50259], [2, 50359]]}
    found = spec(extractor, tokens, config, generation)
    assert (found.language, found.task) == ("en", "transcribe")


def test_bands_and_sizes_of_turbo():
    extractor = transformers.WhisperFeatureExtractor(feature_size=128).to_dict()
    _, tokens, _, generation = parts(alignment_heads=[[2, 4], [3, 14]])
    config = transformers.WhisperConfig(
        num_mel_bins=128, encoder_layers=32, decoder_layers=4, d_model=1280, vocab_size=51866
    )
    config.decoder_attention_heads = config.encoder_attention_heads = 20
    found = spec(extractor, tokens, config.to_dict(), generation)
    assert (found.mel.n_mels, found.decoder.layers, found.decoder.source_heads) == (128, 4, 20)
    assert found.alignment_heads == ((2, 4), (3, 14))


@pytest.mark.parametrize("name", WHISPER_CHECKPOINTS)
def test_random_checkpoints_are_read_from_disk(name, tmp_path):
    torch.manual_seed(0)
    WHISPER_CHECKPOINTS[name](tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    generation = transformers.GenerationConfig.from_pretrained(tmp_path)
    tokens = special_tokens(tokenizer)
    assert not [token for token in tokens if "." in token]  # times
    found = spec(extractor.to_dict(), tokens, config.to_dict(), generation.to_dict())
    assert isinstance(found, WhisperSpec)
    assert found.multilingual == ("-en" not in name)
    assert list(found.languages) == [] or sorted(found.languages) == ["de", "en", "es", "zh"]
    start = tokenizer.convert_tokens_to_ids("<|0.00|>")
    assert (found.timestamp_begin, found.end_token) == (start, tokenizer.eos_token_id)
    assert bool(found.alignment_heads) == ("old" not in name)


def changed(part: int, **settings: Any) -> Parts:
    given = list(parts())
    given[part] = given[part] | settings
    return given[0], given[1], given[2], given[3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            functools.partial(changed, 0, feature_extractor_type="Wav2Vec2FeatureExtractor"),
            "the feature extractor is 'Wav2Vec2FeatureExtractor'; supported with Whisper: "
            "WhisperFeatureExtractor",
        ),
        (
            functools.partial(changed, 0, dither=0.1),
            "dither is 0.1, noise that is drawn anew for every recording; supported: 0.0",
        ),
        (
            functools.partial(changed, 0, feature_size=128),
            "the feature extractor gives 128 bands, the model takes 80",
        ),
        (
            functools.partial(changed, 0, chunk_length=10),
            "the checkpoint contradicts itself: mel gives 1000 frames; the encoder takes two for "
            "each of its 1500 positions",
        ),
        (
            functools.partial(changed, 3, language="klingon"),
            "the generation config sets language='klingon', which is not one of the model's "
            "languages (en, haw)",
        ),
        (
            functools.partial(changed, 3, eos_token_id=[1, 2]),
            "the generation config has the end tokens [1, 2]; Whisper has one",
        ),
        (
            functools.partial(parts, lang_to_id={"en": 1}),
            "the model is multilingual, and neither its generation config (lang_to_id) nor its "
            "tokenizer (<|en|>, ...) has a language",
        ),
    ],
)
def test_what_the_runtime_does_not_reproduce_is_refused(given, message):
    assert refusal(*given()) == message


def test_times_need_their_tokens():
    extractor, _, config, generation = parts(no_timestamps_token_id=None)
    assert refusal(extractor, {}, config, generation) == "the tokenizer has no <|notimestamps|>"
