"""Settings of bundles that write, and how a source becomes token ids."""

from typing import Any

import msgspec
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from onnxtasks.errors import InputError
from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.spec import (
    DecoderSpec,
    Languages,
    Preset,
    SequenceToSequenceSpec,
    forced_language,
    preset,
    source_ids,
    surroundings,
)

SIZES: dict[str, Any] = {"layers": 1, "kv_heads": 2, "head_size": 4, "words": 9, "room": 16}
DECODER = DecoderSpec(**SIZES, encoder=True, source_heads=2)
CODES = {"en": 5, "fr": 6}
FRENCH = Preset(prefix="to French: ", defaults=GenerationDefaults(num_beams=3))


def spec(**settings):
    given: dict[str, Any] = {"decoder": DECODER, "defaults": GenerationDefaults()}
    return SequenceToSequenceSpec(**given | {"max_source": 16} | settings)


def speaks(forced=True, **settings):
    return Languages(codes=CODES, forced=forced, **settings)


@pytest.mark.parametrize("name", ["layers", "kv_heads", "head_size", "words", "room", "window"])
def test_sizes_that_no_decoder_has(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it is at least 1"):
        DecoderSpec(**SIZES | {name: 0})


def test_positions_may_have_no_end():
    assert DecoderSpec(**SIZES | {"room": None}).room is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source_heads": 2}, "source_heads is 2 without an encoder"),
        ({"encoder": True}, "source_heads is 0 with an encoder"),
    ],
)
def test_heads_that_look_at_a_source_that_there_is_not(settings, message):
    with pytest.raises(ValueError, match=message):
        DecoderSpec(**SIZES, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_tokenizer": True}, "target_tokenizer needs an unknown_id"),
        ({"source_suffix": (2, "source")}, "the id of a language .* without languages"),
    ],
)
def test_settings_that_contradict_themselves(settings, message):
    with pytest.raises(ValueError, match=message):
        spec(**settings)


def test_a_file_with_unknown_settings_is_refused():
    text = msgspec.json.encode(spec(presets={"summarization": FRENCH}, languages=speaks()))
    read = msgspec.json.decode(text, type=SequenceToSequenceSpec)
    assert read == spec(presets={"summarization": FRENCH}, languages=speaks())
    with pytest.raises(msgspec.ValidationError, match="unknown field `prefixes`"):
        msgspec.json.decode(
            text.replace(b'"prefix"', b'"prefixes"', 1), type=SequenceToSequenceSpec
        )


def test_a_pair_chooses_among_the_tasks_of_a_checkpoint():
    made = spec(prefix="two ", presets={"translation_en_to_fr": FRENCH, "summarization": FRENCH})
    assert preset(made) == Preset(prefix="two ", defaults=made.defaults)
    assert preset(made, "en", "fr") == FRENCH
    with pytest.raises(InputError, match="the model translates en to fr; got 'fr' to 'en'"):
        preset(made, "fr", "en")
    with pytest.raises(InputError, match="no language codes; leave out source='en', target=None"):
        preset(spec(presets={"summarization": FRENCH}), "en")


def test_codes_come_before_the_tasks_of_a_checkpoint():
    made = spec(languages=speaks(), presets={"translation_en_to_fr": FRENCH})
    assert preset(made, "en", "fr").defaults == made.defaults


def test_what_surrounds_a_source():
    languages = speaks(default_source="en")
    made = spec(source_prefix=("source",), source_suffix=(2, "target"), languages=languages)
    assert surroundings(made) == ([5], [2])
    assert surroundings(made, "fr", "en") == ([6], [2, 5])
    assert surroundings(spec(source_suffix=(2,))) == ([], [2])


def test_the_language_that_is_written_first():
    assert forced_language(spec()) is None
    assert forced_language(spec(languages=speaks()), "fr") == 6
    assert forced_language(spec(languages=speaks(default_target="fr"))) == 6
    assert forced_language(spec(languages=speaks(forced=False)), "fr") is None


def test_languages_that_are_not_known_or_missing():
    made = spec(source_prefix=("source",), languages=speaks())
    with pytest.raises(InputError, match="say which one with source='...'"):
        surroundings(made)
    with pytest.raises(InputError, match="the source language is 'de'; the model knows en, fr"):
        surroundings(made, "de")
    with pytest.raises(InputError, match="the target language is 'de'; the model knows en, fr"):
        forced_language(made, "de")


def tokenizer(*words):
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, words[0]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def test_ids_of_one_tokenizer_without_special_tokens():
    assert source_ids("b a x", spec(), tokenizer("?", "a", "b")) == [2, 1, 0]


def test_pieces_of_one_tokenizer_have_the_ids_of_the_other():
    made = spec(target_tokenizer=True, unknown_id=3)
    pieces, target = tokenizer("?", "a", "b", "c"), tokenizer("x", "c", "b")
    assert source_ids("a b c", made, pieces, target) == [3, 2, 1]


def test_a_mark_at_the_beginning_is_one_piece():
    pieces, target = tokenizer("?", "a", ">", "</s>"), tokenizer("?", "a", ">>fr<<", "</s>")
    pieces.add_special_tokens([AddedToken("</s>", special=True)])
    marked = spec(target_tokenizer=True, unknown_id=0, marked=True)
    assert source_ids(">>fr<< a", marked, pieces, target) == [2, 1]
    assert source_ids("a </s>>>fr<< a", marked, pieces, target) == [1, 3, 2, 1]
    assert source_ids(">>xx<< a", marked, pieces, target) == [0, 1]
    plain = spec(target_tokenizer=True, unknown_id=0)
    assert 2 not in source_ids(">>fr<< a", plain, pieces, target)
