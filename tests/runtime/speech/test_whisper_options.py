"""What may be asked of Whisper, and what it comes to."""

import re
from typing import Any

import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.whisper_options import TEMPERATURES, whisper_settings
from tests.runtime.speech.whisper_script import END, ENGLISH, spec_of

SPEC = spec_of(suppress_tokens=(3, 4), begin_suppress_tokens=(5,))


def test_defaults_are_openai_s_temperatures_and_the_checkpoint_s_suppressed_tokens():
    found = whisper_settings(SPEC, {})
    assert found.temperatures == TEMPERATURES
    assert (found.task, found.language, found.timestamps) == ("transcribe", None, "segment")
    assert (found.compression_ratio_threshold, found.logprob_threshold) == (1.35, -1.0)
    assert found.no_speech_threshold == 0.6
    assert found.search.suppress_tokens == (3, 4)
    assert found.search.begin_suppress_tokens == (5,)
    assert found.search.eos_token_id == (END,)
    assert found.search.limit(4, 24) == 24


def test_the_checkpoint_s_language_holds_unless_the_call_says_otherwise():
    spec = spec_of(language="de", task="translate")
    assert whisper_settings(spec, {}).language == "de"
    assert whisper_settings(spec, {}).task == "translate"
    assert whisper_settings(spec, {"language": None}).language is None
    for name in ("<|EN|>", "English", "en"):
        assert whisper_settings(spec, {"language": name}).language == "en"


def test_none_is_off_for_thresholds_and_the_default_for_others():
    found = whisper_settings(
        SPEC, {"logprob_threshold": None, "timestamps": None, "temperature": None, "prompt": ""}
    )
    assert found.logprob_threshold is None
    assert found.timestamps == "segment"
    assert found.temperatures == TEMPERATURES
    assert found.prompt is None


def test_above_0_samples_are_drawn_of_one_row_each():
    found = whisper_settings(SPEC, {"num_beams": 3, "best_of": 4, "seed": 7, "top_k": 5})
    assert found.at(0) is found.search
    assert (found.search.num_beams, found.search.do_sample) == (3, False)
    warm = found.at(0.4)
    assert (warm.num_beams, warm.num_return_sequences, warm.temperature) == (1, 4, 0.4)
    assert (warm.do_sample, warm.seed, warm.top_k) == (True, 7, 5)


def test_suppressed_tokens_and_lengths_of_the_call():
    found = whisper_settings(SPEC, {"suppress_tokens": [1], "max_new_tokens": 6})
    assert found.search.suppress_tokens == (1,)
    assert found.search.limit(4, 24) == 10
    assert whisper_settings(SPEC, {"suppress_tokens": None}).search.suppress_tokens == ()


REFUSED: dict[str, dict[str, Any]] = {
    "language is 'fr'; the model knows de, en": {"language": "fr"},
    "language is 'french'; the model knows de, en": {"language": "french"},
    "language is 3; the model knows de, en": {"language": 3},
    "task is 'sing'; it is 'transcribe' or 'translate'": {"task": "sing"},
    "no option 'langage'; did you mean language": {"langage": "en"},
    "timestamps is 'all'; it is 'none' or 'segment' or 'word'": {"timestamps": "all"},
    "temperature is -1; it is a number of at least 0": {"temperature": -1},
    "temperature is (); it is a number": {"temperature": ()},
    "temperature is 'hot'; it is a number": {"temperature": "hot"},
    "no_speech_threshold is 2; it is a number of at least 0, at most 1": {"no_speech_threshold": 2},
    "logprob_threshold is nan; it is a number, or None": {"logprob_threshold": float("nan")},
    "prompt is 3; it is a text": {"prompt": 3},
    "condition_on_previous_text is 1; it is True or False": {"condition_on_previous_text": 1},
    "best_of is 3, and temperature 0: equal": {"best_of": 3, "temperature": 0},
    "best_of is 0; it is a whole number of at least 1": {"best_of": 0},
    "num_beams is 0; it is a whole number": {"num_beams": 0},
    "seed is 3, which only sampling uses": {"seed": 3, "temperature": 0.0},
    "length_penalty is 2.0, which only beam search uses": {"length_penalty": 2.0},
    "add condition_on_previous_text=True": {"prompt_condition_type": "all-segments"},
    "hallucination_silence_threshold is 2.0, and silence": {"hallucination_silence_threshold": 2.0},
    "prefix is 'one', and method 'batched'": {"prefix": "one", "method": "batched"},
    "condition_on_previous_text is True, and method 'batched'": {
        "condition_on_previous_text": True,
        "method": "batched",
    },
    "vad is [(2, 1)]; it is True, False, or": {"vad": [(2, 1)]},
    "vad is 'on'; it is True, False, or": {"vad": "on"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message):
    with pytest.raises(InputError, match=re.escape(message)):
        whisper_settings(SPEC, REFUSED[message])


@pytest.mark.parametrize("option", [{"language": "en"}, {"task": "translate"}])
def test_an_english_only_model_has_no_languages_and_tasks(option):
    with pytest.raises(InputError, match="the model knows English only"):
        whisper_settings(spec_of(**ENGLISH), option)
    assert whisper_settings(spec_of(**ENGLISH), {"language": None}).language is None


def test_what_a_checkpoint_has_no_tokens_for():
    with pytest.raises(InputError, match="task is 'translate', which this model has no token for"):
        whisper_settings(spec_of(translate_token=None), {"task": "translate"})
    with pytest.raises(InputError, match="names no alignment heads"):
        whisper_settings(spec_of(alignment_heads=()), {"timestamps": "word"})


def test_stretches_of_the_caller():
    assert whisper_settings(SPEC, {"vad": [[0, 1.5], (2, 3)]}).vad == ((0.0, 1.5), (2.0, 3.0))
    assert whisper_settings(SPEC, {"vad": True}).vad is True
