"""Window after window, by a script: which window is heard, what is read first, what comes of it."""

import numpy as np
import pytest

from onnxtasks.speech.whisper_long import Sequential, WholeFeatures, detect
from onnxtasks.speech.whisper_options import whisper_settings
from tests.runtime.speech.whisper_script import (
    DE,
    EN,
    ENGLISH,
    PREVIOUS,
    START,
    TRANSCRIBE,
    ZERO,
    Say,
    Script,
    by_frame,
    model_of,
)


def at(seconds):
    return ZERO + round(seconds / 0.02)


def run(script, frames, *, end=None, progress=None, spec=None, **options):
    """By frame: a window is known by its first one."""
    model = model_of(script, **(spec or {}))
    settings = whisper_settings(model.spec, {"temperature": 0, **options})
    features = WholeFeatures(by_frame(frames))
    made = Sequential(model, features, settings, frames=end, progress=progress)
    return made, list(made.segments())


def shown(segments):
    return [(round(s.start, 6), round(s.end, 6), s.tokens, s.seek) for s in segments]


def test_windows_begin_where_the_text_before_ended():
    script = Script(
        {
            0: Say(at(0), 1, at(0.4), at(0.4), 2, at(0.6), at(0.6), 3),
            60: Say(at(0), 3, at(0.9)),
            160: Say(at(0.1), 4, at(0.5)),
        }
    )
    made, found = run(script, 230, language="de")
    assert made.seeks == [0, 60, 160]
    assert shown(found) == [
        (0.0, 0.4, (at(0), 1, at(0.4)), 0),
        (0.4, 0.6, (at(0.4), 2, at(0.6), at(0.6)), 0),
        (0.6, 1.5, (at(0), 3, at(0.9)), 60),
        (1.6, 2.1, (at(0.1), 4, at(0.5)), 160),
    ]
    assert script.prompts == [[START, DE, TRANSCRIBE]] * 3


def test_the_language_is_detected_once_in_the_first_window():
    script = Script({0: Say(at(0), 1, at(1)), 100: Say(at(0), 2, at(1))})
    script.language = Say(DE, sure=0.8)
    made, _ = run(script, 200)
    assert (made.language, next(iter(made.languages))) == ("de", "de")
    assert script.prompts == [[START], *[[START, DE, TRANSCRIBE]] * 2]
    assert script.listened == [[0], [100]]  # once a window
    english, _ = run(Script({0: Say(at(0), 1, at(1))}), 100, spec=ENGLISH)
    assert (english.language, english.languages) == (None, {})


def test_silent_windows_have_no_text():
    script = Script({100: Say(at(0), 1, at(1))})
    made, found = run(script, 250, language="en")
    assert made.seeks == [0, 100, 200]
    assert [one.seek for one in found] == [100]


def test_previous_texts_are_read_first():
    first, second = [at(0), 1, at(0.4), at(0.4)], [at(0), 2, at(1)]
    script = Script({0: Say(*first), 40: Say(*second), 140: Say(3)})
    run(script, 200, language="en", condition_on_previous_text=True)
    start = [START, EN, TRANSCRIBE]
    assert script.prompts == [
        start,
        [PREVIOUS, *first[:3], *start],
        [PREVIOUS, *first[:3], *second, *start],
    ]


def test_no_window_is_heard_for_ever():
    """Without rules, a pair of zeros says that the window ends where it begins."""
    made, _ = run(
        Script({0: Say(at(0), at(0), 1), 100: Say(2)}), 200, language="en", timestamps="none"
    )
    assert made.seeks == [0, 100]


def test_padding_is_heard_but_no_window_begins_in_it():
    script = Script({0: Say(at(0), 1, at(0.4), at(0.4))})
    assert run(script, 100, end=40, language="en")[0].seeks == [0]
    assert run(script, 100, language="en")[0].seeks == [0, 40]


def test_the_last_window_is_filled_with_zeros():
    heard = []
    script = Script({})

    def listen(features):
        heard.append(features[0, 0].tolist())
        return script(features)

    run(script, 130, language="en")
    model = model_of(script)
    settings = whisper_settings(model.spec, {"language": "en"})
    model = type(model)(listen, model.spec, model.tokenize, model.decode)
    list(Sequential(model, WholeFeatures(by_frame(130)), settings).segments())
    assert heard[1] == [*range(100, 130), *[0] * 70]


def test_progress_is_told_in_seconds():
    told = []
    script = Script({0: Say(at(0), 1, at(0.4), at(0.4)), 40: Say(1)})
    run(script, 140, language="en", progress=lambda *seconds: told.append(seconds))
    np.testing.assert_allclose(told, [(0.0, 1.4), (0.4, 1.4), (1.4, 1.4)])


def test_segments_come_as_soon_as_they_are_known():
    script = Script({0: Say(at(0), 1, at(1)), 100: Say(2)})
    model = model_of(script)
    settings = whisper_settings(model.spec, {"language": "en"})
    segments = Sequential(model, WholeFeatures(by_frame(200)), settings).segments()
    assert script.listened == []
    assert next(segments).tokens == (at(0), 1, at(1))
    assert script.listened == [[0]]


def test_words_have_times_of_the_recording():
    script = Script({100: Say(at(0), 1, 2, at(0.5))})
    _, found = run(script, 200, language="en", timestamps="word")
    (segment,) = found
    assert [word.text for word in segment.words] == [" two", " three"]
    assert [word.tokens for word in segment.words] == [(1,), (2,)]
    starts = [word.start for word in segment.words]
    assert 1.0 <= starts[0] < starts[1] < 1.5
    assert segment.words[0].probability == pytest.approx(
        0.97, abs=0.01
    )  # of words, as no time may come


def test_inventions_beside_silence_are_dropped():
    usual, short = Say(at(0), 1, at(0.8)), Say(at(0), 3, 4, 5, 6, 7, 8, at(0.3))
    for threshold, left in ((None, 2), (0.1, 1)):
        script = Script({0: usual, 100: short})
        _, found = run(
            script,
            200,
            language="en",
            timestamps="word",
            hallucination_silence_threshold=threshold,
        )
        assert len(found) == left


def test_languages_of_several_windows():
    model = model_of(Script({}))
    heard = model.listen(np.zeros((2, 4, 100), np.float32))
    found = detect(heard, [0, 1], model.spec)
    assert [next(iter(one)) for one in found] == ["en", "en"]
