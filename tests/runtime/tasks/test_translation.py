"""Translation: languages of a call, as mBART, M2M100, Marian and T5 have them."""

import pytest

from onnxtasks.errors import InputError
from onnxtasks.generation.spec import Languages, Preset
from onnxtasks.tasks.translation import Translator
from tests.runtime.tasks.writers import defaults, greedy, tokenizer, words, writer

CODES = {"en": 8, "fr": 9, "ro": 10}
MBART = {
    "languages": Languages(codes=CODES, forced=True, default_source="en"),
    "source_suffix": (1, "source"),
}
MARIAN = {
    "languages": Languages(codes=CODES, forced=False),
    "source_prefix": ("target",),
    "source_suffix": (1,),
}
FRENCH = Preset(
    prefix="six ", defaults=defaults(decoder_start_token_id=4, max_new_tokens=3, num_beams=2)
)
T5 = {"presets": {"translation_en_to_fr": FRENCH, "summarization": FRENCH}, "prefix": "two "}


def test_the_source_is_marked_and_the_target_is_the_first_word():
    task = writer(Translator, **MBART)
    model = task.decoder.model
    cases = {
        (None, "fr"): ([3, 1, 8], [9]),
        ("ro", "fr"): ([3, 1, 10], [9]),
        ("ro", None): ([3, 1, 10], []),
    }
    for (source, target), (read, forced) in cases.items():
        (found,) = task("one", source=source, target=target, max_new_tokens=5)
        assert found.token_ids == greedy(model, [0], 5, read, forced)
        pieces = task.stream("one", source=source, target=target, max_new_tokens=5)
        assert "".join(pieces) == found.text == words(found.token_ids)
        assert found.to_dict() == {"translation_text": found.text}


def test_the_target_of_the_call_comes_before_the_one_of_the_checkpoint():
    task = writer(Translator, own={"forced_bos_token_id": 5}, **MBART)
    assert task("one")[0].token_ids[0] == 5
    assert task("one", target="fr")[0].token_ids[0] == 9
    assert task("one", target="fr", forced_bos_token_id=4)[0].token_ids[0] == 4
    for beams in (1, 2):
        found = task.predict(["one", "two three"], target="ro", num_beams=beams)
        assert [one.token_ids[0] for (one,) in found] == [10, 10]


def test_the_target_marks_the_source_where_the_model_was_taught_so():
    task = writer(Translator, **MARIAN)
    request = task.request(target="fr")
    assert task.encode("one", request).tolist() == [9, 3, 1]
    assert task.encode("one", task.request()).tolist() == [3, 1]
    (found,) = task("one", target="fr", max_new_tokens=5)
    assert found.token_ids == greedy(task.decoder.model, [0], 5, [9, 3, 1])


def test_what_surrounds_a_text_takes_of_its_room():
    task = writer(Translator, max_source=4, **MARIAN)
    request = task.request(target="fr")
    assert task.encode("one two three", request).tolist() == [9, 3, 4, 1]
    found = task("one two three four", target="fr", long_text="windows", max_new_tokens=2)
    parts = task.predict(["one two", "three four"], target="fr", max_new_tokens=2)
    assert found[0].text == " ".join(part[0].text for part in parts)


def test_a_pair_of_languages_takes_the_settings_that_the_checkpoint_has_for_it():
    task = writer(Translator, **T5)
    plain = writer(Translator, start=4)
    (found,) = task("one", source="en", target="fr")
    assert found == plain("six one", max_new_tokens=3, num_beams=2)[0]
    (found,) = task("one", source="en", target="fr", prefix="", num_beams=1)
    assert found == plain("one", max_new_tokens=3)[0]
    assert task("one") == writer(Translator)("two one")


@pytest.mark.parametrize(
    ("settings", "languages", "message"),
    [
        (MBART, {"target": "xx"}, "the target language is 'xx'; the model knows en, fr, ro"),
        (MBART, {"source": "xx"}, "the source language is 'xx'; the model knows en, fr, ro"),
        (MBART, {"target": ""}, "the target language is ''"),
        (MARIAN, {"target": "xx"}, "the target language is 'xx'"),
        (T5, {"source": "en", "target": "de"}, "translates en to fr; got 'en' to 'de'"),
        (T5, {"target": "fr"}, "translates en to fr; got None to 'fr'"),
        ({}, {"target": "fr"}, "no language codes; leave out source=None, target='fr'"),
    ],
)
def test_a_language_that_the_model_does_not_know(settings, languages, message):
    task = writer(Translator, **settings)
    with pytest.raises(InputError, match=message):
        task("one", **languages)
    with pytest.raises(InputError, match=message):
        task.stream("one", **languages)
    with pytest.raises(InputError, match=message):
        task.map(["one"], errors="return", **languages)


def test_a_source_has_to_be_named_where_nobody_says_which():
    languages = Languages(codes=CODES, forced=True)
    task = writer(Translator, **MBART | {"languages": languages})
    with pytest.raises(InputError, match="several languages; say which one with source='...'"):
        task("one", target="fr")
    task.warm_up()
    assert len(task.decoder.rows) == 2


def test_a_misspelt_option_is_refused_at_once():
    with pytest.raises(InputError, match="no option 'targett'"):
        writer(Translator, **MBART).map(["one"], targett="fr")


def test_two_tokenizers():
    task = writer(Translator, target=tokenizer(), **MARIAN)
    assert task("one", target="fr") == writer(Translator, **MARIAN)("one", target="fr")
