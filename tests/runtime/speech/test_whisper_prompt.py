"""What is read before a window is written down."""

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.whisper_options import whisper_settings
from onnxtasks.speech.whisper_prompt import (
    Conversation,
    initial_tokens,
    language_probabilities,
)
from tests.runtime.speech.whisper_script import (
    DE,
    EN,
    ENGLISH,
    PLAIN,
    PREVIOUS,
    START,
    TRANSCRIBE,
    TRANSLATE,
    ZERO,
    model_of,
    spec_of,
)

TALK = [START, DE, TRANSCRIBE]
ON = {"condition_on_previous_text": True}


def talk(**options):
    parts = model_of(None)
    settings = whisper_settings(parts.spec, options)
    return Conversation(parts.spec, settings, parts.tokenize, language="de")


def read(conversation):
    prompt = conversation.prompt()
    assert prompt.tokens[prompt.start] == START
    return prompt.tokens.tolist()


def test_initial_tokens():
    spec = spec_of()
    assert initial_tokens(spec, language="de", task="transcribe", timed=True) == TALK
    assert initial_tokens(spec, language="en", task="translate", timed=False) == [
        *(START, EN, TRANSLATE, PLAIN)
    ]
    english = spec_of(**ENGLISH)
    assert initial_tokens(english, language=None, task="transcribe", timed=True) == [START]


def test_languages_are_compared_among_themselves():
    scores = np.zeros(70, np.float32)
    scores[DE], scores[0] = np.log(3), 50
    found = language_probabilities(scores, {"en": EN, "de": DE})
    assert list(found) == ["de", "en"]
    assert found == pytest.approx({"de": 0.75, "en": 0.25})


def test_a_prompt_comes_before_every_window():
    found = talk(prompt=" one two ")
    assert read(found) == [PREVIOUS, 0, 1, *TALK]
    found.add([[ZERO, 3, ZERO + 5]])
    assert read(found) == [PREVIOUS, 0, 1, *TALK]


def test_a_prefix_comes_after_the_first_start_only():
    found = talk(prefix="three")
    assert read(found) == [*TALK, 2]
    found.add([[4]])
    assert read(found) == TALK


def test_previous_texts_follow_a_prompt_or_take_its_place():
    for condition, between in (("first-segment", []), ("all-segments", [0])):
        found = talk(prompt="one", prompt_condition_type=condition, **ON)
        assert read(found) == [PREVIOUS, 0, *TALK]
        found.add([[ZERO, 3, ZERO + 5], [ZERO + 5, 4, ZERO + 9, ZERO + 9]])
        texts = [ZERO, 3, ZERO + 5, ZERO + 5, 4, ZERO + 9]  # one of the double times
        first = [0] if condition == "first-segment" else between
        assert read(found) == [PREVIOUS, *first, *texts, *TALK]
        found.trust(0.6)
        assert read(found) == [PREVIOUS, 0, *TALK]
        found.trust(0.4)
        assert read(found) == [PREVIOUS, *first, *texts, *TALK]


def test_half_of_the_room_is_left():
    found = talk(**ON)
    assert read(found) == TALK
    found.add([list(range(9)), list(range(9))])
    assert read(found) == [PREVIOUS, *range(7, 9), *range(9), *TALK]  # 24 // 2 - 1
    assert read(talk(prompt="one " * 20)) == [PREVIOUS, *[0] * 11, *TALK]


def test_what_is_refused():
    with pytest.raises(InputError, match="the prompt '<|en|>' has a special token"):
        talk(prompt="<|en|>")
    with pytest.raises(InputError, match="the prefix has 12 tokens; the model takes 11"):
        talk(prefix="one " * 12)
    spec = spec_of(previous_token=None)
    settings = whisper_settings(spec, {"prompt": "one"})
    with pytest.raises(InputError, match="no token that a prompt is introduced with"):
        Conversation(spec, settings, lambda text: [0], language="de")
