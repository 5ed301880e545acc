"""What a Whisper bundle's settings may not be."""

from typing import Any

import msgspec
import pytest

from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.spec import DecoderSpec
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.speech.whisper_spec import MelSpec, WhisperSpec

MEL: dict[str, Any] = {
    "n_fft": 400,
    "hop_length": 160,
    "n_mels": 80,
    "sampling_rate": 16000,
    "chunk_seconds": 30.0,
}
DECODER: dict[str, Any] = {"layers": 2, "kv_heads": 4, "head_size": 8, "words": 100, "room": 20}


def spec(**changes):
    settings: dict[str, Any] = {
        "audio": AudioSpec(sampling_rate=16000, normalize=False, padding_value=0.0, min_samples=1),
        "mel": MelSpec(**MEL),
        "decoder": DecoderSpec(**DECODER, encoder=True, source_heads=4),
        "defaults": GenerationDefaults(),
        "start_token": 51,
        "end_token": 50,
        "no_timestamps_token": 60,
        "timestamp_begin": 61,
        "transcribe_token": 54,
        "languages": {"en": 52, "de": 53},
        "multilingual": True,
        "language": "de",
        "task": "transcribe",
        "alignment_heads": ((0, 3), (1, 0)),
        "max_target_positions": 20,
        "max_source_positions": 1500,
        "words": 100,
    }
    return WhisperSpec(**(settings | changes))


def test_it_survives_the_manifest():
    found = spec(suppress_tokens=(1, 2), max_initial_timestamp_index=50)
    assert msgspec.convert(msgspec.to_builtins(found), WhisperSpec) == found


def test_times_are_positions_of_the_encoder():
    found = spec()
    assert found.time_precision == 0.02
    assert (found.mel.samples, found.mel.frames) == (480000, 3000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamp_begin": 60}, "timestamp_begin is 60; it follows no_timestamps_token (60)"),
        ({"start_token": 100}, "start_token is 100; the model has 100 words"),
        ({"previous_token": -1}, "previous_token is -1; the model has 100 words"),
        ({"languages": {"de": 200}}, "languages['de'] is 200; the model has 100 words"),
        ({"suppress_tokens": (3, 400)}, "suppress_tokens is 400; the model has 100 words"),
        (
            {"begin_suppress_tokens": (500,)},
            "begin_suppress_tokens is 500; the model has 100 words",
        ),
        ({"multilingual": False}, "multilingual is False with 2 languages"),
        ({"languages": {}, "language": None}, "multilingual is True with 0 languages"),
        ({"language": "fr"}, "language is 'fr', which is not one of languages"),
        ({"task": "translate"}, "task is 'translate', without a translate_token"),
        (
            {"alignment_heads": ((2, 0),)},
            "alignment_heads has layer 2, head 0; the decoder has 2 layers of 4 heads",
        ),
        ({"words": 99}, "decoder has 100 words, and words is 99"),
        ({"decoder": DecoderSpec(**DECODER)}, "decoder has no encoder; Whisper's has"),
        (
            {"mel": MelSpec(**(MEL | {"sampling_rate": 8000, "chunk_seconds": 60.0}))},
            "audio is read at 16000 Hz, mel is for 8000 Hz",
        ),
        (
            {"max_source_positions": 1000},
            "mel gives 3000 frames; the encoder takes two for each of its 1000 positions",
        ),
        ({"max_target_positions": 1}, "max_target_positions is 1; it is above 1"),
        ({"median_filter_width": 4}, "median_filter_width is 4; it is odd"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError) as refused:
        spec(**changes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_mels": 0}, "n_mels is 0; it is at least 1"),
        ({"hop_length": 201}, "hop_length is 201, more than half of n_fft (400)"),
        (
            {"chunk_seconds": 0.01},
            "chunk_seconds is 0.01; the 200 samples before the first frame's middle are mirrored, "
            "and more are needed",
        ),
    ],
)
def test_frames_that_cannot_be_made_are_refused(changes, message):
    with pytest.raises(ValueError) as refused:
        MelSpec(**(MEL | changes))
    assert str(refused.value) == message
