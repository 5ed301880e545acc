"""The Whisper task on a script in the place of its graphs."""

import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile

from onnxtasks.errors import DamagedRecordingWarning, InputError
from onnxtasks.tasks.whisper_speech import WhisperRecognizer
from onnxtasks.timing import record_stages
from tests.runtime.speech.whisper_script import (
    DE,
    END,
    ENGLISH,
    SILENT,
    TRANSLATE,
    ZERO,
    Say,
    Script,
    spec_of,
    tokenizer,
)

RATE = 16000


def at(seconds):
    return ZERO + round(seconds / 0.02)


def task_of(*windows, **changed):
    """A task whose windows say this, in the order in which they are heard."""
    script = Script(dict(enumerate(windows)))
    heard: list[np.ndarray] = []

    def listen(features):
        numbers = np.arange(len(heard), len(heard) + len(features))
        heard.extend(features)
        return script(np.broadcast_to(numbers[:, None, None], features.shape))

    graph: Any = None
    task = WhisperRecognizer(graph, graph, spec_of(**changed), tokenizer())
    task.model = replace(task.model, listen=listen)
    return task, script, heard


def noise(seconds):
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32), RATE


def test_a_transcript_of_several_windows():
    task, script, heard = task_of(
        Say(at(0), 0, 1, at(0.4), at(0.5), 2, at(0.8), at(0.8)), Say(at(0), 3, at(0.6))
    )
    with record_stages() as seconds:
        found = task(noise(1.4), language="de", task="translate")
    assert found.text == "one two three four"
    assert [(s.text, round(s.start, 2), round(s.end, 2)) for s in found.segments] == [
        ("one two", 0.0, 0.4),
        ("three", 0.5, 0.8),
        ("four", 0.8, 1.4),
    ]
    assert all(0.9 <= s.score < 1 for s in found.segments)
    assert (found.words, found.characters, found.alternatives) == ((), (), ())
    assert found.language == "de"
    assert script.prompts[0][1:] == [DE, TRANSLATE]
    assert [one.shape for one in heard] == [(4, 100)] * 2
    assert set(seconds) == {"preprocess", "run", "postprocess"}


def test_words_and_no_times():
    task, _, _ = task_of(Say(at(0), 0, 1, at(0.6)))
    found = task(noise(0.9), timestamps="word")
    assert [word.text for word in found.words] == ["one", "two"]
    assert found.words[0].end <= found.words[1].start + 1e-6
    assert len(found.segments) == 1
    task, _, _ = task_of(Say(0, 1))
    found = task(noise(0.9), timestamps="none")
    assert (found.text, found.segments, found.words) == ("one two", (), ())


def test_a_stream_is_what_the_transcript_has():
    said = [Say(at(0), 0, at(1)), Say(at(0), 1, at(0.4))]
    told: list[tuple[float, float]] = []
    task, _, heard = task_of(*said)
    stream = task.stream_segments(noise(1.5), language="en", progress=lambda *now: told.append(now))
    assert heard == []
    first = next(stream)
    assert (first.text, len(heard)) == ("one", 1)
    assert [span.text for span in stream] == ["two"]
    np.testing.assert_allclose(told, [(0, 1.5), (1, 1.5), (1.5, 1.5)])
    assert task_of(*said)[0](noise(1.5), language="en").segments[0] == first


def test_segments_without_text_are_left_out():
    task, _, _ = task_of(Say(at(0), 0, at(0.4), at(0.4), SILENT, at(0.8)))
    found = task(noise(0.9), language="en")
    assert [span.text for span in found.segments] == ["one"]


SILENCES = {
    "zeros": np.zeros(3 * RATE, np.float32),
    "one zero": np.zeros(1, np.float32),
}


@pytest.mark.parametrize("name", SILENCES)
def test_zeros_have_no_text_and_no_graph_is_run(name):
    task, _, heard = task_of(Say(at(0), 0, at(1)))
    found = task((SILENCES[name], RATE))
    assert (found.text, found.segments, found.language, heard) == ("", (), None, [])


def test_faint_noise_has_no_text_by_the_no_speech_rule():
    task, _, heard = task_of(Say(at(0), 0, at(1), sure=0.05, silence=0.9))
    assert task(noise(0.9), language="en").text == ""
    assert len(heard) == 1


def test_ten_milliseconds_are_a_window():
    task, _, heard = task_of(Say(at(0), 0, at(0.02)))
    assert task(noise(0.01), timestamps="word").text == "one"
    assert heard[0].shape == (4, 100)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_no_numbers(wrong):
    samples = noise(1.5)[0].copy()
    samples[20000] = wrong
    task, _, heard = task_of()
    with pytest.raises(InputError, match=re.escape("NaN")):
        task((samples, RATE))
    assert heard == []


def test_no_samples():
    task, _, _ = task_of()
    with pytest.raises(InputError):
        task((np.zeros(0, np.float32), RATE))


def test_other_rates_channels_and_clipped_samples():
    task, _, heard = task_of(*[Say(at(0), 0, at(0.5))] * 3)
    samples = noise(0.9)[0]
    telephone = (samples[::2], 8000)
    surround = (np.repeat(samples[:, None], 8, axis=1), RATE)
    clipped = (np.clip(samples * 100, -1, 1), RATE)
    found = task.predict([telephone, surround, clipped], language="en")
    assert [one.text for one in found] == ["one"] * 3
    assert all(np.isfinite(one).all() for one in heard)


def test_what_can_be_read_of_a_damaged_file():
    file = io.BytesIO()
    soundfile.write(file, noise(3)[0], RATE, format="WAV", subtype="PCM_16")
    task, _, heard = task_of(*[Say(at(0), 0, at(1))] * 3)
    with pytest.warns(DamagedRecordingWarning, match=re.escape("1.50 s")):
        found = task(file.getvalue()[: 44 + 2 * RATE * 3 // 2], language="en")
    assert (found.text, len(heard)) == ("one one", 2)


def test_language_by_the_first_window():
    task, script, _ = task_of()
    script.language = Say(DE, sure=0.9)
    found = task.detect_language(noise(2))
    assert list(found) == ["de", "en"]
    assert sum(found.values()) == pytest.approx(1)
    english, _, _ = task_of(Say(at(0), 0, at(0.5)), **ENGLISH)
    with pytest.raises(InputError, match="knows English only; there is no language to detect"):
        english.detect_language(noise(1))
    assert english(noise(0.9)).language is None


def test_what_is_refused():
    task, _, heard = task_of()
    with pytest.raises(InputError, match="what is streamed are segments"):
        task.stream_segments(noise(1), timestamps="none")
    with pytest.raises(InputError, match="longer than the 1 s"):
        task(noise(2), timestamps="none")
    with pytest.raises(InputError, match="the model knows de, en"):
        task.check_options({"language": "fr"})
    with pytest.raises(InputError, match="several inputs are expected"):
        wrong: Any = "talk.wav"
        task.predict(wrong)
    assert heard == []


def test_warming_up_and_measuring():
    task, _, heard = task_of(Say(at(0), 0, at(0.5)))
    task.warm_up()
    assert len(heard) == 1
    assert task.measure(noise(2.5)) == 2.5


def test_special_tokens_are_no_text():
    task, _, _ = task_of()
    assert task.decode([at(0), 0, END, 1, at(1)]) == " one two"
