"""Generation config and tokenizer settings -> specs of models that write."""

from typing import Any

import msgspec
import pytest
import transformers

from onnxtasks.errors import InputError, UnsupportedModelError
from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.spec import (
    Preset,
    SequenceToSequenceSpec,
    TextGenerationSpec,
    forced_language,
    preset,
    surroundings,
)
from onnxtasks_export.specs import sequence_to_sequence, text_generation
from onnxtasks_export.specs.decoder import decoder_spec
from onnxtasks_export.specs.generation_defaults import UNSUPPORTED, generation_defaults
from tests.export.test_decoder_spec import BART, LLAMA, T5

TOKENIZER: dict[str, Any] = {
    "model_max_length": 48,
    "pad_token_id": 1,
    "unk_token_id": 3,
    "chat_template": None,
    "clean_up": False,
    "special_tokens": {},
    "target_tokenizer": False,
    "marked": False,
    "source_prefix": (),
    "source_suffix": (2,),
    "languages": {},
    "forced_language": False,
    "default_source": None,
    "default_target": None,
}
STARTS = {"decoder_start_token_id": 2, "eos_token_id": 2}


@pytest.fixture(scope="module")
def gpt2():
    """A model whose generation config tests change."""
    config = transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=60, n_positions=32)
    return transformers.GPT2LMHeadModel(config)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_length": 20, "num_beams": 4, "early_stopping": True, "length_penalty": 2.0},
        {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 0, "min_p": 0.1},
        {"eos_token_id": [7, 8], "bos_token_id": 5, "pad_token_id": 9, "max_new_tokens": 9},
        {"bad_words_ids": [[4], [5, 6]], "suppress_tokens": [1], "begin_suppress_tokens": [2, 3]},
        {"forced_bos_token_id": 3, "forced_eos_token_id": 4, "no_repeat_ngram_size": 3},
        {"exponential_decay_length_penalty": [5, 1.5], "sequence_bias": [[[5, 6], -2.0]]},
        {"early_stopping": "never", "stop_strings": ["\n\n", "."], "renormalize_logits": True},
        {"repetition_penalty": 1.3, "typical_p": 0.8, "epsilon_cutoff": 0.01, "eta_cutoff": 0.02},
        {"min_length": 3, "min_new_tokens": 2, "max_time": 1.5, "remove_invalid_values": True},
        {"prompt_lookup_num_tokens": 5, "max_matching_ngram_size": 4},
    ],
)
def test_the_defaults_are_what_generate_takes(gpt2, settings):
    gpt2.generation_config = transformers.GenerationConfig(**settings)
    expected, _ = gpt2._prepare_generation_config(None)
    made = generation_defaults(gpt2.generation_config.to_dict())
    for name, value in msgspec.json.decode(msgspec.json.encode(made)).items():
        asked = settings.get(name, getattr(expected, name))
        if name == "max_length" and "max_length" not in settings:
            assert (value, asked) == (None, 20)  # 20 new tokens: `NEW_TOKENS` of the runtime
        elif name == "max_matching_ngram_size" and asked is None:
            assert value == 2  # PromptLookupCandidateGenerator's
        elif name == "pad_token_id" and asked is None and made.eos_token_id:
            assert value == made.eos_token_id[0]  # `_prepare_special_tokens`
        else:
            assert value == as_kept(asked, value), name


def as_kept(asked, value):
    """A setting of transformers in the runtime's form: no None for an empty list, no single id."""
    if asked is None and value in ([], False):
        return value
    if isinstance(value, list) and not isinstance(asked, list):
        return [asked]
    return asked


def test_a_task_of_a_checkpoint_changes_the_defaults():
    made = generation_defaults({"num_beams": 2, "max_length": 9}, num_beams=4, min_length=3)
    assert made == GenerationDefaults(num_beams=4, max_length=9, min_length=3)


