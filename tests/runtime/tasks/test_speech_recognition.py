"""The speech task on a session that makes one symbol of every two samples."""

import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from onnxtasks.bundle import Bundle, Manifest
from onnxtasks.errors import InputError
from onnxtasks.ops.audio import AudioLike, AudioSpec
from onnxtasks.ops.ctc import CtcSpec
from onnxtasks.ops.scores import Float
from onnxtasks.session import Feeds, Outputs
from onnxtasks.tasks.speech_recognition import (
    CtcSpeechSpec,
    Span,
    SpeechRecognizer,
    Transcript,
)
from onnxtasks.timing import record_stages

SYMBOLS = ("<pad>", "|", "A", "B")


def spec_of(*, attention_mask=True, normalize=False) -> CtcSpeechSpec:
    return CtcSpeechSpec(
        audio=AudioSpec(
            sampling_rate=100,
            normalize=normalize,
            padding_value=-1.0,
            min_samples=2,
            max_seconds=1.0,
        ),
        ctc=CtcSpec(symbols=SYMBOLS, blank=0, word_delimiter="|"),
        conv_kernels=(2,),
        conv_strides=(2,),
        attention_mask=attention_mask,
    )


class FakeSession:
    """Frame f scores the symbol whose id is ten times sample 2 * f; padding scores "B"."""

    def __init__(self) -> None:
        self.feeds: list[Feeds] = []

    def run(self, feeds: Feeds, outputs: object = None) -> Outputs:
        self.feeds.append(feeds)
        values = feeds["input_values"]
        ids = np.round(10 * values[:, : values.shape[1] // 2 * 2 : 2]).astype(int)  # [batch, frame]
        ids = np.where(values[:, : ids.shape[1] * 2 : 2] < 0, 3, ids)
        logits = np.zeros((*ids.shape, 4), np.float32)
        np.put_along_axis(logits, ids[..., None], np.float32(np.log(3)), axis=-1)
        return {"logits": logits}


def recording(ids, extra=0) -> tuple[Float, int]:
    """Samples at 100 Hz that the fake session hears as these symbols."""
    samples = np.repeat(np.array(ids, np.float32) / 10, 2)
    return np.concatenate([samples, np.zeros(extra, np.float32)]), 100


def test_a_recording_becomes_text_with_times_and_scores():
    recognize = SpeechRecognizer(FakeSession(), spec_of())

    heard = recognize(recording([0, 2, 2, 0, 2, 1, 3, 0]))

    half: Any = pytest.approx(0.5)
    assert heard == Transcript(
        text="AA B",
        segments=(Span("AA B", 0.02, 0.14, half),),
        words=(Span("AA", 0.02, 0.1, half), Span("B", 0.12, 0.14, half)),
        characters=(
            Span("A", 0.02, 0.06, half),
            Span("A", 0.08, 0.1, half),
            Span(" ", 0.1, 0.12, half),
            Span("B", 0.12, 0.14, half),
        ),
        language=None,
        alternatives=(),
    )
    assert heard.to_dict() == {
        "text": "AA B",
        "chunks": [
            {"text": "AA", "timestamp": (0.02, 0.1)},
            {"text": "B", "timestamp": (0.12, 0.14)},
        ],
    }


def test_nothing_said_is_an_empty_transcript():
    heard = SpeechRecognizer(FakeSession(), spec_of())((np.zeros(40, np.float32), 100))

    assert heard == Transcript("", (), (), (), None, ())
    assert heard.to_dict() == {"text": "", "chunks": []}


def test_with_a_mask_all_lengths_share_a_run_and_padding_is_not_heard():
    session = FakeSession()

    heard = SpeechRecognizer(session, spec_of()).predict(
        [recording([2]), recording([3, 0, 3, 0, 2]), recording([2, 1, 2], extra=1)]
    )

    assert [transcript.text for transcript in heard] == ["A", "BBA", "A A"]
    assert len(session.feeds) == 1
    values, mask = session.feeds[0]["input_values"], session.feeds[0]["attention_mask"]
    assert values.dtype == np.float32
    assert mask.dtype == np.int64
    assert mask.sum(-1).tolist() == [10, 7, 2]  # the longest first
    assert (values[mask == 0] == -1.0).all()


def test_without_a_mask_only_equal_lengths_share_a_run():
    session = FakeSession()
    items = [recording([2]), recording([3, 2]), recording([3]), recording([2], extra=1)]

    heard = SpeechRecognizer(session, spec_of(attention_mask=False)).predict(items)

    assert [transcript.text for transcript in heard] == ["A", "BA", "B", "A"]
    assert [feeds["input_values"].shape for feeds in session.feeds] == [(1, 4), (1, 3), (2, 2)]
    assert all(list(feeds) == ["input_values"] for feeds in session.feeds)


def test_recordings_are_normalised_where_the_model_wants_it():
    wave = (np.array([0.1, 0.3, 0.1, 0.3], np.float32), 100)

    plain = SpeechRecognizer(FakeSession(), spec_of()).preprocess([wave])
    normal = SpeechRecognizer(FakeSession(), spec_of(normalize=True)).preprocess([wave])

    assert plain[0].tolist() == pytest.approx([0.1, 0.3, 0.1, 0.3])
    assert normal[0].tolist() == pytest.approx([-1, 1, -1, 1], abs=1e-4)


def test_files_and_bytes_are_recordings(tmp_path):
    buffer = io.BytesIO()
    soundfile.write(buffer, recording([2, 0, 3])[0], 100, format="WAV", subtype="FLOAT")
    path = tmp_path / "a.wav"
    path.write_bytes(buffer.getvalue())
    recognize = SpeechRecognizer(FakeSession(), spec_of())

    assert [t.text for t in recognize.predict([path, str(path), buffer.getvalue()])] == ["AB"] * 3
    assert recognize.measure(path) == 0.06


def test_no_items_run_nothing():
    session = FakeSession()

    assert SpeechRecognizer(session, spec_of()).predict([]) == []
    assert session.feeds == []


def test_map_keeps_the_order_and_returns_errors_in_their_place():
    items: list[AudioLike] = [recording([2, 1, 2]), "none.wav", recording([3])]

    heard = list(SpeechRecognizer(FakeSession(), spec_of()).map(items, errors="return"))

    assert [getattr(answer, "text", None) for answer in heard] == ["A A", None, "B"]
    assert "there is no file 'none.wav'" in str(heard[1])


def test_recordings_that_are_too_short_are_refused():
    with pytest.raises(InputError, match="is too short: 1 samples"):
        SpeechRecognizer(FakeSession(), spec_of())((np.zeros(1, np.float32), 100))


def test_the_example_is_answered_and_the_stages_are_timed():
    recognize = SpeechRecognizer(FakeSession(), spec_of())

    with record_stages() as seconds:
        recognize.warm_up()

    assert recognize.measure(recognize.example()) == 1.0
    assert sorted(seconds) == ["postprocess", "preprocess", "run"]


def test_the_spec_survives_the_manifest():
    spec, session = spec_of(), FakeSession()
    manifest = Manifest(
        schema_version=1,
        task=SpeechRecognizer.name,
        architecture="Wav2Vec2ForCTC",
        variants={},
        default_variant={},
        files={},
        spec=msgspec.json.decode(msgspec.json.encode(spec)),
    )

    task = SpeechRecognizer.from_bundle(Bundle(Path("nowhere"), manifest), {"model": session})

    assert task.spec == spec
    assert task.session is session


@pytest.mark.parametrize(
    ("kernels", "strides", "message"),
    [
        ((), (), "one number for each convolution"),
        ((2,), (2, 2), "one number for each convolution"),
        ((2,), (0,), "at least 1"),
        ((3,), (2,), "below the 3 samples of one frame"),
    ],
)
def test_convolutions_that_do_not_fit_are_refused(kernels, strides, message):
    spec = spec_of()

    with pytest.raises(ValueError, match=message):
        CtcSpeechSpec(
            audio=spec.audio,
            ctc=spec.ctc,
            conv_kernels=kernels,
            conv_strides=strides,
            attention_mask=True,
        )
