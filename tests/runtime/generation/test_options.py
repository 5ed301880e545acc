"""What the options of a call and the defaults of a checkpoint come to."""

import re

import msgspec
import pytest

from onnxtasks.errors import InputError
from onnxtasks.generation.option_checks import CHECKS
from onnxtasks.generation.options import (
    GenerationDefaults,
    GenerationOptions,
    Settings,
    check_room,
    settings,
)

NONE = GenerationDefaults()


def resolve(defaults=NONE, **options):
    return settings(defaults, options)


def test_without_options_the_defaults_are_those_of_transformers():
    assert resolve() == Settings()
    assert (resolve().top_k, resolve().num_beams, resolve().do_sample) == (50, 1, False)


def test_every_option_has_a_check_and_a_setting():
    options = set(GenerationOptions.__annotations__)
    assert set(CHECKS) == options
    assert options - {"bad_words"} <= set(Settings.__dataclass_fields__)
    frozen = set(GenerationDefaults.__struct_fields__)
    assert frozen <= set(Settings.__dataclass_fields__)
    assert frozen - options == {"decoder_start_token_id", "bos_token_id", "pad_token_id"}


def test_the_call_comes_before_the_checkpoint():
    defaults = GenerationDefaults(num_beams=4, length_penalty=2.0, eos_token_id=(2,), max_length=99)
    found = resolve(defaults, length_penalty=0, num_return_sequences=3)
    assert (found.num_beams, found.length_penalty, found.max_length) == (4, 0.0, 99)
    assert (found.num_return_sequences, found.eos_token_id) == (3, (2,))


def test_none_sets_a_default_back_to_no_effect():
    defaults = GenerationDefaults(
        do_sample=True, top_k=7, temperature=0.6, eos_token_id=(2,), max_new_tokens=9, min_length=4
    )
    found = resolve(
        defaults, top_k=None, temperature=None, eos_token_id=None, max_new_tokens=None, min_p=None
    )
    assert (found.top_k, found.temperature, found.min_p) == (0, 1.0, None)
    assert (found.eos_token_id, found.max_new_tokens, found.min_length) == ((), None, 4)


def test_values_are_kept_in_one_form():
    found = resolve(
        eos_token_id=7,
        forced_eos_token_id=[7, 8],
        bad_words_ids=[[1, 2], (3,)],
        suppress_tokens=[4],
        stop_strings="end",
        sequence_bias={(1, 2): 3, (4,): -0.5},
        exponential_decay_length_penalty=(5, 2),
        repetition_penalty=2,
        choices=["a", "b"],
    )
    assert (found.eos_token_id, found.forced_eos_token_id) == ((7,), (7, 8))
    assert (found.bad_words_ids, found.suppress_tokens) == (((1, 2), (3,)), (4,))
    assert (found.stop_strings, found.choices) == (("end",), ("a", "b"))
    assert found.sequence_bias == (((1, 2), 3.0), ((4,), -0.5))
    assert found.exponential_decay_length_penalty == (5, 2.0)
    assert found.repetition_penalty == 2.0
    assert resolve(sequence_bias=[[[1, 2], 3.0]]).sequence_bias == (((1, 2), 3.0),)


def test_bad_words_become_ids_with_and_without_a_space():
    ids = {"ab": (1, 2), " ab": (3,), "c": (4,), " c": (4,), "\u200b": (), " \u200b": ()}
    defaults = GenerationDefaults(bad_words_ids=((9,),))
    found = settings(defaults, {"bad_words": ["ab", "c", "\u200b"]}, tokenize=ids.__getitem__)
    assert found.bad_words_ids == ((9,), (1, 2), (3,), (4,))
    with pytest.raises(InputError, match="bad_words needs a tokenizer.* use bad_words_ids"):
        resolve(bad_words=["ab"])


@pytest.mark.parametrize(
    ("defaults", "options", "limit"),
    [
        ({}, {}, 25),
        ({}, {"max_new_tokens": 3}, 8),
        ({}, {"max_length": 30}, 30),
        ({"max_length": 30}, {"max_new_tokens": 3}, 8),
        ({"max_new_tokens": 3}, {"max_length": 30}, 8),  # as transformers: new tokens come first
        ({"max_length": 200}, {}, 40),
    ],
)
def test_the_limit_of_a_text_with_a_prompt_of_5_where_the_model_takes_40(defaults, options, limit):
    assert resolve(GenerationDefaults(**defaults), **options).limit(5, 40) == limit


def test_a_prompt_has_to_leave_room():
    check_room(resolve(), 9, 10)
    check_room(resolve(max_length=10), 9, None)
    with pytest.raises(InputError, match="prompt has 10 tokens, and the model takes 10 .* most 9"):
        check_room(resolve(), 10, 10)
    with pytest.raises(InputError, match="max_length is 10, which the prompt of 10 tokens uses up"):
        check_room(resolve(max_length=10), 10, None)