def test_settings_of_speed_and_unknown_ones_change_nothing():
    ignored = {
        "use_cache": True,
        "cache_implementation": "static",
        "num_assistant_tokens": 5,
        "assistant_confidence_threshold": 0.4,
        "chat_format": "chatml",
        "output_scores": True,
        "diversity_penalty": 0.0,
        "num_beam_groups": 1,
        "penalty_alpha": 0.0,
        "guidance_scale": 1.0,
        "transformers_version": "5.23.0",
        "use_mtp": True,
    }
    assert generation_defaults(ignored) == GenerationDefaults()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("constraints", ["x"]),
        ("dola_layers", "high"),
        ("force_words_ids", [[5]]),
        ("guidance_scale", 1.5),
        ("num_beam_groups", 2),
        ("penalty_alpha", 0.6),
        ("token_healing", True),
        ("top_h", 0.4),
        ("watermarking_config", {"bias": 2.0}),
    ],
)
def test_ways_of_writing_that_there_are_not_are_refused(setting, value):
    with pytest.raises(UnsupportedModelError, match=f"sets {setting}=.*not available; remove it"):
        generation_defaults({setting: value})


def test_every_refused_setting_is_tried():
    tried = test_ways_of_writing_that_there_are_not_are_refused.pytestmark[0].args[1]
    assert {setting for setting, _ in tried} == set(UNSUPPORTED)


def test_a_setting_of_a_wrong_type_is_refused():
    with pytest.raises(UnsupportedModelError, match=r"cannot be used: .*num_beams"):
        generation_defaults({"num_beams": "four"})


def test_a_decoder_that_begins_with_nothing_is_refused():
    assert generation_defaults({"bos_token_id": 4}, encoder=True).decoder_start_token_id == 4
    with pytest.raises(UnsupportedModelError, match="which token an answer begins with"):
        generation_defaults({"eos_token_id": 4}, encoder=True)


def test_text_generation():
    tokenizer = TOKENIZER | {"chat_template": "{{ messages }}", "clean_up": True}
    tokenizer |= {"special_tokens": {"bos_token": "<s>"}}
    made = text_generation.spec(tokenizer, LLAMA, {"eos_token_id": 2, "pad_token_id": 0})
    assert made == TextGenerationSpec(
        decoder=decoder_spec(LLAMA),
        defaults=GenerationDefaults(eos_token_id=(2,), pad_token_id=0),
        clean_up=True,
        chat_template="{{ messages }}",
        special_tokens={"bos_token": "<s>"},
    )
    assert msgspec.json.decode(msgspec.json.encode(made), type=TextGenerationSpec) == made


def test_several_chat_templates_keep_their_names():
    tokenizer = TOKENIZER | {"chat_template": {"default": "a", "tool_use": "b"}}
    made = text_generation.spec(tokenizer, LLAMA, {})
    assert msgspec.json.decode(msgspec.json.encode(made), type=TextGenerationSpec) == made


def test_sequence_to_sequence():
    made = sequence_to_sequence.spec(TOKENIZER, BART, STARTS, "text2text-generation")
    assert made == SequenceToSequenceSpec(
        decoder=decoder_spec(BART),
        defaults=GenerationDefaults(decoder_start_token_id=2, eos_token_id=(2,), pad_token_id=2),
        max_source=48,
        pad_id=1,
        source_suffix=(2,),
    )
    assert msgspec.json.decode(msgspec.json.encode(made), type=SequenceToSequenceSpec) == made


T5_TASKS = {
    "summarization": {
        "early_stopping": True,
        "length_penalty": 2.0,
        "max_length": 200,
        "min_length": 30,
        "no_repeat_ngram_size": 3,
        "num_beams": 4,
        "prefix": "summarize: ",
    },
    "translation_en_to_fr": {
        "early_stopping": True,
        "max_length": 300,
        "num_beams": 4,
        "prefix": "translate English to French: ",
    },
}


def test_the_task_of_the_bundle_has_its_prefix_and_defaults():
    config = T5 | {"task_specific_params": T5_TASKS, "prefix": "ask: "}
    made = sequence_to_sequence.spec(TOKENIZER, config, STARTS, "summarization")
    assert (made.prefix, made.max_source) == ("summarize: ", None)
    assert (made.defaults.num_beams, made.defaults.length_penalty) == (4, 2.0)
    assert (made.defaults.min_length, made.defaults.eos_token_id) == (30, (2,))
    assert list(made.presets) == ["translation_en_to_fr"]
    french = made.presets["translation_en_to_fr"]
    assert french.prefix == "translate English to French: "
    assert (french.defaults.max_length, french.defaults.length_penalty) == (300, 1.0)
    assert msgspec.json.decode(msgspec.json.encode(made), type=SequenceToSequenceSpec) == made


