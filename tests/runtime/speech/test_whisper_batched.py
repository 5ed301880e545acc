"""Windows side by side, spoken parts, and which method a recording is written down by."""

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.log_mel import LogMel
from onnxtasks.speech.whisper_batched import Batched, Window
from onnxtasks.speech.whisper_long import WholeFeatures
from onnxtasks.speech.whisper_options import whisper_settings
from onnxtasks.speech.whisper_recording import Sound, run, window_of
from onnxtasks.speech.whisper_spoken import SpokenFeatures
from tests.runtime.speech.whisper_script import ZERO, Say, Script, by_frame, model_of, spec_of

RATE = 16000


def at(seconds):
    return ZERO + round(seconds / 0.02)


def noise(*seconds):
    """Noise and silence by turns, of these lengths."""
    rng = np.random.default_rng(0)
    parts = [
        rng.normal(0, 0.1 if place % 2 == 0 else 1e-4, round(length * RATE))
        for place, length in enumerate(seconds)
    ]
    return np.concatenate(parts).astype(np.float32)


def sound(samples):
    blocks = [samples[start : start + RATE] for start in range(0, len(samples), RATE)]
    return Sound.read(blocks, LogMel(spec_of().mel))


def test_each_window_has_its_own_text_and_silent_ones_have_none():
    script = Script({0: Say(at(0), 1, at(0.3), at(0.3), 2), 240: Say(at(0.1), 3, at(0.4))})
    model = model_of(script)
    windows = [Window(0, 80), Window(100, 190), Window(240, 300)]
    told = []
    settings = whisper_settings(model.spec, {"method": "batched", "temperature": 0})
    made = Batched(
        model,
        WholeFeatures(by_frame(300)),
        windows,
        settings,
        together=2,
        progress=lambda *seconds: told.append(seconds),
    )
    found = list(made.segments())
    assert [(round(s.start, 6), round(s.end, 6), s.tokens) for s in found] == [
        (0.0, 0.3, (at(0), 1, at(0.3))),
        (0.3, 0.8, (at(0.3), 2)),  # the rest of the window, which no other reads
        (2.4, 2.8, (at(0.1), 3, at(0.4))),
    ]
    assert script.listened == [[0, 100], [240]]
    assert made.language == "en"
    np.testing.assert_allclose(told, [(0.0, 3.0), (2.4, 3.0), (3.0, 3.0)])


def test_words_of_windows_side_by_side():
    script = Script({0: Say(at(0), 1, at(0.3)), 200: Say(at(0), 2, 3, at(0.4))})
    model = model_of(script)
    settings = whisper_settings(model.spec, {"method": "batched", "timestamps": "word"})
    windows = [Window(0, 80), Window(100, 190), Window(200, 300)]
    found = Batched(model, WholeFeatures(by_frame(300)), windows, settings).segments()
    words = [[word.text for word in segment.words] for segment in found]
    assert words == [[" two"], [" three", " four"]]


def test_stretches_in_frames():
    assert window_of((0.1, 0.5), 0.01, 40, 100) == Window(10, 40)
    assert window_of((0.1, 1.5), 0.01, 400, 100) == Window(10, 110)


def test_spoken_parts_are_heard_as_one():
    features = SpokenFeatures(WholeFeatures(by_frame(60)), [Window(10, 13), Window(40, 45)], 0.01)
    assert features.frames == 8
    assert features.cut(0, 8)[0].tolist() == [10, 11, 12, 40, 41, 42, 43, 44]
    assert features.cut(2, 3)[0].tolist() == [12, 40, 41]
    assert features.cut(8, 4).shape == (4, 0)
    assert features.time(0.01) == pytest.approx(0.11)
    assert features.time(0.03) == pytest.approx(0.40)
    assert features.time(0.03, end=True) == pytest.approx(0.13)
    assert features.time(0.05, end=True) == pytest.approx(0.42)


def test_what_is_spoken_is_written_down_with_times_of_the_whole():
    script = Script({})
    listened = []

    def listen(features):
        listened.append(features.shape)
        first = Script({0: Say(at(0), 1, at(0.5))})
        return first(np.zeros_like(features))

    model = model_of(script)
    model = type(model)(listen, model.spec, model.tokenize, model.decode)
    whole = sound(noise(0.5, 2.0, 0.6))
    options = {"language": "en", "timestamps": "word", "temperature": 0}
    settings = whisper_settings(model.spec, {**options, "vad": [(0.1, 0.4), (2.6, 3.0)]})
    found = list(run(model, whole, settings).segments())
    assert len(listened) == 1  # 0.7 s are spoken: one window
    assert [(round(s.start, 6), round(s.end, 6)) for s in found] == [(0.1, 2.8)]
    (word,) = found[0].words
    assert 0.1 <= word.start <= word.end <= 2.8
    nobody = whisper_settings(model.spec, {**options, "vad": []})
    assert list(run(model, whole, nobody).segments()) == []


def test_windows_are_cut_in_silence():
    script = Script({})
    model = model_of(script)
    settings = whisper_settings(model.spec, {"method": "batched", "language": "en"})
    made = run(model, sound(noise(0.5, 0.6, 0.5, 0.6, 0.5)), settings)
    assert isinstance(made, Batched)
    cuts = made._windows
    assert len(cuts) == 3
    quiet_places = [(0.5, 1.1), (1.6, 2.2)]
    for one, other, (start, end) in zip(cuts, cuts[1:], quiet_places, strict=False):
        assert start * 100 - 5 <= one.stop <= other.start <= end * 100 + 5


def test_a_recording_of_zeros_is_not_listened_to():
    script = Script({})
    model = model_of(script)
    silence = sound(np.zeros(3 * RATE, np.float32))
    for options in ({}, {"method": "batched"}, {"vad": True}, {"timestamps": "none"}):
        assert list(run(model, silence, whisper_settings(model.spec, options)).segments()) == []
    assert script.listened == []


def test_without_timestamps_one_window_only():
    model = model_of(Script({0: Say(1)}))
    settings = whisper_settings(model.spec, {"timestamps": "none", "language": "en"})
    with pytest.raises(InputError, match="longer than the 1 s that the model hears at once"):
        run(model, sound(noise(1.5)), settings)
    assert run(model, sound(noise(0.5)), settings).language == "en"
    side_by_side = whisper_settings(model.spec, {"timestamps": "none", "method": "batched"})
    assert isinstance(run(model, sound(noise(1.5)), side_by_side), Batched)
