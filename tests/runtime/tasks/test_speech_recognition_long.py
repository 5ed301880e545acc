"""Speech of any length: chunks whose joins lose and repeat nothing, live input, damaged files."""

import gc
import io
import tracemalloc
import warnings

import numpy as np
import pytest
import soundfile

from onnxtasks.errors import DamagedRecordingWarning, InputError
from onnxtasks.ops.scores import Float
from onnxtasks.session import Feeds, Outputs
from onnxtasks.tasks.speech_recognition import Span, SpeechRecognizer
from tests.runtime.tasks.test_speech_recognition import FakeSession, recording, spec_of

RNG = np.random.default_rng(3)
LONG = RNG.choice([0, 0, 1, 2, 2, 3], 437)
"""Symbols of 8.74 seconds; the model takes one second at once."""


def wide_spec(**changes):
    """Frames of 5 samples, one every 2: the last ones of a window reach beyond it."""
    spec = spec_of(**changes)
    audio = type(spec.audio)(
        **{
            **{name: getattr(spec.audio, name) for name in spec.audio.__struct_fields__},
            "min_samples": 5,
        }
    )
    return type(spec)(
        audio=audio, ctc=spec.ctc, conv_kernels=(5,), conv_strides=(2,), attention_mask=True
    )


class WideSession(FakeSession):
    """As `FakeSession`, without the frames that would need samples beyond the end."""

    def run(self, feeds: Feeds, outputs: object = None) -> Outputs:
        logits = super().run(feeds)["logits"]
        return {"logits": logits[:, : (feeds["input_values"].shape[1] - 5) // 2 + 1]}


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("stride", [None, 0.1, (0.2, 0.04)])
@pytest.mark.parametrize("budget", [0.1, 1.0, 100.0])
def test_chunks_say_what_the_whole_says(normal, stride, budget):
    spec = wide_spec() if normal else spec_of()
    session = WideSession() if normal else FakeSession()
    sound = recording(LONG)
    spec_whole = spec_with_seconds(spec, 100.0)
    whole = SpeechRecognizer(session, spec_whole)(sound)
    recognize = SpeechRecognizer(session, spec)

    heard = recognize.predict([sound], chunk_seconds=0.6, stride_seconds=stride, budget=budget)

    assert heard[0] == whole
    assert len(whole.words) > 20


def spec_with_seconds(spec, seconds):
    audio = {name: getattr(spec.audio, name) for name in spec.audio.__struct_fields__}
    rest = {name: getattr(spec, name) for name in spec.__struct_fields__ if name != "audio"}
    return type(spec)(audio=type(spec.audio)(**{**audio, "max_seconds": seconds}), **rest)


def test_a_recording_that_the_model_cannot_take_whole_is_cut():
    session = FakeSession()
    sound = recording(LONG)
    whole = SpeechRecognizer(FakeSession(), spec_with_seconds(spec_of(), 100.0))(sound)

    heard = SpeechRecognizer(session, spec_of())(sound)

    assert heard == whole
    sizes = [feeds["input_values"].shape[1] for feeds in session.feeds]
    assert max(sizes) == 100
    assert SpeechRecognizer(session, spec_of())(recording(LONG[:50])).text
    assert session.feeds[-1]["input_values"].shape == (1, 100)  # a second is heard whole


def test_chunks_of_several_recordings_share_runs():
    session = FakeSession()
    items = [recording(LONG), recording(LONG[:20]), recording(LONG[:130]), recording(LONG[:9])]
    alone = [SpeechRecognizer(FakeSession(), spec_of())(item) for item in items]

    heard = SpeechRecognizer(session, spec_of()).predict(items, budget=4.0)

    assert heard == alone
    assert len(session.feeds) == 5
    for feeds in session.feeds:
        assert feeds["input_values"].size <= 400


def test_map_gives_its_budget_to_the_runs():
    session = FakeSession()

    heard = list(SpeechRecognizer(session, spec_of()).map([recording(LONG)] * 3, budget=2.0))

    assert heard[0] == heard[1] == heard[2]
    assert max(feeds["input_values"].size for feeds in session.feeds) == 200


def test_files_are_read_in_blocks_and_memory_does_not_grow_with_them(tmp_path):
    samples = np.tile(recording(LONG)[0], 100)
    path = tmp_path / "long.wav"
    soundfile.write(path, samples, 100, subtype="FLOAT")
    recognize = SpeechRecognizer(QuietSession(), spec_of())
    recognize(path)

    tracemalloc.start()
    heard = recognize(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert heard.text == ""
    # 12 bytes for each of 43 700 frames, joined once, and what is read at a time.
    assert peak < 2 * 12 * len(samples) / 2 + 2**20 + 200_000


class QuietSession(FakeSession):
    """Hears nothing, and keeps nothing."""

    def run(self, feeds: Feeds, outputs: object = None) -> Outputs:
        logits = super().run(feeds)["logits"] * 0
        self.feeds.clear()
        return {"logits": logits}


@pytest.mark.parametrize("sizes", [[874], [1] * 874, [100, 0, 3, 500, 271]])
@pytest.mark.parametrize("normal", [False, True])
def test_live_words_are_those_of_the_whole(sizes, normal):
    spec = wide_spec() if normal else spec_of()
    samples, rate = recording(LONG)
    blocks = np.split(samples, np.cumsum(sizes)[:-1])
    session = WideSession() if normal else FakeSession()
    recognize = SpeechRecognizer(session, spec)

    words = list(recognize.stream(blocks, rate, chunk_seconds=0.5))

    assert words == close(recognize.predict([(samples, rate)], chunk_seconds=0.5)[0].words)


def close(words):
    """The same up to the rounding of a mean."""
    return [
        type(word)(
            word.text,
            pytest.approx(word.start),
            pytest.approx(word.end),
            pytest.approx(word.score, abs=1e-6),
        )
        for word in words
    ]


def test_live_words_come_while_sound_arrives():
    samples, rate = recording(LONG)
    told: list[int] = []
    words: list[Span] = []

    def blocks():
        for start in range(0, len(samples), 10):
            told.append(len(words))
            yield samples[start : start + 10]

    for word in SpeechRecognizer(FakeSession(), spec_of()).stream(
        blocks(), rate, chunk_seconds=0.5
    ):
        words.append(word)

    assert told[5] == 0  # no window is full
    assert told[-1] > 0.9 * len(words)
    assert told == sorted(told)


def test_live_sound_without_an_end_takes_no_more_memory():
    samples, rate = recording(LONG)
    recognize = SpeechRecognizer(QuietWords(), spec_of())
    sizes: list[int] = []

    def blocks():
        for count in range(41):
            if count in (20, 40):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
            yield samples

    tracemalloc.start()
    count = sum(1 for _ in recognize.stream(blocks(), rate, chunk_seconds=1.0))
    tracemalloc.stop()

    assert count > 1000
    assert sizes[1] < sizes[0] + 5000  # the frames of twenty blocks would be 100 000 bytes


class QuietWords(FakeSession):
    """Keeps no feeds."""

    def run(self, feeds: Feeds, outputs: object = None) -> Outputs:
        logits = super().run(feeds)
        self.feeds.clear()
        return logits


def test_nothing_live_is_no_word():
    recognize = SpeechRecognizer(FakeSession(), spec_of())

    assert list(recognize.stream([], 100)) == []
    assert list(recognize.stream([np.zeros(1, np.float32)], 100)) == []


def noise_bytes(kind, subtype=None) -> bytes:
    buffer = io.BytesIO()
    sound: Float = np.zeros(80_000, np.float32)
    sound[:] = np.random.default_rng(0).uniform(0, 0.1, len(sound))
    soundfile.write(buffer, sound, 8000, format=kind, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_of_a_damaged_file_the_readable_part_is_written_down(kind, tmp_path):
    data = noise_bytes(kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(data[: len(data) // 2])
    session = FakeSession()

    with pytest.warns(DamagedRecordingWarning, match=r"is damaged after \d\.\d\d s .*before was"):
        SpeechRecognizer(session, spec_of()).predict([path])

    assert sum(feeds["input_values"].size for feeds in session.feeds) > 200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SpeechRecognizer(session, spec_of()).predict([data])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((np.array([np.nan] * 40, np.float32), 100), "NaN or infinite"),
        ((np.zeros(1, np.float32), 100), "too short: 1 samples at 100 Hz"),
    ],
)
def test_bad_sound_is_refused(item, message):
    with pytest.raises(InputError, match=message):
        SpeechRecognizer(FakeSession(), spec_of())(item)


def test_telephone_surround_and_clipped_sound_is_heard():
    recognize = SpeechRecognizer(FakeSession(), spec_of())
    samples, _ = recording([0] * 5 + [2] * 20 + [0] * 5)
    wide = np.repeat(samples, 80)  # 8 kHz
    surround = np.repeat(wide[:, None], 8, axis=1)

    for item in ((wide, 8000), (surround, 8000), (np.clip(wide, -1, 1), 8000)):
        assert "A" in recognize(item).text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_seconds": 0}, "chunk_seconds is 0; it is a number of seconds above 0, or None"),
        ({"chunk_seconds": 2.0}, "chunk_seconds is 2; the model takes at most 1 s at once"),
        ({"stride_seconds": 0.1}, "stride_seconds needs chunk_seconds"),
        ({"chunk_seconds": 0.5, "stride_seconds": 0.3}, "the strides leave nothing of a chunk"),
        ({"chunk_seconds": 0.5, "stride_seconds": -1}, "stride_seconds is -1; it is a number"),
        ({"budget": 0}, "budget is 0; it is a number of seconds above 0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    recognize = SpeechRecognizer(FakeSession(), spec_of())

    with pytest.raises(InputError, match=message):
        recognize.predict([], **options)
    if "budget" not in options:
        with pytest.raises(InputError, match=message):
            recognize.map([], **options)


def test_strides_that_would_lose_frames_are_refused():
    with pytest.raises(InputError, match=r"the right stride is 0 s; .* at least 0.04 s to lose"):
        SpeechRecognizer(WideSession(), wide_spec()).predict(
            [], chunk_seconds=0.5, stride_seconds=(0.1, 0)
        )


def test_wrong_live_options_are_refused_at_once():
    recognize = SpeechRecognizer(FakeSession(), spec_of())

    with pytest.raises(InputError, match="rate is 0"):
        recognize.stream([], 0)
    with pytest.raises(InputError, match="n_best is not taken by stream"):
        recognize.stream([], 100, decoder="beam", n_best=2)
    with pytest.raises(InputError, match="takes at most 1 s at once"):
        recognize.stream([], 100, chunk_seconds=2.0)