def test_a_pair_of_languages_chooses_among_the_tasks_of_t5():
    config = T5 | {"task_specific_params": T5_TASKS}
    made = sequence_to_sequence.spec(TOKENIZER, config, STARTS, "translation")
    assert preset(made) == made.presets["translation_en_to_fr"]  # its only translation
    assert preset(made, "en", "fr") == made.presets["translation_en_to_fr"]
    assert surroundings(made, "en", "fr") == ([], [2])
    with pytest.raises(InputError, match="translates en to fr; got 'en' to 'de'"):
        preset(made, "en", "de")
    with pytest.raises(InputError, match="translates en to fr; got None to 'fr'"):
        surroundings(made, target="fr")


def test_of_several_translations_none_is_the_checkpoints_own():
    german = T5_TASKS["translation_en_to_fr"] | {"prefix": "translate English to German: "}
    tasks = T5_TASKS | {"translation_en_to_de": german}
    config = T5 | {"task_specific_params": tasks}
    made = sequence_to_sequence.spec(TOKENIZER, config, STARTS, "translation")
    assert preset(made) == Preset(prefix="", defaults=made.defaults)


def test_another_task_has_the_checkpoints_own_prefix_and_defaults():
    config = T5 | {"task_specific_params": T5_TASKS, "prefix": "ask: "}
    made = sequence_to_sequence.spec(TOKENIZER, config, STARTS, "text2text-generation")
    assert (made.prefix, made.defaults.num_beams) == ("ask: ", 1)
    assert list(made.presets) == ["summarization", "translation_en_to_fr"]


@pytest.mark.parametrize(
    ("of_tokenizer", "of_config", "expected"), [(1, 5, 1), (None, 5, 5), (None, None, 0)]
)
def test_what_sources_are_padded_with(of_tokenizer, of_config, expected):
    tokenizer, config = (
        TOKENIZER | {"pad_token_id": of_tokenizer},
        BART | {"pad_token_id": of_config},
    )
    assert sequence_to_sequence.spec(tokenizer, config, STARTS, "translation").pad_id == expected


MBART = TOKENIZER | {
    "languages": {"en": 50, "fr": 51, "ro": 52},
    "forced_language": True,
    "source_suffix": (2, "source"),
    "default_source": "en",
    "default_target": "xx",
}


def seq2seq(tokenizer):
    return sequence_to_sequence.spec(tokenizer, BART, STARTS, "translation")


def test_languages_of_a_source():
    made = seq2seq(MBART)
    assert (made.languages.default_source, made.languages.default_target) == ("en", None)
    assert surroundings(made) == ([], [2, 50])
    assert surroundings(made, source="ro", target="fr") == ([], [2, 52])
    assert (forced_language(made, "fr"), forced_language(made)) == (51, None)
    first = seq2seq(MBART | {"source_prefix": ("source",), "source_suffix": (2,)})
    assert surroundings(first, "fr") == ([51], [2])


def test_a_target_in_the_source():
    marian = {"source_prefix": ("target",), "source_suffix": (2,), "forced_language": False}
    made = seq2seq(MBART | marian)
    assert surroundings(made, target="ro") == ([52], [2])
    assert surroundings(made) == ([], [2])
    assert forced_language(made, "ro") is None


def test_unknown_and_missing_languages_are_refused():
    made = seq2seq(MBART | {"default_source": None})
    with pytest.raises(InputError, match="say which one with source='...'"):
        surroundings(made, target="fr")
    with pytest.raises(InputError, match="source language is 'de'; the model knows en, fr, ro"):
        surroundings(made, source="de")
    with pytest.raises(InputError, match="target language is 'de'; the model knows en, fr, ro"):
        forced_language(made, "de")
    with pytest.raises(InputError, match="no language codes; leave out source=None, target='fr'"):
        surroundings(seq2seq(TOKENIZER), target="fr")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_tokenizer": True}, "target_tokenizer needs an unknown_id"),
        ({"source_prefix": ("source",)}, "the source has the id of a language"),
    ],
)
def test_specs_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        msgspec.structs.replace(seq2seq(TOKENIZER), **changes)