def test_what_only_the_checkpoint_says_is_no_contradiction():
    defaults = GenerationDefaults(
        temperature=0.0, top_p=0.9, length_penalty=2.0, early_stopping=True, min_length=50
    )
    assert resolve(defaults).temperature == 0
    assert resolve(defaults, max_new_tokens=10).min_length == 50
    with pytest.raises(InputError, match="temperature is 0.0; it is above 0"):
        resolve(defaults, do_sample=True)


def test_a_checkpoint_cannot_say_what_no_call_could_use():
    with pytest.raises(InputError, match="num_beams is 0"):
        GenerationDefaults(num_beams=0)
    with pytest.raises(msgspec.ValidationError, match="repetition_penalty is -1.0"):
        msgspec.json.decode(b'{"repetition_penalty": -1.0}', type=GenerationDefaults)


def test_defaults_survive_json():
    defaults = GenerationDefaults(
        sequence_bias=(((1, 2), -1.0),), early_stopping="never", eos_token_id=(1, 2)
    )
    data = msgspec.json.encode(defaults)
    assert msgspec.json.decode(data, type=GenerationDefaults) == defaults


WRONG = [
    ({"temperatur": 1}, "no option 'temperatur'; did you mean temperature"),
    ({"xyzzyxyzzy": 1}, "no option 'xyzzyxyzzy'; there are bad_words, bad_words_ids, begin_"),
    ({"max_new_tokens": 0}, "max_new_tokens is 0; it is a whole number of at least 1"),
    ({"max_length": 2.5}, "max_length is 2.5; it is a whole number of at least 1"),
    ({"num_beams": 0}, "num_beams is 0; it is a whole number of at least 1"),
    ({"num_beams": True}, "num_beams is True; it is a whole number"),
    ({"min_new_tokens": -1}, "min_new_tokens is -1; it is a whole number of at least 0"),
    ({"seed": -1, "do_sample": True}, "seed is -1; it is a whole number of at least 0"),
    ({"top_k": -1, "do_sample": True}, "top_k is -1; it is a whole number of at least 0"),
    ({"temperature": 0, "do_sample": True}, "temperature is 0; it is above 0. For the likeliest"),
    ({"temperature": -0.5, "do_sample": True}, "temperature is -0.5; it is a number above 0"),
    ({"temperature": "1", "do_sample": True}, "temperature is '1'; it is a number above 0"),
    ({"temperature": float("nan"), "do_sample": True}, "temperature is nan; it is a number above"),
    ({"top_p": 1.2, "do_sample": True}, "top_p is 1.2; it is a number from 0 to 1"),
    ({"min_p": -0.1, "do_sample": True}, "min_p is -0.1; it is a number from 0 to 1"),
    ({"typical_p": 0, "do_sample": True}, "typical_p is 0; it is a number above 0, at most 1"),
    ({"epsilon_cutoff": 1, "do_sample": True}, "epsilon_cutoff is 1; it is a number from 0 to le"),
    ({"eta_cutoff": 1, "do_sample": True}, "eta_cutoff is 1; it is a number from 0 to less than"),
    ({"repetition_penalty": 0}, "repetition_penalty is 0; it is a number above 0"),
    ({"length_penalty": "2", "num_beams": 2}, "length_penalty is '2'; it is a number"),
    ({"max_time": 0}, "max_time is 0; it is a number above 0"),
    ({"do_sample": 1}, "do_sample is 1; it is True or False"),
    ({"early_stopping": "always", "num_beams": 2}, "early_stopping is 'always'; it is True, False"),
    ({"suppress_tokens": "ab"}, "suppress_tokens is 'ab'; it is a list of token ids"),
    ({"suppress_tokens": [1, -1]}, "suppress_tokens has -1; a token id is a whole number"),
    ({"eos_token_id": 2.0}, "eos_token_id is 2.0; it is a list of token ids"),
    ({"bad_words_ids": [1, 2]}, "bad_words_ids has 1; it holds lists of token ids"),
    ({"bad_words_ids": 1}, "bad_words_ids is 1; it is a list of lists of token ids"),
    ({"bad_words_ids": [[]]}, "bad_words_ids has an empty list; each holds at least one"),
    ({"bad_words": ["a", ""]}, "bad_words has ''; each is a text of at least one character"),
    ({"sequence_bias": {"ab": 1.0}}, "sequence_bias has 'ab'; it holds lists of token ids"),
    ({"sequence_bias": 3}, "sequence_bias is 3; it is a dict from token ids to a number"),
    ({"sequence_bias": [[1]]}, "sequence_bias has [1]; it is a dict from token ids to a number"),
    ({"sequence_bias": {(1,): float("inf")}}, "sequence_bias has inf for (1,); it is a number, -"),
    ({"exponential_decay_length_penalty": 3}, "is 3; it is (after how many tokens, factor)"),
    (
        {"exponential_decay_length_penalty": (3, 0)},
        "the second of exponential_decay_length_penalty",
    ),
    ({"stop_strings": ""}, "stop_strings has ''; each is a text of at least one character"),
    ({"stop_strings": 3}, "stop_strings is 3; it is a list of texts"),
    ({"choices": []}, "choices is []; it is a list of at least one text"),
    ({"choices": "ab"}, "choices is 'ab'; it is a list of at least one text"),
    ({"regex": ""}, "regex is ''; it is a text of at least one character"),
    ({"json_schema": 3}, "json_schema is 3; it is a JSON schema, as a dict or as its text"),
    ({"rules": [3]}, "rules is [3]; it is a list of functions"),
    ({"rules": len}, "it is a list of functions"),
    ({"stop": "end"}, "stop is 'end'; it is a function"),
    # contradictions
    ({"temperature": 0.7}, "temperature is 0.7, which only sampling uses; add do_sample=True, or"),
    ({"seed": 3, "num_beams": 2}, "seed is 3, which only sampling uses; add do_sample=True"),
    ({"length_penalty": 2.0}, "length_penalty is 2.0, which only beam search uses; add num_beams"),
    ({"early_stopping": True}, "early_stopping is True, which only beam search uses"),
    ({"num_return_sequences": 2}, "is 2, and greedy search has one text; add num_beams=2 or do_s"),
    ({"num_return_sequences": 3, "num_beams": 2}, "num_return_sequences is 3 and num_beams 2; ask"),
    ({"max_length": 9, "max_new_tokens": 8}, "max_length is 9 and max_new_tokens 8: both say the"),
    ({"min_length": 9, "min_new_tokens": 8}, "min_length is 9 and min_new_tokens 8: both say the"),
    ({"min_new_tokens": 9, "max_new_tokens": 8}, "min_new_tokens is 9 and max_new_tokens 8; give"),
    ({"min_new_tokens": 21}, "min_new_tokens is 21 and max_new_tokens 20; give a smaller"),
    ({"min_length": 9, "max_length": 8}, "min_length is 9 and max_length 8; give a smaller min_l"),
    ({"min_new_tokens": 8, "max_length": 8}, "max_length 8, which counts the prompt too; give a"),
    ({"choices": ["a"], "regex": "a"}, "choices and regex exclude each other; give one of them"),
    ({"regex": "a", "json_schema": {}}, "regex and json_schema exclude each other; give one"),
    ({"prompt_lookup_num_tokens": 5, "num_beams": 2}, "is 5 and num_beams is 2; prompt look-up is"),
    ({"prompt_lookup_num_tokens": 5, "do_sample": True}, "is 5 and do_sample is True; prompt look"),
    (
        {"prompt_lookup_num_tokens": 0, "max_matching_ngram_size": 3},
        "max_matching_ngram_size is 3, and prompt_lookup_num_tokens 0 switches the look-up off",
    ),
    ({"forced_bos_token_id": 3, "suppress_tokens": [3]}, "forced_bos_token_id is 3, which suppre"),
    (
        {"forced_eos_token_id": [3, 4], "suppress_tokens": [4, 3]},
        "forced_eos_token_id is 3, 4, which suppress_tokens forbids; take it out",
    ),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[str(options) for options, _ in WRONG])
def test_a_wrong_option_is_refused_with_what_which_and_what_to_do(options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        resolve(**options)


def test_prompt_look_up_is_for_one_input():
    options = {"prompt_lookup_num_tokens": 5}
    assert settings(NONE, options, items=1).prompt_lookup_num_tokens == 5
    with pytest.raises(InputError, match="is 5 and there are 2 inputs; prompt look-up is for"):
        settings(NONE, options, items=2)
    frozen = GenerationDefaults(prompt_lookup_num_tokens=5)
    assert settings(frozen, {"num_beams": 2}, items=2).num_beams == 2


def test_a_checkpoint_s_least_length_above_the_call_s_greatest_is_refused():
    with pytest.raises(InputError, match="min_length is 56 and max_length 40; give a smaller min"):
        resolve(GenerationDefaults(min_length=56, max_length=142), max_length=40)


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True, "num_return_sequences": 5},
        {"do_sample": True, "num_beams": 2, "num_return_sequences": 2, "length_penalty": -1},
        {"forced_eos_token_id": [3, 4], "suppress_tokens": [3]},
        {"min_length": 30, "max_new_tokens": 10},
        {"choices": None, "regex": "a"},
        {"do_sample": True, "top_k": 0, "top_p": 0.0, "min_p": 1, "typical_p": 1, "seed": 0},
    ],
)
def test_what_goes_together(options):
    assert isinstance(resolve(**options), Settings)
